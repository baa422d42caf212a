import { Injectable } from '@nestjs/common';
import {
  AuthEvents,
  EphemeralTokenService,
  PostgresUserDirectory,
  SessionService,
  type AuthModuleExtras,
  type AuthOptions,
  type AuthUser,
} from 'nestjs-latchkey';
import { EmailChangeService, MagicLinkService, RegistrationService, SecondFactor } from 'nestjs-latchkey/flows';
import { MemoryMailer, signInAs } from 'nestjs-latchkey/testing';
import request from 'supertest';
import type { FlowName } from '../../src/config/flow-settings.js';
import { createUser, NO_LOGIN_LIMITS, PASSWORD, type TestApp } from '../support/app.js';
import { ACCOUNT_FLOWS, MAIL, TWO_FACTOR_FLOW } from '../support/flows.js';
import { LINK_COOKIE } from '../support/magic-link.js';
import { cookiesOf, FLOW_COOKIE } from '../support/registration.js';
import { factorVisitsOf } from './factor-routes.js';
import { providerVisitsOf } from './provider-routes.js';
import type { Visit } from './public-routes.js';

const NEW_PASSWORD = 'another horse battery';
const PIN = '1234';

/** Whoever has `factor` in the address has one. */
@Injectable()
export class PinFactor extends SecondFactor {
  readonly method = 'pin';
  readonly requested = new Set<string>();

  override async isEnrolled({ email }: AuthUser): Promise<boolean> {
    return email.includes('factor');
  }

  override async verify(_user: AuthUser, response: string): Promise<boolean> {
    return response === PIN;
  }

  override async request({ id }: AuthUser): Promise<void> {
    this.requested.add(id);
  }
}

/**
 * All flows: a new one does not compile here before it is named, and `checkFault` misses its routes. The pages do what
 * these routes do, see `test/http/pages-sign-in.spec.ts`; those for operators, see `pages-admin.spec.ts`.
 */
const FLOWS = {
  ...ACCOUNT_FLOWS,
  twoFactor: TWO_FACTOR_FLOW,
  passkeys: { rpName: 'Notes' },
  oidc: { providers: [{ id: 'idp', issuer: 'http://localhost:1', clientId: 'notes' }] },
  apiKeys: { scopes: ['notes:read'] },
  magicLink: {},
} satisfies Record<Exclude<FlowName, 'pages' | 'admin'>, object>;

const unlimited = { limit: 100_000 };

export const WITH_FLOWS: Partial<AuthOptions> & AuthModuleExtras = {
  ...MAIL,
  flows: FLOWS,
  secondFactors: [PinFactor],
  // Everybody comes from one address, and asks again until it is over.
  rateLimits: {
    ...NO_LOGIN_LIMITS,
    policies: {
      ...NO_LOGIN_LIMITS!.policies,
      ...Object.fromEntries(
        [
          'register_ip',
          'mail_ip',
          'revert_ip',
          'email_send',
          'password_reset_ip',
          'password_reset_send',
          '2fa_attempt',
          'passkey_ip',
          'oidc_start_ip',
          'oidc_callback_ip',
          'oidc_logout_ip',
        ].map((event) => [event, unlimited]),
      ),
    },
  },
};

