import { seconds, type AuthModuleExtras, type AuthOptions, type AuthUser } from 'nestjs-latchkey';
import { MemoryMailer, signInAs } from 'nestjs-latchkey/testing';
import request, { type Response } from 'supertest';
import type { TestApp } from './app.js';
import { SoftwareAuthenticator, type Tampering } from './authenticator.js';

export const ORIGIN = 'https://app.example.com';

/** What an application with passkeys is made of. */
export const PASSKEYS = {
  baseUrl: ORIGIN,
  mailer: MemoryMailer,
  mail: { pages: { first_factor_added: '/not-me', password_reset: '/reset' }, timeout: seconds(0.5) },
  flows: { passkeys: { rpName: 'Notes' }, stepUp: {} },
  rateLimits: { backoff: { base: 0 }, policies: { passkey_ip: { limit: 100_000 }, login_ip: { limit: 100_000 } } },
} satisfies Partial<AuthOptions> & AuthModuleExtras;

type Response_ = Response;

/** The cookies of an answer, as a browser sends them back. */
export const cookiesOf = (answer: Response_): string[] =>
  (answer.get('Set-Cookie') ?? []).map((cookie) => cookie.split(';')[0]!).filter((cookie) => !cookie.endsWith('='));

/** What pages do with passkeys, over HTTP. */
export class PasskeyClient {
  constructor(private readonly t: TestApp) {}

  post(path: string, body: object = {}, cookies: readonly string[] = []) {
    return request(this.t.url)
      .post(`/auth/${path}`)
      .set('Cookie', [...cookies])
      .send(body);
  }

  /** A session of this user that has proved as much as it can, just now. */
  signIn(user: AuthUser, proofs: readonly string[] = ['password', 'passkey-presence']): Promise<string> {
    return signInAs(this.t.app, user.id, { proofs });
  }

  /** A passkey of this user, which a new authenticator holds. All sessions of the user end, but `by`. */
  async register(
    user: AuthUser,
    {
      authenticator = new SoftwareAuthenticator(ORIGIN),
      name,
      by,
    }: { authenticator?: SoftwareAuthenticator; name?: string; by?: string } = {},
  ): Promise<{ authenticator: SoftwareAuthenticator; id: string }> {
    const cookie = by ?? (await this.signIn(user));
    const { body: options } = await this.post('passkeys/options', {}, [cookie]).expect(200);
    const response = authenticator.register(options);
    const { body } = await this.post('passkeys', { response, name }, [cookie]).expect(201);
    return { authenticator, id: body.id };
  }

  /** The options of a login, and the cookie of the browser that asked. */
  async loginOptions() {
    const answer = await this.post('passkey-login/options').expect(200);
    return { options: answer.body, browser: cookiesOf(answer) };
  }

  async logIn(authenticator: SoftwareAuthenticator, tampering: Tampering = {}): Promise<Response_> {
    const { options, browser } = await this.loginOptions();
    return this.post('passkey-login', { response: authenticator.use(options, tampering) }, browser);
  }
}
