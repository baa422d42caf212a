import { createHash, randomInt } from 'node:crypto';
import { Body, Controller, Header, HttpCode, Post, Req, Res, UnauthorizedException } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { parseCookie, stringifySetCookie } from 'cookie';
import {
  Clock,
  EphemeralTokenService,
  HttpSessions,
  minutes,
  PasswordHasher,
  Public,
  RateLimitService,
  UserDirectory,
} from 'nestjs-latchkey';
import {
  ClientIp,
  DeviceCookie,
  KnownDevices,
  LoginLimits,
  Outbox,
  parseLoginBody,
  PasswordLogin,
} from 'nestjs-latchkey/engine';
import type { IncomingMessage } from 'node:http';

const CHALLENGE = '__Host-2fa-challenge';
const COOKIE = { path: '/', httpOnly: true, secure: true, sameSite: 'lax' } as const;

/**
 * Password, then a mailed code, then the session. Before the last factor there is nothing of full strength: the
 * pre-auth token opens nothing but the second step, and only together with the HttpOnly cookie it was issued with.
 *
 * Mount the module's routes with `routes: { path, login: false }` beside it: their login asks for the password only.
 */
@Public()
@Controller('two-factor')
export class TwoFactorController {
  constructor(
    private readonly users: UserDirectory,
    private readonly tokens: EphemeralTokenService,
    private readonly passwords: PasswordLogin,
    private readonly loginLimits: LoginLimits,
    private readonly deviceCookie: DeviceCookie,
    private readonly devices: KnownDevices,
    private readonly limits: RateLimitService,
    private readonly hasher: PasswordHasher,
    private readonly sessions: HttpSessions,
    private readonly clock: Clock,
    private readonly clientIp: ClientIp,
    private readonly outbox: Outbox,
    private readonly adapterHost: HttpAdapterHost,
  ) {}

  @Post('login')
  @HttpCode(200)
  @Header('Cache-Control', 'no-store')
  async login(@Body() body: unknown, @Req() request: IncomingMessage, @Res({ passthrough: true }) response: object) {
    const { email: login, password } = parseLoginBody(body);
    const authenticatedAt = this.clock.now();
    // The same limits as the login without a second factor.
    const ip = this.clientIp.of(request);
    const {
      id: userId,
      email,
      tokensInvalidatedAfter = null,
    } = await this.loginLimits.enforce(
      ip,
      login,
      (isKnownDevice) => this.passwords.verify(login, password, { ip, isKnownDevice }),
      this.devices.identify(this.deviceCookie.values(request.headers.cookie), login),
    );
    const sent = await this.limits.consumeOrThrow('email_send', login);

    const code = String(randomInt(1_000_000)).padStart(6, '0');
    // Six digits need a slow hash, not the SHA-256 that a token gets (ASVS 6.5.2).
    const codeHash = await this.hasher.hash(code);
    const challenge = await this.tokens.issue('email_otp_setup', { username: login, codeHash }, { ttl: minutes(5) });
    const preAuthToken = await this.tokens.issue('pre_auth', {
      username: login,
      challengeId: challengeId(challenge),
      firstFactor: { authenticatedAt, tokensInvalidatedAfter },
    });
    this.outbox.post({
      kind: 'login_code',
      to: email, // the account's, in whatever spelling it was typed
      userId,
      facts: { code, validFor: minutes(5) },
      onUnsent: async () => {
        await this.tokens.revoke('email_otp_setup', challenge);
        await this.limits.refund(sent);
      },
    });
    this.setCookie(response, stringifySetCookie({ ...COOKIE, name: CHALLENGE, value: challenge, maxAge: 300 }));
    return { preAuthToken };
  }

  @Post('verify')
  @HttpCode(200)
  @Header('Cache-Control', 'no-store')
  async verify(
    @Body('preAuthToken') preAuthToken: unknown,
    @Body('code') code: unknown,
    @Req() request: IncomingMessage,
    @Res({ passthrough: true }) response: object,
  ) {
    const refused = new UnauthorizedException('The login has expired, or the code is wrong.');
    const challenge = parseCookie(request.headers.cookie ?? '')[CHALLENGE];
    if (typeof preAuthToken !== 'string' || typeof code !== 'string' || !challenge || !/^\d{6}$/.test(code))
      throw refused;
    const proved = await this.verifyCode(preAuthToken, challenge, code);
    if (!proved) throw refused;
    const { user } = proved;
    // Refuses an account that got a new password, was disabled or signed out everywhere since the first step.
    await this.sessions.start(request, response, { ...proved, proofs: ['password', 'totp'] });
    this.setCookie(response, stringifySetCookie({ ...COOKIE, name: CHALLENGE, value: '', maxAge: 0 }));
    return { user: { id: user.id, email: user.email } };
  }

  /** The account whose second step this is, and what the first one found; or `null`. */
  private async verifyCode(preAuthToken: string, challenge: string, code: string) {
    const binding = challengeId(challenge);
    const pending = await this.tokens.peek('pre_auth', preAuthToken, binding);
    if (!pending?.firstFactor) return null;
    // Counted for the account, before the code is looked at: a new challenge does not reset it.
    await this.limits.consumeOrThrow('2fa_attempt', pending.username);
    const expected = await this.tokens.peek('email_otp_setup', challenge);
    if (!expected || !(await this.hasher.matches(expected.codeHash, code))) return null;
    // Right: now both are spent, and of two requests with the right code one gets a session.
    if (!(await this.tokens.consume('email_otp_setup', challenge))) return null;
    if (!(await this.tokens.consume('pre_auth', preAuthToken, binding))) return null;
    const user = await this.users.findByLogin(pending.username);
    if (!user) return null;
    await this.limits.clear('2fa_attempt', pending.username);
    return { user, login: pending.username, ...pending.firstFactor };
  }

  private setCookie(response: object, header: string): void {
    this.adapterHost.httpAdapter.appendHeader?.(response, 'Set-Cookie', header);
  }
}

/** The database keeps no value that a cookie holds. */
function challengeId(challenge: string): string {
  return createHash('sha256').update(challenge).digest('hex');
}
