import { beforeEach, describe, expect, it } from '@jest/globals';
import {
  EphemeralTokenService,
  JwtCodecService,
  minutes,
  PostgresUserDirectory,
  UserDirectory,
  type AuthModuleExtras,
  type AuthOptions,
  type AuthUser,
} from 'nestjs-latchkey';
import { ApiKeyService, EmailChangeService, EmailCodeService } from 'nestjs-latchkey/flows';
import { signInAs } from 'nestjs-latchkey/testing';
import request from 'supertest';
import { createUser, PASSWORD, PLATFORMS, startTestApp } from '../../support/app.js';
import { MAIL, newMails } from '../../support/flows.js';
import { LinkBrowser } from '../../support/magic-link.js';
import { codeTo } from '../../support/mailed-codes.js';
import { ORIGIN, PasskeyClient } from '../../support/passkeys.js';
import { mailTo, newAddress, NO_IP_LIMITS } from '../../support/registration.js';
import { eventsHeard, sharedTestApp } from '../../support/shared-app.js';
import { presenterOf } from '../../support/token-presenter.js';

const NEXT = 'a passphrase of the owner';
const OPTIONS: Partial<AuthOptions> & AuthModuleExtras = {
  ...MAIL,
  baseUrl: ORIGIN,
  jwt: { sessions: true },
  flows: {
    magicLink: {},
    registration: {},
    passwordReset: {},
    emailChange: {},
    twoFactor: { totp: {}, backupCodes: { count: 4 }, emailCode: {} },
    passkeys: { rpName: 'Notes' },
    apiKeys: { scopes: ['notes:read'] },
    stepUp: {},
  },
  rateLimits: { ...NO_IP_LIMITS, policies: { ...NO_IP_LIMITS?.policies, passkey_ip: { limit: 100_000 } } },
};

