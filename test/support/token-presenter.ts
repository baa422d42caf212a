import { PostgresUserDirectory, seconds, type AuthUser } from 'nestjs-latchkey';
import { signInAs } from 'nestjs-latchkey/testing';
import request, { type Response } from 'supertest';
import { sha256Hex } from '../../src/crypto/hash.js';
import { createUser, type TestApp } from './app.js';
import { SoftwareAuthenticator } from './authenticator.js';
import { mailCodesTo, SESSION } from './mailed-codes.js';
import { ORIGIN, PasskeyClient } from './passkeys.js';
import { enrol } from './two-factor.js';

/** The password that a reset chooses. */
export const NEXT = 'a brand new passphrase';
/** The value of every flow cookie of a presenter. */
export const BROWSER = 'b'.repeat(43);

/** Somebody whose request is right in everything but the token. */
export interface Presenter {
  readonly t: TestApp;
  readonly user: AuthUser;
  /** A `Cookie` header: a session, and the browser that the tokens are bound to. */
  readonly cookies: string;
  /** Of that session. */
  readonly handle: string;
  readonly post: (path: string, body: object, cookies?: string) => Promise<Response>;
  /** The secret of the app and the passkey, unless nothing is enrolled. */
  readonly secret: string;
  readonly passkey: SoftwareAuthenticator;
}

/** A part of a request that is a token. */
export interface TokenPlace {
  /** The kind that counts here. */
  readonly takes: string | readonly string[];
  /** What every other one is answered. */
  readonly refused: string;
  /** What a JWT may be answered in its place. */
  readonly refusedJwt?: string;
  /** Whether the presenter has no factor. */
  readonly isPlain?: boolean;
  /** What a token has to be bound to, to be presented here. */
  readonly boundTo: (presenter: Presenter) => Promise<string>;
  readonly present: (presenter: Presenter, token: string) => Promise<Response>;
}

/** What a token is bound to that any browser with {@link BROWSER} may present. */
export const browser = () => Promise.resolve(sha256Hex(BROWSER));
/** What one is bound to that the presenter's session may present. */
export const session = ({ handle }: Presenter) => Promise.resolve(handle);

export const SECOND_STEP = '`pre_auth`, a second factor is due';
export const ENROLMENT = '`pre_auth`, a factor must be enrolled';

/** An account with every factor, or with none, and its requests. */
export async function presenterOf(t: TestApp, { isPlain = false }: Pick<TokenPlace, 'isPlain'>): Promise<Presenter> {
  let user = await createUser(t.app);
  let secret = '';
  let passkey = new SoftwareAuthenticator(ORIGIN);
  if (!isPlain) {
    ({ secret } = await enrol(t, user));
    ({ authenticator: passkey } = await new PasskeyClient(t).register(user));
    await mailCodesTo(t, user);
    // A JWT of the moment of the new passkey has ended with it.
    t.clock.advance(seconds(1));
    // With its cutoff: a held login is over when that moves, as it does with a new factor.
    user = (await t.app.get(PostgresUserDirectory).findById(user.id))!;
    // JWTs of this very instant end with it too.
    t.clock.advance(1);
  }
  const cookie = await signInAs(t.app, user.id, isPlain ? {} : { proofs: ['password', 'passkey-presence'] });
  const { handle } = (await request(t.url).get('/auth/session').set('Cookie', cookie).expect(200)).body.session;
  const flows = ['2fa', 'passkey', 'register', 'oidc'].map((flow) => `${SESSION}-${flow}=${BROWSER}`);
  const cookies = [cookie, ...flows].join('; ');
  const post = async (path: string, body: object, sent = cookies) =>
    request(t.url)
      .post(`/auth/${path}`)
      .set(sent === '' ? {} : { Cookie: sent })
      .send(body);
  return { t, user, cookies, handle: String(handle), post, secret, passkey };
}
