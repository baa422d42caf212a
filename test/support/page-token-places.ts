import { totpOf } from 'nestjs-latchkey/testing';
import request, { type Response } from 'supertest';
import { MailedLinks } from '../../src/login/mailed-links.js';
import { PASSWORD } from './app.js';
import { LINK_COOKIE } from './magic-link.js';
import { SESSION } from './mailed-codes.js';
import { browser, ENROLMENT, NEXT, SECOND_STEP, type Presenter, type TokenPlace } from './token-presenter.js';

const HELD = `${SESSION}-pages`;

/** What a form is answered, in the words of the JSON routes: a page that leads on has done what it was asked for. */
async function submit({ t, cookies }: Presenter, page: string, form: object, more = ''): Promise<Response> {
  const cookie = more === '' ? cookies : `${more}; ${cookies}`;
  const answer = await request(t.url).post(`/auth/p/${page}`).type('form').set('Cookie', cookie).send(form);
  const leadsOn = answer.status === 303 && !answer.get('Location')!.startsWith('sign-in?again');
  return { ...answer, status: leadsOn ? 200 : answer.status, body: {}, text: answer.text } as Response;
}

/** A page that a mailed link opens, with the token in this field. */
const linked = (page: string, takes: string, field = 'token', more: object = {}): TokenPlace => ({
  takes,
  refused: '400',
  boundTo: browser,
  present: (presenter, token) => submit(presenter, page, { ...more, [field]: token }),
});

/** A page of a login that is held in a cookie of the pages. */
const held = (page: string, takes: string, form: (presenter: Presenter) => object = () => ({})): TokenPlace => ({
  takes,
  refused: '401',
  boundTo: browser,
  present: (presenter, token) => submit(presenter, page, form(presenter), `${HELD}=${token}`),
});

/** As {@link TOKEN_PLACES}, of the pages. */
export const PAGE_TOKEN_PLACES: Readonly<Record<string, TokenPlace>> = {
  'POST p/confirm code': linked('confirm', '`register`', 'code', { password: PASSWORD }),
  'POST p/link code': {
    ...linked('link', '`magic_link`'),
    isPlain: true,
    present: (presenter, token) =>
      submit(
        presenter,
        'link',
        { code: token },
        `${LINK_COOKIE}=${presenter.t.app.get(MailedLinks).browserOf('magic_link', token)}`,
      ),
  },
  'POST p/reset token': linked('reset', '`password_reset`', 'token', { password: NEXT }),
  'POST p/confirm-email token': linked('confirm-email', '`email_change`'),
  'POST p/revert-email token': linked('revert-email', '`email_revert`'),
  'POST p/revert-factor token': linked('revert-factor', '`factor_revert`'),
  [`POST p/two-factor-send Cookie: ${HELD}`]: held('two-factor-send', SECOND_STEP, () => ({ chosen: 'email-code' })),
  [`POST p/two-factor Cookie: ${HELD}`]: held('two-factor', SECOND_STEP, ({ t, secret }) => ({
    chosen: 'totp',
    code: totpOf(secret, t.clock),
  })),
  [`POST p/enrol Cookie: ${HELD}`]: { ...held('enrol', ENROLMENT), isPlain: true },
  [`POST p/enrol-on Cookie: ${HELD}`]: {
    ...held('enrol-on', ENROLMENT),
    isPlain: true,
    present: async (presenter, token) => {
      // Who has no token for a set-up sends the code of another app.
      const { secret = 'A'.repeat(32) } = (await presenter.post('2fa/totp/setup', { token })).body as {
        secret?: string;
      };
      return submit(presenter, 'enrol-on', { code: totpOf(secret, presenter.t.clock) }, `${HELD}=${token}`);
    },
  },
};
