import { Body, Header, HttpCode, Post, Req, Res, UseGuards } from '@nestjs/common';
import { z } from 'zod';
import { isLocalPath } from '../../common/local-path.js';
import { MagicLinkService } from '../../magic-link/magic-link.service.js';
import { loginAnswer, type DoneAnswer, type MagicLinkAnswer } from '../answers.js';
import { headerOf, type AuthRequest } from '../auth-request.js';
import { Public } from '../auth.decorators.js';
import { parseBody } from '../body.js';
import { TakesBody } from '../body-parse-errors.js';
import { CookieWriter } from '../cookie-writer.js';
import { loginField, mailedProof, rememberField } from '../fields.js';
import { FlowCookie } from '../flow-cookie.js';
import { HttpSessions } from '../http-sessions.js';
import { OriginGuard } from '../origin.guard.js';
import { RateLimit } from '../rate-limit.decorator.js';
import { SessionGuard } from '../session.guard.js';

const MAX_PATH = 2_000;
const PATH = `must be a path of this application such as /notes, of at most ${MAX_PATH} characters`;

export const MagicLinkBody = z.strictObject({
  email: loginField,
  returnTo: z
    .string(PATH)
    .max(MAX_PATH, PATH)
    .refine(isLocalPath, PATH)
    .optional()
    .describe('Where the user wants to go. It is handed back by the login.'),
  remember: rememberField,
});

export const MagicLinkConfirmationBody = mailedProof({});

const NO_STORE = ['Cache-Control', 'no-store'] as const;
const FLOW = 'link';

/** `flows.magicLink`. */
@UseGuards(OriginGuard, SessionGuard)
export class MagicLinkController {
  constructor(
    private readonly links: MagicLinkService,
    private readonly http: HttpSessions,
    private readonly cookie: FlowCookie,
    private readonly writer: CookieWriter,
  ) {}

  /** Mails a link and a code after the answer, which is the same whatever the address is. */
  @Public()
  @TakesBody()
  @RateLimit({ event: 'mail_ip' })
  @Post('magic-link')
  @HttpCode(202)
  @Header(...NO_STORE)
  requestMagicLink(
    @Req() request: AuthRequest,
    @Res({ passthrough: true }) response: object,
    @Body() body: unknown,
  ): DoneAnswer {
    const { email, ...wishes } = parseBody(MagicLinkBody, body, 'a request for a link');
    const { browser, expiresAt } = this.links.request(email, wishes);
    const cookie = this.cookie.add(FLOW, { value: browser, expiresAt }, headerOf(request, 'cookie'));
    this.writer.add(response, cookie);
    return { message: 'If there is such an account, a mail is on its way. Open its link here, or type its code.' };
  }

  /** Opens the session, and sets the cookie. The session of a cookie that was sent along ends. */
  @Public()
  @TakesBody()
  @Post('magic-link/confirm')
  @HttpCode(200)
  @Header(...NO_STORE)
  async confirmMagicLink(
    @Req() request: AuthRequest,
    @Res({ passthrough: true }) response: object,
    @Body() body: unknown,
  ): Promise<MagicLinkAnswer> {
    const proof = parseBody(MagicLinkConfirmationBody, body, 'a login by link');
    const browsers = this.cookie.values(FLOW, headerOf(request, 'cookie'));
    let returnTo: string | undefined;
    const login = await this.http.open(request, response, async (context) => {
      const opened = await this.links.confirm(proof, { ...context, browsers });
      ({ returnTo } = opened);
      return opened;
    });
    this.writer.add(response, this.cookie.clear(FLOW));
    return { ...loginAnswer(login), ...(returnTo !== undefined && { returnTo }) };
  }
}