/** How the flows are visited, each by an account of its own; what is mailed for them has been mailed by then. */
export async function flowVisitsOf(t: TestApp, name: string): Promise<Visit[]> {
  const app = t.app;
  const users = app.get(PostgresUserDirectory);
  const account = (role: string) => createUser(app, `${name}-${role}@example.com`);
  const post = (path: string, body: object, cookie = '') =>
    request(t.url)
      .post(`/auth/${path}`)
      .set(cookie === '' ? {} : { Cookie: cookie })
      .send(body);
  const isIn = async (cookie: string) => (await request(t.url).get('/guarded').set('Cookie', cookie)).status === 200;
  const sessionIn = (answer: request.Response) => `__Host-session=${cookiesOf(answer)['__Host-session']}`;
  const logsIn = async (email: string, password: string) => (await post('login', { email, password })).status === 200;
  /**
   * The mail comes after the answer. One that the fault has kept from being prepared is told as `mail.failed`, has cost
   * nothing, and comes when it is asked for again.
   */
  const isMailed =
    (kind: string, email: string, ask: () => request.Test, before = 0) =>
    async () => {
      const has = async () =>
        (await MemoryMailer.of(app)).to(email).filter((mail) => mail.kind === kind).length > before;
      if (await has()) return true;
      if (!failures.has(app)) return false;
      return (await ask()).status === 202 && (await has());
    };
  const failures = failuresOf(t);

  const proving = await account('factor');
  const pending = await post('login', { email: proving.email, password: PASSWORD });
  const asking = await account('factor-send');
  const rising = await account('factor-rising');
  const risingIn = await signInAs(app, rising.id, { proofs: ['password', 'pin'] });
  const toSend = await post('login', { email: asking.email, password: PASSWORD });
  const challengeOf = (answer: request.Response) =>
    answer
      .get('Set-Cookie')!
      .map((one) => one.slice(0, one.indexOf(';')))
      .join('; ');
  const tokenOf = ({ body }: request.Response) => (body as { token: string }).token;

  const registered = `${name}-registered@example.com`;
  const { browser } = await app.get(RegistrationService).register(registered, { password: PASSWORD });
  const resent = `${name}-resent@example.com`;
  const resending = await app.get(RegistrationService).register(resent, { password: PASSWORD });
  const registration = (await MemoryMailer.of(app)).to(registered).find((mail) => mail.kind === 'registration') as
    { token: string } | undefined;
  if (!registration) throw new Error(`No link to ${registered}.`);
  const forgetful = await account('forgetful');
  const resetting = await account('resetting');
  const reset = await app.get(EphemeralTokenService).issue('password_reset', { username: resetting.email });
  const linked = await account('linked');
  const linking = await account('linking');
  const changing = await account('changing');
  const moving = await account('moving');
  const movingTo = `${name}-moving@new.example.com`;
  const confirming = await account('confirming');
  const confirmingTo = `${name}-confirming@new.example.com`;
  const moved = await account('moved');
  const leaving = await account('deleting');
  const stepping = await account('stepping');
  const changes = app.get(EmailChangeService);
  /** The deadlines are so short that a busy machine can miss one: then it is asked for again. */
  const linkTo = async (email: string, ask: () => unknown): Promise<string> => {
    for (let attempt = 0; attempt < 5; attempt++) {
      ask();
      const mail = (await MemoryMailer.of(app)).to(email).findLast((one) => 'token' in one);
      if (mail) return (mail as unknown as { token: string }).token;
    }
    throw new Error(`No link to ${email}.`);
  };
  const magicLinks = app.get(MagicLinkService);
  let linkBrowser = '';
  const magicLink = await linkTo(linking.email, () => ({ browser: linkBrowser } = magicLinks.request(linking.email)));
  const movedTo = `${name}-moved@new.example.com`;
  await changes.confirm(await linkTo(movedTo, () => changes.request({ id: moved.id }, movedTo)));
  const undo = await linkTo(moved.email, () => undefined);
  const confirmation = await linkTo(confirmingTo, () => changes.request({ id: confirming.id }, confirmingTo));
  const cookies = {
    changing: await signInAs(app, changing.id),
    moving: await signInAs(app, moving.id),
    leaving: await signInAs(app, leaving.id),
    stepping: await signInAs(app, stepping.id),
  };

  const mails = (path: string, kind: string, email: string, send: () => request.Test, before = 0): Visit => ({
    name: `POST ${path}`,
    credential: 'once',
    healthy: 202,
    writes: true,
    send,
    happened: isMailed(kind, email, send, before),
    done: isMailed(kind, email, send, before),
  });
  const once = (
    path: string,
    send: () => request.Test,
    happened: () => Promise<boolean>,
    done: (answer: request.Response) => Promise<boolean> = happened,
  ): Visit => ({ name: path, credential: 'once', healthy: 200, writes: true, send, happened, done });
  const newcomer = `${name}-newcomer@example.com`;
  return [
    mails('register', 'registration', newcomer, () => post('register', { email: newcomer, password: PASSWORD })),
    mails(
      'register/resend',
      'registration',
      resent,
      () => post('register/resend', { email: resent }, `${FLOW_COOKIE}=${resending.browser}`),
      1,
    ),
    once(
      'POST register/confirm',
      () => post('register/confirm', { token: registration.token }, `${FLOW_COOKIE}=${browser}`),
      () => logsIn(registered, PASSWORD),
    ),
    mails('magic-link', 'magic_link', linked.email, () => post('magic-link', { email: linked.email })),
    once(
      'POST magic-link/confirm',
      () => post('magic-link/confirm', { token: magicLink }, `${LINK_COOKIE}=${linkBrowser}`),
      async () => (await app.get(SessionService).listForUser(linking.id)).length > 0,
      async (answer) => isIn(sessionIn(answer)),
    ),
    mails('forgot-password', 'password_reset', forgetful.email, () =>
      post('forgot-password', { email: forgetful.email }),
    ),
    once(
      'POST reset-password',
      () => post('reset-password', { token: reset, password: NEW_PASSWORD }),
      () => logsIn(resetting.email, NEW_PASSWORD),
    ),
    once(
      'POST change-password',
      () => post('change-password', { currentPassword: PASSWORD, newPassword: NEW_PASSWORD }, cookies.changing),
      () => logsIn(changing.email, NEW_PASSWORD),
    ),
    mails('change-email', 'email_change', movingTo, () => post('change-email', { email: movingTo }, cookies.moving)),
    once(
      'POST confirm-email-change',
      () => post('confirm-email-change', { token: confirmation }),
      async () => (await users.findById(confirming.id))?.email === confirmingTo,
    ),
    once(
      'POST revert-email-change',
      () => post('revert-email-change', { token: undo }),
      async () => (await users.findById(moved.id))?.email === moved.email,
    ),
    once(
      'DELETE account',
      () => request(t.url).delete('/auth/account').set('Cookie', cookies.leaving),
      async () => (await users.findById(leaving.id)) === null,
    ),
    {
      name: 'GET step-up',
      credential: 'live',
      healthy: 200,
      send: () => request(t.url).get('/auth/step-up').set('Cookie', cookies.moving),
    },
    once(
      'POST step-up',
      () => post('step-up', { method: 'password', password: PASSWORD }, cookies.stepping),
      async () => !(await isIn(cookies.stepping)),
      async (answer) => isIn(sessionIn(answer)),
    ),
    {
      ...mails('2fa/send', '', '', () =>
        post('2fa/send', { token: tokenOf(toSend), method: 'pin' }, challengeOf(toSend)),
      ),
      happened: async () => app.get(PinFactor).requested.has(asking.id),
      done: async () => app.get(PinFactor).requested.has(asking.id),
    },
    {
      ...mails('step-up/send', '', '', () => post('step-up/send', { method: 'pin' }, risingIn)),
      happened: async () => app.get(PinFactor).requested.has(rising.id),
      done: async () => app.get(PinFactor).requested.has(rising.id),
    },
    once(
      'POST 2fa/verify',
      () => post('2fa/verify', { token: tokenOf(pending), method: 'pin', code: PIN }, challengeOf(pending)),
      async () => (await app.get(SessionService).listForUser(proving.id)).length > 0,
      async (answer) => isIn(sessionIn(answer)),
    ),
    ...(await factorVisitsOf(t, name, mails)),
    ...(await providerVisitsOf(t, name)),
  ];
}

const heard = new WeakMap<object, Set<object>>();

/** Has the application itself in it as soon as a mail has failed. */
function failuresOf({ app }: TestApp): Set<object> {
  const known = heard.get(app) ?? new Set<object>();
  if (!heard.has(app)) app.get(AuthEvents).on(({ type }) => void (type === 'mail.failed' && known.add(app)));
  heard.set(app, known);
  return known;
}
