import { Controller, Get } from '@nestjs/common';
import { PostgresUserDirectory, seconds, type AuthUser } from 'nestjs-latchkey';
import { AllowApiKey } from 'nestjs-latchkey/engine';
import { signInAs, totpOf } from 'nestjs-latchkey/testing';
import request, { type Response } from 'supertest';
import { sha256Hex } from '../../src/crypto/hash.js';
import { exchangeOfBrowser } from '../../src/oidc/oidc-requests.js';
import { createUser, PASSWORD, type TestApp } from './app.js';
import { SoftwareAuthenticator } from './authenticator.js';
import { MailedLinks } from '../../src/login/mailed-links.js';
import { LINK_COOKIE } from './magic-link.js';
import { mailCodesTo, SESSION, TRUSTED } from './mailed-codes.js';
import { ORIGIN, PasskeyClient } from './passkeys.js';
import { PROVIDER, sessionCookie } from './token-kinds.js';
import { cookiesIn, enrol } from './two-factor.js';

const NEXT = 'a brand new passphrase';
const RP_ID = new URL(ORIGIN).hostname;
const BROWSER = 'b'.repeat(43);
const KEPT = `${SESSION}-oidc-link`;

/** A handler of the application that takes API keys. */
@Controller('keys')
export class KeysController {
  @AllowApiKey('notes:read')
  @Get()
  list() {
    return {};
  }
}

