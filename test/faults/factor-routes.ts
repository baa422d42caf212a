import { hours, SessionService, UserDirectory, type AuthUser } from 'nestjs-latchkey';
import { PasskeyStore } from 'nestjs-latchkey/engine';
import { ApiKeyService, PasskeyService } from 'nestjs-latchkey/flows';
import { MemoryMailer, signInAs, totpOf } from 'nestjs-latchkey/testing';
import request from 'supertest';
import { EnrolledFactors } from '../../src/login/enrolled-factors.js';
import { TrustedBrowsers } from '../../src/login/trusted-browsers.js';
import { BackupCodeFactor } from '../../src/two-factor/backup-code.factor.js';
import { EmailFactorStore } from '../../src/two-factor/email-factor.store.js';
import { TotpFactor } from '../../src/two-factor/totp.factor.js';
import { createUser, PASSWORD, type TestApp } from '../support/app.js';
import { SoftwareAuthenticator } from '../support/authenticator.js';
import { BASE_URL } from '../support/flows.js';
import { codeTo, TRUSTED } from '../support/mailed-codes.js';
import { cookiesIn } from '../support/two-factor.js';
import type { Visit } from './public-routes.js';

const SECRET = 'JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP';
const never = async () => false;

type Done = (answer: request.Response) => Promise<boolean>;

