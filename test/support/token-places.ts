import { Controller, Get } from '@nestjs/common';
import { AllowApiKey } from 'nestjs-latchkey/flows';
import { totpOf } from 'nestjs-latchkey/testing';
import request, { type Response } from 'supertest';
import { sha256Hex } from '../../src/crypto/hash.js';
import { MailedLinks } from '../../src/login/mailed-links.js';
import { exchangeOfBrowser } from '../../src/oidc/oidc-requests.js';
import { PASSWORD } from './app.js';
import { SoftwareAuthenticator } from './authenticator.js';
import { LINK_COOKIE } from './magic-link.js';
import { SESSION, TRUSTED } from './mailed-codes.js';
import { PAGE_TOKEN_PLACES } from './page-token-places.js';
import { ORIGIN } from './passkeys.js';
import { PROVIDER, sessionCookie } from './token-kinds.js';
import {
  browser,
  BROWSER,
  ENROLMENT,
  NEXT,
  SECOND_STEP,
  session,
  type Presenter,
  type TokenPlace,
} from './token-presenter.js';
import { cookiesIn } from './two-factor.js';

const RP_ID = new URL(ORIGIN).hostname;
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
    boundTo: session,
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
    boundTo: session,
    present: ({ post, passkey }, challenge) =>
      post('step-up', { method: 'passkey', response: passkey.use({ challenge, rpId: RP_ID }) }),
  },
  'GET oidc/{provider}/callback state': {
    // What comes of it is in the state itself, with the session that it is for.
    takes: ['`oidc_state`, of a login', '`oidc_state`, of a link', '`oidc_state`, of a step-up'],
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
  ...PAGE_TOKEN_PLACES,
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
