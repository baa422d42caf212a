import { minutes, seconds, type AuthModuleExtras, type AuthOptions, type AuthUser } from 'nestjs-latchkey';
import { TwoFactorService } from 'nestjs-latchkey/flows';
import { signInAs, totpOf } from 'nestjs-latchkey/testing';
import request, { type Response } from 'supertest';
import { NO_LOGIN_LIMITS, PASSWORD, type TestApp } from './app.js';
import { MAIL } from './flows.js';

/** Both factors, and a mailer that tells their owners. */
export const TWO_FACTOR: Partial<AuthOptions> & AuthModuleExtras = {
  ...MAIL,
  flows: { twoFactor: { totp: {}, backupCodes: { count: 4 } }, stepUp: {}, passwordChange: {} },
  rateLimits: NO_LOGIN_LIMITS,
};

/** A user who has an authenticator app. */
export interface Enrolled {
  /** In base32. */
  readonly secret: string;
  readonly backupCodes: readonly string[];
  /** The `Cookie` header of the session that enrolled it. */
  readonly cookie: string;
}

/** The cookies that an answer sets, as a `Cookie` header. */
export const cookiesIn = (answer: Response): string =>
  (answer.get('Set-Cookie') ?? []).map((cookie) => cookie.split(';')[0]!).join('; ');

/** Gives the user an authenticator app over HTTP. The clock then shows the next step, so that there is a fresh code. */
export async function enrol(t: TestApp, user: AuthUser): Promise<Enrolled> {
  const cookie = await signInAs(t.app, user.id);
  const post = (path: string, body: object) => request(t.url).post(path).set('Cookie', cookie).send(body);
  const { secret } = (await post('/auth/2fa/totp/setup', {}).expect(200)).body as { secret: string };
  const enabled = await post('/auth/2fa/totp/enable', { code: totpOf(secret, t.clock) }).expect(200);
  t.clock.advance(seconds(30));
  return { secret, backupCodes: enabled.body.backupCodes as string[], cookie: cookiesIn(enabled) };
}

/** A login that waits for its second factor. */
export async function pendingLogin(t: TestApp, { email }: AuthUser) {
  const answer = await request(t.url).post('/auth/login').send({ email, password: PASSWORD }).expect(200);
  return {
    body: answer.body as Record<string, unknown>,
    token: answer.body.token as string,
    challenge: cookiesIn(answer),
  };
}

/** Past every limit of guesses. */
export const pastTheLimits = minutes(20);

export const twoFactorOf = (t: TestApp): TwoFactorService => t.app.get(TwoFactorService);