describe.each(PLATFORMS)('F77: the first proof of a mailbox, on %s', (platform) => {
  const t = sharedTestApp({ platform, auth: OPTIONS });
  const heard = eventsHeard(t);
  beforeEach(() => {
    t.clock.advance(minutes(30));
  });

  const users = () => t.app.get(PostgresUserDirectory);
  const isVerified = async ({ id }: AuthUser) => ((await users().findById(id))?.emailVerifiedAt ?? null) !== null;

  /** An account for somebody else's address, with everything by which whoever made it can come back. */
  async function prepared(isProved = false) {
    const presenter = await presenterOf(t, {});
    const { user, passkey, cookies } = presenter;
    const { key } = await t.app.get(ApiKeyService).create(user, {
      name: 'Later',
      scopes: ['notes:read'],
      expiresIn: minutes(60),
    });
    const jwt = t.app.get(JwtCodecService).encode(user.id).token;
    if (!isProved) await t.db.query('UPDATE users SET email_verified_at = NULL WHERE id = $1', [user.id]);
    await newMails(t.app);
    heard.length = 0;
    /** Which of the ways in are open. */
    const ways = async () => {
      const status = async (headers: Record<string, string>) =>
        (await request(t.url).get('/auth/session').set(headers)).status === 200;
      return Object.entries({
        password: (await users().verifyCredentials(user.email, PASSWORD)) !== null,
        session: await status({ Cookie: cookies }),
        jwt: await status({ Authorization: `Bearer ${jwt}` }),
        passkey: (await new PasskeyClient(t).logIn(passkey)).status === 200,
        key: (await t.app.get(ApiKeyService).authenticate(key)) !== null,
      }).flatMap(([way, isOpen]) => (isOpen ? way : []));
    };
    return { user, ways };
  }
  const ALL = ['password', 'session', 'jwt', 'passkey', 'key'];
  const METHODS = ['totp', 'email-code', 'backup-code', 'passkey'];

  const expectTakenOver = async ({ user, ways }: Awaited<ReturnType<typeof prepared>>) => {
    expect([await ways(), await isVerified(user)]).toEqual([[], true]);
    const types = heard.filter((event) => 'userId' in event && event.userId === user.id).map(({ type }) => type);
    expect(types).toEqual(expect.arrayContaining(['email.verified', 'factor.removed', 'api_key.revoked']));
    const told = (await newMails(t.app)).flatMap((mail) =>
      mail.userId === user.id ? [mail.kind === 'factor_removed' ? mail.factor : mail.kind] : [],
    );
    expect(told).toEqual(expect.arrayContaining([...METHODS, 'password_changed']));
  };

  it('everything opens before, so that what follows shows something (negative control)', async () => {
    expect(await (await prepared()).ways()).toEqual(ALL);
  });

  it('by a mailed login: nothing that was prepared is left, no factor is asked for, and the owner is in', async () => {
    const victim = await prepared();
    const own = new LinkBrowser(t);
    const { token } = await own.ask(victim.user.email);
    const answer = await own.confirm({ token });
    expect([answer.status, answer.body.status]).toEqual([200, 'authenticated']);
    await expectTakenOver(victim);
    expect((await own.send('get', 'session')).status).toBe(200);
    // The owner can choose a password.
    await own.post('forgot-password', { email: victim.user.email });
    expect((await newMails(t.app)).map(({ kind }) => kind)).toEqual(['password_reset']);
    // And from now on it is the owner's.
    const again = await own.ask(victim.user.email);
    expect((await own.confirm({ token: again.token })).status).toBe(200);
    expect((await users().findById(victim.user.id))?.tokensInvalidatedAfter).toBeLessThan(t.clock.now() + 1);
  });

  it('by a reset: the new password alone logs in', async () => {
    const victim = await prepared();
    const own = new LinkBrowser(t);
    const token = await t.app.get(EphemeralTokenService).issue('password_reset', { username: victim.user.email });
    expect((await own.post('reset-password', { token, password: NEXT })).status).toBe(200);
    await expectTakenOver(victim);
    const answer = await own.post('login', { email: victim.user.email, password: NEXT });
    expect([answer.status, answer.body.status]).toEqual([200, 'authenticated']);
  });

  it('by taking a change of address back: what is older than the change goes too', async () => {
    const victim = await prepared();
    const changes = t.app.get(EmailChangeService);
    changes.request({ id: victim.user.id }, newAddress());
    const change = (await newMails(t.app)).find((mail) => mail.kind === 'email_change')!;
    t.clock.advance(minutes(1));
    await changes.confirm(change.kind === 'email_change' ? change.token : '');
    const undo = (await newMails(t.app)).find((mail) => mail.kind === 'email_changed')!;
    await changes.revert(undo.kind === 'email_changed' ? undo.token : '');
    expect(await victim.ways()).toEqual([]);
    const answer = await new PasskeyClient(t).post('login', { email: victim.user.email, password: PASSWORD });
    expect(answer.status).toBe(401);
    expect(await t.db.query('SELECT 1 FROM auth_totp WHERE user_id = $1', [victim.user.id])).toEqual([]);
  });

  it('of a registration there is none, where the address is taken: its owner is told, and nothing changes', async () => {
    const victim = await prepared();
    await new LinkBrowser(t).post('register', { email: victim.user.email, password: NEXT });
    expect((await newMails(t.app)).map(({ kind }) => kind)).toEqual(['already_registered']);
    expect([await victim.ways(), await isVerified(victim.user)]).toEqual([ALL, false]);
  });

  it('by somebody who is logged in: it is theirs, and nothing ends', async () => {
    const user = await createUser(t.app);
    await t.db.query('UPDATE users SET email_verified_at = NULL WHERE id = $1', [user.id]);
    const cookie = await signInAs(t.app, user.id);
    const own = new LinkBrowser(t);
    own.setCookie('__Host-session', cookie.slice(cookie.indexOf('=') + 1));
    expect((await own.post('2fa/email/enable', {})).status).toBe(202);
    const code = await codeTo(t, user, 'email_code_setup');
    expect((await own.post('2fa/email/enable/confirm', { code })).status).toBe(200);
    expect(await isVerified(user)).toBe(true);
    expect(await t.app.get(EmailCodeService).isEnabled(user)).toBe(true);
    expect(await users().verifyCredentials(user.email, PASSWORD)).not.toBeNull();
  });

  it('of an account whose mailbox was proved before: a login ends nothing, and the factors are asked for', async () => {
    const owner = await prepared(true);
    const own = new LinkBrowser(t);
    const { token } = await own.ask(owner.user.email);
    expect((await own.confirm({ token })).body.status).toBe('second_factor');
    expect(await owner.ways()).toEqual(ALL);
    // F36: nor does a reset touch a factor.
    const reset = await t.app.get(EphemeralTokenService).issue('password_reset', { username: owner.user.email });
    expect((await own.post('reset-password', { token: reset, password: NEXT })).status).toBe(200);
    expect(await owner.ways()).toEqual(['passkey']);
  });

  it('two at once: one takes it over, and the other changes nothing', async () => {
    const victim = await prepared();
    const own = new LinkBrowser(t);
    const { token } = await own.ask(victim.user.email);
    const reset = await t.app.get(EphemeralTokenService).issue('password_reset', { username: victim.user.email });
    const answers = await Promise.all([
      own.confirm({ token }),
      new LinkBrowser(t).post('reset-password', { token: reset, password: NEXT }),
    ]);
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 400]);
    const hasReset = answers[1].status === 200;
    expect((await users().verifyCredentials(victim.user.email, NEXT)) !== null).toBe(hasReset);
    expect([await victim.ways(), await isVerified(victim.user)]).toEqual([[], true]);
    expect(heard.filter(({ type }) => type === 'email.verified')).toHaveLength(1);
  });
});

it('F77: with legacyVerified the rows of another program are proved', async () => {
  const t = await startTestApp({ auth: { ...OPTIONS, flows: { ...OPTIONS.flows, legacyVerified: true } } });
  try {
    const { user } = await presenterOf(t, {});
    await t.db.query('UPDATE users SET email_verified_at = NULL WHERE id = $1', [user.id]);
    const own = new LinkBrowser(t);
    const { token } = await own.ask(user.email);
    expect((await own.confirm({ token })).body.status).toBe('second_factor');
    expect(await t.app.get(UserDirectory).verifyCredentials(user.email, PASSWORD)).not.toBeNull();
    expect((await mailTo(t, user.email, 'magic_link')).token).toBe(token);
  } finally {
    await t.close();
  }
});
