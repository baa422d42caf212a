import { Controller, Get, NotFoundException, Post, Query, Res, UnauthorizedException } from '@nestjs/common';
import {
  CurrentSession,
  CurrentUser,
  EphemeralTokenService,
  Public,
  RateLimit,
  seconds,
  SessionService,
  PostgresUserDirectory,
  type AuthOptions,
  type Session,
} from 'nestjs-latchkey';
import { CookieWriter } from 'nestjs-latchkey/engine';
import type { Start } from '../../harness/contender.js';
import { startServer } from '../our-app.js';
import { BURST, PASSWORD } from './visitor.js';

export interface SoakServer {
  readonly url: string;
  readonly emails: readonly string[];
}

/** The cleanup keeps rate limit events for the longest window of all policies. */
const WINDOW = seconds(20);
const UNLIMITED = { limit: 100_000, window: WINDOW };
/** Whatever is bounded is full long before the first two minutes are over: what grows after them has no bound. */
const OPTIONS: Partial<AuthOptions> = {
  cookie: { secure: false },
  password: { memoryCost: 8, timeCost: 1 },
  session: { maxPerUser: 5 },
  cache: { enabled: true, maxSessions: 100 },
  cleanup: { interval: seconds(5), leeway: 0 },
  rateLimits: {
    policies: {
      login_attempt: UNLIMITED,
      login_ip: UNLIMITED,
      '2fa_attempt': UNLIMITED,
      password_reset_send: UNLIMITED,
      password_reset_ip: UNLIMITED,
      password_change: UNLIMITED,
      email_send: { limit: BURST, window: WINDOW },
    },
    backoff: { base: 0, window: WINDOW },
    rememberedBlocks: 100,
  },
};

@Controller()
class SoakController {
  constructor(
    private readonly sessions: SessionService,
    private readonly tokens: EphemeralTokenService,
    private readonly writer: CookieWriter,
  ) {}

  @Get('me')
  me(@CurrentUser('id') id: string) {
    return { id };
  }

  @Post('rotate')
  async rotate(@CurrentSession() current: Session, @Res({ passthrough: true }) response: object) {
    const rotated = await this.sessions.rotate(current, current.userId);
    if (!rotated) throw new UnauthorizedException();
    this.writer.set(response, { value: rotated.token, expiresAt: rotated.session.expiresAt });
  }

  @Post('link')
  async link() {
    return { token: await this.tokens.issue('slicer_download', { resource: 'file:1' }, { ttl: seconds(20) }) };
  }

  @Public()
  @Get('file')
  async file(@Query('token') token: string) {
    if (!(await this.tokens.consume('slicer_download', token, 'file:1'))) throw new NotFoundException();
  }

  @RateLimit({ event: 'email_send', by: (request) => String(request.headers['x-subject']) })
  @Public()
  @Get('limited')
  limited() {
    return {};
  }
}

/** Everything that a visitor asks for, with a cache and a cleanup that is never far away. */
export const soakServer: Start<{ url: string; visitors: number }, SoakServer> = async ({ url, visitors }) => {
  const { app, url: address } = await startServer({ url, auth: OPTIONS, controllers: [SoakController] });
  const users = app.get(PostgresUserDirectory);
  const emails = Array.from({ length: visitors }, (_, i) => `visitor${i}@example.com`);
  for (const email of emails) await users.create(email, PASSWORD);
  return { hello: { url: address, emails }, close: () => app.close() };
};
