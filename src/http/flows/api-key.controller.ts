import { Body, Delete, Get, Header, HttpCode, Param, Post, Req, UseGuards } from '@nestjs/common';
import { z } from 'zod';
import { MAX_API_KEY_LIFETIME, MAX_API_KEY_NAME, type ApiKey } from '../../api-key/api-key.js';
import { API_KEY_NAME, ApiKeyService, isApiKeyName } from '../../api-key/api-key.service.js';
import { AuthError } from '../../auth.errors.js';
import { seconds } from '../../common/duration.js';
import { StepUpMethods } from '../../login/step-up-methods.js';
import type { Session } from '../../session/session.js';
import type { AuthUser } from '../../user/user.directory.js';
import { iso, type ApiKeyAnswer, type ApiKeyListAnswer, type DoneAnswer, type NewApiKeyAnswer } from '../answers.js';
import { RequireFresh } from '../assurance.decorators.js';
import type { AuthRequest } from '../auth-request.js';
import { CurrentSession, CurrentUser } from '../auth.decorators.js';
import { parseBody } from '../body.js';
import { TakesBody, TakesNoBody } from '../body-parse-errors.js';
import { ClientIp } from '../client-ip.js';
import { OriginGuard } from '../origin.guard.js';
import { SessionGuard } from '../session.guard.js';

const NO_STORE = ['Cache-Control', 'no-store'] as const;
const SCOPES = 'must be a list of scopes';
const LONGEST = MAX_API_KEY_LIFETIME / seconds(1);
const EXPIRES_IN = `must be a whole number of seconds from 60 to ${LONGEST}`;

export const ApiKeyBody = z.strictObject({
  name: z
    .string(API_KEY_NAME)
    // In UTF-16, which is never less.
    .max(2 * MAX_API_KEY_NAME, API_KEY_NAME)
    .refine(isApiKeyName, API_KEY_NAME)
    .describe(`What the owner calls the key. It ${API_KEY_NAME}.`),
  scopes: z
    .array(z.string(SCOPES).max(64, SCOPES), SCOPES)
    .min(1, SCOPES)
    .max(100, SCOPES)
    .describe('What the key may do: one or more of the scopes of the application.'),
  expiresIn: z
    .int(EXPIRES_IN)
    .min(60, EXPIRES_IN)
    .max(LONGEST, EXPIRES_IN)
    .describe('After how many seconds it expires: 366 days at most.'),
});

/** `flows.apiKeys`. */
@UseGuards(OriginGuard, SessionGuard)
export class ApiKeyController {
  constructor(
    private readonly apiKeys: ApiKeyService,
    private readonly stepUps: StepUpMethods,
    private readonly clientIp: ClientIp,
  ) {}

  /** The live keys of the user, without the keys themselves. */
  @Get('api-keys')
  @Header(...NO_STORE)
  async listApiKeys(@CurrentUser() user: AuthUser): Promise<ApiKeyListAnswer> {
    return (await this.apiKeys.listForUser(user)).map(shown);
  }

  /**
   * Makes a key, and shows it this once. It needs a fresh session that has proved as much as the account can: the key may
   * outlive it by a year.
   */
  @RequireFresh()
  @TakesBody()
  @Post('api-keys')
  @HttpCode(201)
  @Header(...NO_STORE)
  async createApiKey(
    @CurrentUser() user: AuthUser,
    @CurrentSession() session: Session,
    @Req() request: AuthRequest,
    @Body() body: unknown,
  ): Promise<NewApiKeyAnswer> {
    const { expiresIn, ...wanted } = parseBody(ApiKeyBody, body, 'an API key');
    await this.stepUps.demandMost(session);
    const asked = { ...wanted, expiresIn: seconds(expiresIn) };
    const { key, apiKey } = await this.apiKeys.create(user, asked, { ip: this.clientIp.of(request), session });
    return { key, ...shown(apiKey) };
  }

  /** Ends one of the user's own keys. Repeating it is no error. */
  @TakesNoBody()
  @Delete('api-keys/:id')
  @HttpCode(200)
  @Header(...NO_STORE)
  async revokeApiKey(@CurrentUser() user: AuthUser, @Param('id') id: string): Promise<DoneAnswer> {
    if (await this.apiKeys.revoke(user, id)) return { message: 'The API key has been revoked.' };
    throw new AuthError('API_KEY_NOT_FOUND', 'The user has no API key with this id.', {});
  }
}

function shown({ id, name, prefix, scopes, createdAt, expiresAt, lastUsedAt }: ApiKey): ApiKeyAnswer {
  return {
    id,
    name,
    prefix,
    scopes: [...scopes],
    createdAt: iso(createdAt),
    expiresAt: iso(expiresAt),
    lastUsedAt: lastUsedAt === null ? null : iso(lastUsedAt),
  };
}