/** Somebody whose request is right in everything but the token. */
export interface Presenter {
  readonly t: TestApp;
  readonly user: AuthUser;
  /** A `Cookie` header: a session, and the browser that the tokens are bound to. */
  readonly cookies: string;
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

const browser = () => Promise.resolve(sha256Hex(BROWSER));
const handle = async ({ t, cookies }: Presenter): Promise<string> =>
  (await request(t.url).get('/auth/session').set('Cookie', cookies).expect(200)).body.session.handle as string;
const LOGIN_EXPIRED = '401 LOGIN_EXPIRED';
const INVALID_LINK = '400 INVALID_LINK';
const FACTOR_REFUSED = '401 SECOND_FACTOR_REFUSED';
const TOO_LONG = '422 INVALID_INPUT';
const heldLogins = new WeakMap<Presenter, Promise<{ token: string; challenge: string }>>();

/** A login of the presenter that waits for its second step: the same for every token. */
function held(presenter: Presenter): Promise<{ token: string; challenge: string }> {
  const { user, post } = presenter;
  const made = heldLogins.get(presenter) ?? logIn();
  heldLogins.set(presenter, made);
  return made;
  async function logIn() {
    const answer = await post('login', { email: user.email, password: PASSWORD }, '');
    return { token: answer.body.token as string, challenge: cookiesIn(answer) };
  }
}

const SECOND_STEP = '`pre_auth`, a second factor is due';
const ENROLMENT = '`pre_auth`, a factor must be enrolled';

/** Every part of a request to this module that is a token: `METHOD path field`, or a header in place of the field. */
export const TOKEN_PLACES: Readonly<Record<string, TokenPlace>> = {
  'POST register/confirm token': {
    takes: '`register`',
    refused: INVALID_LINK,
    boundTo: browser,
    present: ({ post }, token) => post('register/confirm', { token, password: PASSWORD }),
  },
  'POST magic-link/confirm token': {
    takes: '`magic_link`',
    refused: INVALID_LINK,
    isPlain: true,
    boundTo: browser,
    // As the browser that asked, whatever the token is.
    present: ({ t, post }, token) =>
      post('magic-link/confirm', { token }, `${LINK_COOKIE}=${t.app.get(MailedLinks).browserOf('magic_link', token)}`),
  },
  'POST reset-password token': {
    takes: '`password_reset`',
    refused: INVALID_LINK,
    boundTo: browser,
    present: ({ post }, token) => post('reset-password', { token, password: NEXT }),
  },
  'POST confirm-email-change token': {
    takes: '`email_change`',
    refused: INVALID_LINK,
    boundTo: browser,
    present: ({ post }, token) => post('confirm-email-change', { token }),
  },
  'POST revert-email-change token': {
    takes: '`email_revert`',
    refused: INVALID_LINK,
    boundTo: browser,
    present: ({ post }, token) => post('revert-email-change', { token }),
  },
  'POST revert-factor token': {
    takes: '`factor_revert`',
    refused: INVALID_LINK,
    boundTo: browser,
    present: ({ post }, token) => post('revert-factor', { token }),
  },
  'POST 2fa/send token': {
    takes: SECOND_STEP,
    refused: FACTOR_REFUSED,
    refusedJwt: TOO_LONG,
    boundTo: browser,
    present: ({ post }, token) => post('2fa/send', { token, method: 'email-code' }),
  },
  'POST 2fa/passkey/options token': {
    takes: SECOND_STEP,
    refused: FACTOR_REFUSED,
    refusedJwt: TOO_LONG,
    boundTo: browser,
    present: ({ post }, token) => post('2fa/passkey/options', { token }),
  },
  'POST 2fa/verify token': {
    takes: SECOND_STEP,
    refused: FACTOR_REFUSED,
    refusedJwt: TOO_LONG,
    boundTo: browser,
    present: ({ t, post, secret }, token) =>
      post('2fa/verify', { token, method: 'totp', code: totpOf(secret, t.clock) }),
  },
  'POST 2fa/verify response': {
    takes: '`passkey_assert`, for a second step',
    refused: FACTOR_REFUSED,
    boundTo: async (presenter) => sha256Hex((await held(presenter)).token),
    present: async (presenter, challenge) => {
      const { token, challenge: cookie } = await held(presenter);
      const response = presenter.passkey.use({ challenge, rpId: RP_ID });
      return presenter.post('2fa/verify', { token, method: 'passkey', response }, cookie);
    },
  },
  'POST 2fa/totp/setup token': {
    takes: ENROLMENT,
    refused: FACTOR_REFUSED,
    refusedJwt: TOO_LONG,
    isPlain: true,
    boundTo: browser,
    present: ({ post }, token) => post('2fa/totp/setup', { token }),
  },
  'POST 2fa/totp/enable token': {
    takes: ENROLMENT,
    refused: FACTOR_REFUSED,
    refusedJwt: TOO_LONG,
    isPlain: true,
    boundTo: browser,
    present: async ({ t, post }, token) => {
      // Who has no token for a set-up sends the code of another app.
      const { secret = 'A'.repeat(32) } = (await post('2fa/totp/setup', { token })).body as { secret?: string };
      return post('2fa/totp/enable', { token, code: totpOf(secret, t.clock) });
    },
  },
  'POST passkeys response': {
    takes: '`passkey_register`',
    refused: '400 PASSKEY_REFUSED',
    isPlain: true,
    boundTo: handle,
    present: ({ post }, challenge) => {
      const options = { challenge, rp: { id: RP_ID }, user: { id: 'h' } };
      return post('passkeys', { response: new SoftwareAuthenticator(ORIGIN).register(options) });
    },
  },
  'POST passkey-login response': {
    takes: '`passkey_assert`, for a login',
    refused: '401 INVALID_CREDENTIALS',
    boundTo: browser,
    present: ({ post, passkey }, challenge) =>
      post('passkey-login', { response: passkey.use({ challenge, rpId: RP_ID }) }),
  },
  'POST step-up response': {
    takes: '`passkey_assert`, for a step-up',
    refused: FACTOR_REFUSED,
    boundTo: handle,
    present: ({ post, passkey }, challenge) =>
      post('step-up', { method: 'passkey', response: passkey.use({ challenge, rpId: RP_ID }) }),
  },
  'GET oidc/{provider}/callback state': {
    takes: '`oidc_state`, of a login',
    refused: LOGIN_EXPIRED,
    boundTo: browser,
    present: async ({ t, cookies }, state) => {
      const path = `/auth/oidc/${PROVIDER.provider}/callback`;
      const answer = await request(t.url).get(path).query({ state, code: 'c' }).set('Cookie', cookies);
      const { searchParams } = new URL(answer.get('Location')!, ORIGIN);
      // That the provider was asked, which does not answer, shows that it was one.
      const isOne = searchParams.get('error') === 'PROVIDER_FAILED';
      return { status: isOne ? 200 : 401, body: isOne ? {} : { code: searchParams.get('error') } } as Response;
    },
  },
  'POST oidc/exchange token': {
    takes: '`oidc_exchange`, of a login',
    refused: LOGIN_EXPIRED,
    refusedJwt: TOO_LONG,
    isPlain: true,
    boundTo: () => Promise.resolve(exchangeOfBrowser(BROWSER)),
    present: ({ post }, token) => post('oidc/exchange', { token }),
  },
  [`POST oidc/{provider}/link-kept Cookie: ${KEPT}`]: {
    takes: '`oidc_link`',
    refused: LOGIN_EXPIRED,
    isPlain: true,
    boundTo: browser,
    present: ({ post, cookies }, token) =>
      post(`oidc/${PROVIDER.provider}/link-kept`, {}, `${cookies}; ${KEPT}=${token}`),
  },
  [`POST login Cookie: ${TRUSTED}`]: {
    takes: '`trusted_browser`',
    refused: '200 second_factor',
    boundTo: browser,
    present: ({ post, user: { email } }, token) => post('login', { email, password: PASSWORD }, `${TRUSTED}=${token}`),
  },
  [`GET session Cookie: ${SESSION}`]: {
    takes: 'a session',
    refused: '401 UNAUTHENTICATED',
    boundTo: browser,
    present: async ({ t }, token) => request(t.url).get('/auth/session').set('Cookie', sessionCookie(token)),
  },
  'GET session Authorization: Bearer': {
    takes: ['a session', 'a session JWT'],
    refused: '401 UNAUTHENTICATED',
    refusedJwt: '401 INVALID_TOKEN',
    boundTo: browser,
    present: async ({ t }, token) => request(t.url).get('/auth/session').set('Authorization', `Bearer ${token}`),
  },
  'a handler with @AllowApiKey, Authorization: Bearer': {
    takes: ['a session', 'a session JWT', 'an API key'],
    refused: '401 UNAUTHENTICATED',
    refusedJwt: '401 INVALID_TOKEN',
    boundTo: browser,
    present: async ({ t }, token) => request(t.url).get('/keys').set('Authorization', `Bearer ${token}`),
  },
};

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
  const session = await signInAs(t.app, user.id, isPlain ? {} : { proofs: ['password', 'passkey-presence'] });
  const flows = ['2fa', 'passkey', 'register', 'oidc'].map((flow) => `${SESSION}-${flow}=${BROWSER}`);
  const cookies = [session, ...flows].join('; ');
  const post = async (path: string, body: object, sent = cookies) =>
    request(t.url)
      .post(`/auth/${path}`)
      .set(sent === '' ? {} : { Cookie: sent })
      .send(body);
  return { t, user, cookies, post, secret, passkey };
}