/** How the routes of second factors, passkeys and API keys are visited, each by an account of its own. */
export async function factorVisitsOf(
  t: TestApp,
  name: string,
  mailed: (path: string, kind: string, email: string, send: () => request.Test) => Visit,
): Promise<Visit[]> {
  const { app } = t;
  const sessions = app.get(SessionService);
  const backupCodes = app.get(BackupCodeFactor);
  const apiKeys = app.get(ApiKeyService);
  const account = (role: string) => createUser(app, `${name}-${role}@example.com`);
  const send = (method: 'get' | 'post' | 'patch' | 'delete', path: string, cookie: string, body?: object) => {
    const asked = request(t.url)[method](`/auth/${path}`);
    return asked.set(cookie === '' ? {} : { Cookie: cookie }).send(body);
  };
  const isIn: Done = async (answer) => {
    const session = cookiesIn(answer)
      .split('; ')
      .find((one) => one.startsWith('__Host-session='));
    return (
      (
        await request(t.url)
          .get('/guarded')
          .set('Cookie', session ?? '')
      ).status === 200
    );
  };
  const hasSession = (user: AuthUser) => async () => (await sessions.listForUser(user.id)).length > 0;
  const methodsOf = async ({ id }: AuthUser) => {
    const user = await app.get(UserDirectory).findById(id);
    return app.get(EnrolledFactors).methodsOf(user!);
  };
  const has =
    (user: AuthUser, method: string, expected = true) =>
    async () =>
      (await methodsOf(user)).includes(method) === expected;
  /** What is asked once; `happened` unless it leaves nothing that one could see. */
  const once = (
    route: string,
    ask: () => request.Test,
    done: Done,
    { happened = never, healthy = 200 }: { happened?: () => Promise<boolean>; healthy?: number } = {},
  ): Visit => ({ name: route, credential: 'once', healthy, writes: true, send: ask, happened, done });
  const live = (route: string, path: string, cookie: string): Visit => ({
    name: route,
    credential: 'live',
    healthy: 200,
    send: () => send('get', path, cookie),
  });
  const bodyHas =
    (field: string): Done =>
    async ({ body }) =>
      typeof (body as Record<string, unknown>)[field] === 'string';
  /** The deadlines are so short that a busy machine can miss one: then it is asked for again. */
  const well = async (status: number, ask: () => request.Test): Promise<request.Response> => {
    for (let attempt = 0; attempt < 5; attempt++) {
      const answer = await ask();
      if (answer.status === status) return answer;
      if (answer.status !== 503) throw new Error(`${answer.status} ${answer.text}`);
    }
    throw new Error('503 five times.');
  };

  /** The code of this step stays fresh. */
  const withTotp = async (user: AuthUser) => {
    await app.get(TotpFactor).put(user.id, SECRET, 1, { isFirst: true, now: t.clock.now() });
    return user;
  };
  const withEmailCode = async (user: AuthUser) => {
    await app.get(EmailFactorStore).enable(user.id, t.clock.now());
    return user;
  };
  const withPasskey = async (user: AuthUser) => {
    const cookie = await signInAs(app, user.id);
    const authenticator = new SoftwareAuthenticator(BASE_URL);
    const { body } = await well(200, () => send('post', 'passkeys/options', cookie));
    const response = authenticator.register(body as Parameters<typeof authenticator.register>[0]);
    await well(201, () => send('post', 'passkeys', cookie, { response }));
    await sessions.revokeAllForUser(user.id);
    const [{ id } = { id: '' }] = await app.get(PasskeyStore).listByUser(user.id);
    return { user, authenticator, id };
  };
  const held = async ({ email }: AuthUser) => {
    const answer = await well(200, () => send('post', 'login', '', { email, password: PASSWORD }));
    return { token: (answer.body as { token: string }).token, challenge: cookiesIn(answer) };
  };
  const using = (authenticator: SoftwareAuthenticator, answer: request.Response) =>
    authenticator.use(answer.body as Parameters<typeof authenticator.use>[0]);
  const verify = (
    { token, challenge }: Awaited<ReturnType<typeof held>>,
    method: string,
    response: { code: string } | { response: object },
    more: object = {},
  ) => send('post', '2fa/verify', challenge, { token, method, ...response, ...more });
  const code = () => ({ code: totpOf(SECRET, t.clock) });
  const sure = { aal: 2 } as const;

  const looking = await signInAs(app, (await account('looking')).id);

  const settingUp = await signInAs(app, (await account('setting-up')).id);
  const enabling = await account('enabling');
  const enablingIn = await signInAs(app, enabling.id);
  const { secret } = (await well(200, () => send('post', '2fa/totp/setup', enablingIn, {}))).body as { secret: string };
  const enrolling = await held(await account('must-enrol'));
  const enrolled = await account('must-enrol-now');
  const enrolledIn = await held(enrolled);
  const heldSecret = (
    await well(200, () => send('post', '2fa/totp/setup', enrolledIn.challenge, { token: enrolledIn.token }))
  ).body as { secret: string };
  const disabling = await withTotp(await account('disabling'));
  const disablingIn = await signInAs(app, disabling.id, sure);
  const codes = await withTotp(await account('codes'));
  const codesIn = await signInAs(app, codes.id, sure);

  const mailing = await account('mailing');
  const mailingIn = await signInAs(app, mailing.id);
  const mailedTo = await account('mailed');
  const mailedIn = await signInAs(app, mailedTo.id);
  const codeFor = async (user: AuthUser, kind: 'login_code' | 'email_code_setup', ask: () => request.Test) => {
    for (let attempt = 0; attempt < 5; attempt++) {
      await well(202, ask);
      if ((await MemoryMailer.of(app)).to(user.email).some((mail) => mail.kind === kind)) return codeTo(t, user, kind);
    }
    throw new Error(`No code to ${user.email}.`);
  };
  const setupCode = await codeFor(mailedTo, 'email_code_setup', () => send('post', '2fa/email/enable', mailedIn));
  const unmailing = await withEmailCode(await account('unmailing'));
  const unmailingIn = await signInAs(app, unmailing.id, { proofs: ['password', 'email-code'] });
  const coded = await withEmailCode(await account('coded'));
  const codedLogin = await held(coded);
  const loginCode = await codeFor(coded, 'login_code', () =>
    send('post', '2fa/send', codedLogin.challenge, { token: codedLogin.token, method: 'email-code' }),
  );

  const trusting = await withEmailCode(await account('trusting'));
  const trustingIn = await signInAs(app, trusting.id, { proofs: ['password', 'email-code'] });
  await app.get(TrustedBrowsers).trust(trusting, [], null);
  const trusted = await withEmailCode(await account('trusted'));
  const { value: trust } = (await app.get(TrustedBrowsers).trust(trusted, [], null))!;

  const timed = await withTotp(await account('timed'));
  const timedLogin = await held(timed);
  const written = await withTotp(await account('written'));
  const issued = await backupCodes.issue(null);
  await backupCodes.replace(written.id, issued, t.clock.now());
  const writtenLogin = await held(written);
  const stepping = await withTotp(await account('stepping-totp'));
  const steppingIn = await signInAs(app, stepping.id, sure);

  const asking = await signInAs(app, (await account('passkey-asking')).id);
  const adding = await account('passkey-adding');
  const addingIn = await signInAs(app, adding.id);
  const added = new SoftwareAuthenticator(BASE_URL).register(
    (await well(200, () => send('post', 'passkeys/options', addingIn))).body as never,
  );
  const proved = { proofs: ['password', 'passkey-presence'] };
  const renaming = await withPasskey(await account('passkey-renaming'));
  const renamingIn = await signInAs(app, renaming.user.id, proved);
  const removing = await withPasskey(await account('passkey-removing'));
  const removingIn = await signInAs(app, removing.user.id, proved);
  const entering = await withPasskey(await account('passkey-entering'));
  const entry = await well(200, () => send('post', 'passkey-login/options', ''));
  const entrance = using(entering.authenticator, entry);
  const second = await withPasskey(await account('passkey-second'));
  const secondLogin = await held(second.user);
  const third = await withPasskey(await account('passkey-third'));
  const thirdLogin = await held(third.user);
  const thirdUse = using(
    third.authenticator,
    await well(200, () => send('post', '2fa/passkey/options', thirdLogin.challenge, { token: thirdLogin.token })),
  );
  const reverting = await withPasskey(await account('passkey-reverting'));
  // The other visitors are told of their factors at the same time.
  const told = (await MemoryMailer.of(app)).to(reverting.user.email);
  const notMe = told.flatMap((mail) => (mail.kind === 'first_factor_added' ? mail.token : []))[0];
  const rising = await withPasskey(await account('passkey-rising'));
  const risingIn = await signInAs(app, rising.user.id, proved);
  const risen = await withPasskey(await account('passkey-risen'));
  const risenIn = await signInAs(app, risen.user.id, proved);
  const risenUse = using(risen.authenticator, await well(200, () => send('post', 'step-up/passkey/options', risenIn)));

  const keyed = await account('keyed');
  const keyedIn = await signInAs(app, keyed.id);
  const keying = await account('keying');
  const keyingIn = await signInAs(app, keying.id);
  const unkeying = await account('unkeying');
  const unkeyingIn = await signInAs(app, unkeying.id);
  const wanted = { name: 'CI', scopes: ['notes:read'], expiresIn: hours(1) };
  const { key } = await apiKeys.create(keyed, wanted);
  const { apiKey } = await apiKeys.create(unkeying, wanted);
  const keysOf = async ({ id }: AuthUser) => (await apiKeys.listForUser(id)).length;

  return [
    live('GET 2fa', '2fa', looking),
    once('POST 2fa/totp/setup', () => send('post', '2fa/totp/setup', settingUp, {}), bodyHas('secret')),
    once(
      'POST 2fa/totp/setup, a held login',
      () => send('post', '2fa/totp/setup', enrolling.challenge, { token: enrolling.token }),
      bodyHas('secret'),
    ),
    once(
      'POST 2fa/totp/enable',
      () => send('post', '2fa/totp/enable', enablingIn, { code: totpOf(secret, t.clock) }),
      isIn,
      { happened: has(enabling, 'totp') },
    ),
    once(
      'POST 2fa/totp/enable, a held login',
      () =>
        send('post', '2fa/totp/enable', enrolledIn.challenge, {
          token: enrolledIn.token,
          code: totpOf(heldSecret.secret, t.clock),
        }),
      isIn,
      { happened: has(enrolled, 'totp') },
    ),
    once('POST 2fa/totp/disable', () => send('post', '2fa/totp/disable', disablingIn, {}), isIn, {
      happened: has(disabling, 'totp', false),
    }),
    once('POST 2fa/backup-codes', () => send('post', '2fa/backup-codes', codesIn, {}), isIn, {
      happened: async () => (await backupCodes.countUnused(codes.id)) > 0,
    }),
    mailed('2fa/email/enable', 'email_code_setup', mailing.email, () => send('post', '2fa/email/enable', mailingIn)),
    once(
      'POST 2fa/email/enable/confirm',
      () => send('post', '2fa/email/enable/confirm', mailedIn, { code: setupCode }),
      has(mailedTo, 'email-code'),
      { happened: has(mailedTo, 'email-code') },
    ),
    once(
      'POST 2fa/email/disable',
      () => send('post', '2fa/email/disable', unmailingIn),
      has(unmailing, 'email-code', false),
      {
        happened: has(unmailing, 'email-code', false),
      },
    ),
    once(
      'DELETE 2fa/trusted-browsers',
      () => send('delete', '2fa/trusted-browsers', trustingIn),
      async () => (await app.get(TrustedBrowsers).count(trusting)) === 0,
    ),
    once(
      'POST login, a trusted browser',
      () => send('post', 'login', `${TRUSTED}=${trust}`, { email: trusted.email, password: PASSWORD }),
      isIn,
      { happened: hasSession(trusted) },
    ),
    once('POST 2fa/verify, totp', () => verify(timedLogin, 'totp', code(), { trustBrowser: true }), isIn, {
      happened: hasSession(timed),
    }),
    once(
      'POST 2fa/verify, a backup code',
      () => verify(writtenLogin, 'backup-code', { code: issued.shown[0]! }),
      isIn,
      {
        happened: hasSession(written),
      },
    ),
    once('POST 2fa/verify, a mailed code', () => verify(codedLogin, 'email-code', { code: loginCode }), isIn, {
      happened: hasSession(coded),
    }),
    once('POST step-up, totp', () => send('post', 'step-up', steppingIn, { method: 'totp', ...code() }), isIn, {
      happened: async () => (await request(t.url).get('/guarded').set('Cookie', steppingIn)).status === 401,
    }),

    once('POST passkeys/options', () => send('post', 'passkeys/options', asking), bodyHas('challenge')),
    once('POST passkeys', () => send('post', 'passkeys', addingIn, { response: added }), has(adding, 'passkey'), {
      healthy: 201,
      happened: has(adding, 'passkey'),
    }),
    live('GET passkeys', 'passkeys', renamingIn),
    once(
      'PATCH passkeys/:id',
      () => send('patch', `passkeys/${renaming.id}`, renamingIn, { name: 'Renamed' }),
      async () => (await app.get(PasskeyService).list(renaming.user.id))[0]?.name === 'Renamed',
    ),
    once(
      'DELETE passkeys/:id',
      () => send('delete', `passkeys/${removing.id}`, removingIn),
      has(removing.user, 'passkey', false),
      { happened: has(removing.user, 'passkey', false) },
    ),
    once(
      'POST revert-factor',
      () => send('post', 'revert-factor', '', { token: notMe }),
      has(reverting.user, 'passkey', false),
      { happened: has(reverting.user, 'passkey', false) },
    ),
    once('POST passkey-login/options', () => send('post', 'passkey-login/options', ''), bodyHas('challenge')),
    once('POST passkey-login', () => send('post', 'passkey-login', cookiesIn(entry), { response: entrance }), isIn, {
      happened: hasSession(entering.user),
    }),
    once(
      'POST 2fa/passkey/options',
      () => send('post', '2fa/passkey/options', secondLogin.challenge, { token: secondLogin.token }),
      bodyHas('challenge'),
    ),
    once('POST 2fa/verify, a passkey', () => verify(thirdLogin, 'passkey', { response: thirdUse }), isIn, {
      happened: hasSession(third.user),
    }),
    once('POST step-up/passkey/options', () => send('post', 'step-up/passkey/options', risingIn), bodyHas('challenge')),
    once(
      'POST step-up, a passkey',
      () => send('post', 'step-up', risenIn, { method: 'passkey', response: risenUse }),
      isIn,
      {
        happened: async () => (await request(t.url).get('/guarded').set('Cookie', risenIn)).status === 401,
      },
    ),

    live('GET api-keys', 'api-keys', keyedIn),
    {
      name: 'a page for API keys',
      credential: 'live',
      healthy: 200,
      send: () => request(t.url).get('/by-key').set('Authorization', `Bearer ${key}`),
    },
    once(
      'POST api-keys',
      () => send('post', 'api-keys', keyingIn, { ...wanted, expiresIn: 3600 }),
      async () => (await keysOf(keying)) > 0,
      { healthy: 201, happened: async () => (await keysOf(keying)) > 0 },
    ),
    once(
      'DELETE api-keys/:id',
      () => send('delete', `api-keys/${apiKey.id}`, unkeyingIn),
      async () => (await keysOf(unkeying)) === 0,
    ),
  ];
}
