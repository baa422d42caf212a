import { beforeEach, describe, expect, it } from '@jest/globals';
import {
  days,
  hours,
  JwtCodecService,
  PostgresUserDirectory,
  RateLimitService,
  seconds,
  TokenRevocationService,
  type AuthUser,
  type Mail,
} from 'nestjs-latchkey';
import { ApiKeyService } from 'nestjs-latchkey/flows';
import { MemoryMailer, signInAs, totpOf } from 'nestjs-latchkey/testing';
import request from 'supertest';
import { AccountRecovery } from '../../../src/login/account-recovery.js';
import { EnrolledFactors } from '../../../src/login/enrolled-factors.js';
import { createUser, NO_LOGIN_LIMITS, PLATFORMS } from '../../support/app.js';
import { BASE_URL, MAIL, newMails } from '../../support/flows.js';
import { codeTo, TRUSTED } from '../../support/mailed-codes.js';
import { cookiesOf, PasskeyClient } from '../../support/passkeys.js';
import { eventsHeard, sharedTestApp } from '../../support/shared-app.js';
import { enrol, pendingLogin } from '../../support/two-factor.js';

const NEW_PASSWORD = 'a password that only Ada knows';

describe.each(PLATFORMS)('the link in the mail about the first second factor, on %s', (platform) => {
  const twoFactor = { totp: {}, backupCodes: { count: 4 }, emailCode: {}, trustedBrowsers: days(30) };
  const passkeys = { rpName: 'Notes' };
  const t = sharedTestApp({
    platform,
    auth: {
      ...MAIL,
      flows: {
        emailChange: {},
        passwordReset: {},
        stepUp: {},
        apiKeys: { scopes: ['notes:read'] },
        passkeys,
        twoFactor,
      },
      rateLimits: NO_LOGIN_LIMITS,
    },
  });
  const heard = eventsHeard(t);
  const pages = new PasskeyClient(t);
  let ada: AuthUser;
  let stolen: string;
  let accounts = 0;
  const users = () => t.app.get(PostgresUserDirectory);
  beforeEach(async () => {
    t.clock.advance(hours(1));
    ada = await createUser(t.app, `ada${++accounts}@example.com`);
    stolen = await signInAs(t.app, ada.id);
    await newMails(t.app);
    heard.length = 0;
  });

  const mailsTo = async (address: string) => (await MemoryMailer.of(t.app)).to(address);
  const linkTo = async (address = ada.email) =>
    (await mailsTo(address)).findLast(({ kind }) => kind === 'first_factor_added') as Mail<'first_factor_added'>;
  const notMe = (token: string) => pages.post('revert-factor', { token });
  const now = async () => (await users().findById(ada.id))!;
  const methods = async () => t.app.get(EnrolledFactors).methodsOf(await now());
  const types = () => heard.map(({ type }) => type);
  const isIn = async (cookie: string) =>
    (await request(t.url).get('/auth/session').set('Cookie', cookie)).status === 200;

  /** Each kind of factor, added in a session. Returns the session that goes on. */
  const ADD: Record<string, (cookie: string) => Promise<string>> = {
    totp: async (cookie) => {
      const { body } = await pages.post('2fa/totp/setup', {}, [cookie]).expect(200);
      const code = totpOf(body.secret, t.clock);
      return cookiesOf(await pages.post('2fa/totp/enable', { code }, [cookie]).expect(200))[0]!;
    },
    'email-code': async (cookie) => {
      await pages.post('2fa/email/enable', {}, [cookie]).expect(202);
      const code = await codeTo(t, await now(), 'email_code_setup');
      await pages.post('2fa/email/enable/confirm', { code }, [cookie]).expect(200);
      return cookie;
    },
    passkey: async (cookie) => {
      await pages.register(await now(), { by: cookie });
      return cookie;
    },
  };
  /** Moves the account to this mailbox, and returns the token that takes that back. */
  const move = async (cookie: string, to: string) => {
    t.clock.advance(seconds(1));
    await pages.post('change-email', { email: to }, [cookie]).expect(202);
    const { token } = (await MemoryMailer.of(t.app)).last('email_change');
    await pages.post('confirm-email-change', { token }).expect(200);
    t.clock.advance(seconds(1));
    return (await MemoryMailer.of(t.app)).last('email_changed').token;
  };
  const resets = async () => {
    const { token } = (await mailsTo(ada.email)).findLast(
      ({ kind }) => kind === 'password_reset',
    ) as Mail<'password_reset'>;
    await pages.post('reset-password', { token, password: NEW_PASSWORD }).expect(200);
    t.clock.advance(seconds(1));
    return pages.post('login', { email: ada.email, password: NEW_PASSWORD }).expect(200);
  };

  it.each(Object.keys(ADD))('F46: %s: its owner has it out again, and chooses a new password', async (factor) => {
    const thiefs = await ADD[factor]!(stolen);
    const { token, link, validFor } = await linkTo();
    expect([link, validFor]).toEqual([`${BASE_URL}/not-me#${token}`, days(7)]);
    // Negative control: a reset alone leaves it (F36), and the owner is asked for what the thief has.
    await pages.post('forgot-password', { email: ada.email }).expect(202);
    expect((await resets()).body.status).toBe('second_factor');
    const later = await signInAs(t.app, ada.id, { aal: 2 });

    t.clock.advance(days(6));
    await newMails(t.app);
    await notMe(token).expect(200);
    expect(await methods()).toEqual([]);
    for (const cookie of [thiefs, later, stolen]) expect(await isIn(cookie)).toBe(false);
    await pages.post('login', { email: ada.email, password: NEW_PASSWORD }).expect(401);
    expect((await resets()).body.status).toBe('authenticated');
    expect(types()).toContain('factor.reverted');
    expect(heard).toContainEqual(expect.objectContaining({ type: 'factor.removed', factor, userId: ada.id }));
    expect(types()).not.toContain('email.reverted');
    expect((await newMails(t.app)).map(({ kind }) => kind)).toContain('factor_removed');
    await notMe(token).expect(400);
  });

  it('F46: all that has come since goes, also after the first one is gone', async () => {
    const first = await linkTo(await ADD['email-code']!(stolen).then(() => ada.email));
    const proofs = ['password', 'email-code'];
    const cookie = await signInAs(t.app, ada.id, { proofs });
    await pages.post('2fa/email/disable', {}, [cookie]).expect(200);
    t.clock.advance(seconds(1));
    await newMails(t.app);
    const { secret, cookie: own } = await enrol(t, ada);
    // The first one again, so there is another link; what comes beside it is told without one.
    expect((await newMails(t.app)).map(({ kind }) => kind)).toEqual(['first_factor_added']);
    await ADD['passkey']!(own);
    expect((await newMails(t.app)).map(({ kind }) => kind)).toEqual(['factor_added']);
    const held = await pendingLogin(t, ada);
    const body = { token: held.token, method: 'totp', code: totpOf(secret, t.clock), trustBrowser: true };
    const trusted = cookiesOf(await pages.post('2fa/verify', body, [held.challenge]).expect(200));
    expect(trusted).toContainEqual(expect.stringContaining(TRUSTED));
    const keys = t.app.get(ApiKeyService);
    const { key } = await keys.create(await now(), { name: 'k', scopes: ['notes:read'], expiresIn: days(30) });
    const { token: jwt, payload } = t.app.get(JwtCodecService).encode(ada.id);
    const revocation = t.app.get(TokenRevocationService);
    expect((await revocation.userOf(payload)).id).toBe(ada.id);
    t.clock.advance(seconds(1));

    await notMe(first.token).expect(200);
    expect(await methods()).toEqual([]);
    expect(await t.db.query('SELECT FROM auth_backup_codes WHERE user_id = $1', [ada.id])).toHaveLength(0);
    expect(await keys.authenticate(key)).toBeNull();
    await expect(revocation.userOf(t.app.get(JwtCodecService).decode(jwt))).rejects.toMatchObject({
      code: 'TOKENS_INVALIDATED',
    });
    expect((await resets()).body.status).toBe('authenticated');
    await enrol(t, ada);
    const again = await pages.post('login', { email: ada.email, password: NEW_PASSWORD }, trusted).expect(200);
    expect(again.body.status).toBe('second_factor');
  });

  it('F46: of a thief who then moves the account it brings back the address too, and voids the links of the thief', async () => {
    const thiefs = await ADD['totp']!(stolen);
    const { token } = await linkTo();
    const owners = await move(thiefs, `eve${accounts}@evil.example`);
    const second = await move(thiefs, `eve${accounts}@two.example`);
    await newMails(t.app);
    await notMe(token).expect(200);
    expect([(await now()).email, await methods(), await isIn(thiefs)]).toEqual([ada.email, [], false]);
    for (const undo of [owners, second]) await pages.post('revert-email-change', { token: undo }).expect(400);
    expect(types()).toEqual(expect.arrayContaining(['factor.reverted', 'email.reverted']));
    const told = (await MemoryMailer.of(t.app)).sent.map(({ kind, to }) => [kind, to.address]);
    expect(told).toContainEqual(['password_reset', ada.email]);
    expect(told).not.toContainEqual(['password_reset', expect.stringContaining('evil')]);
    expect((await resets()).body.status).toBe('authenticated');
  });

  it('F46: of a thief who moves the account first the link is the thief’s: it voids none of the owner’s, and ends with the revert', async () => {
    const mailbox = `eve${accounts}@evil.example`;
    const owners = await move(stolen, mailbox);
    // As on a machine whose clock is behind.
    t.clock.advance(-seconds(30));
    const thiefs = await ADD['totp']!(await signInAs(t.app, ada.id));
    const { token: spent } = await linkTo(mailbox);
    await notMe(spent).expect(200);
    expect([(await now()).email, await methods()]).toEqual([mailbox, []]);
    t.clock.advance(seconds(1));
    await ADD['email-code']!(await signInAs(t.app, ada.id));
    const { token: kept } = await linkTo(mailbox);
    expect(kept).not.toBe(spent);
    await pages.post('revert-email-change', { token: owners }).expect(200);
    expect([(await now()).email, await methods(), await isIn(thiefs)]).toEqual([ada.email, [], false]);
    await notMe(kept).expect(400);
    expect((await now()).email).toBe(ada.email);
  });

  it('F19, F10, F14: opening it changes nothing, no other link does it, and whatever cannot be used looks the same', async () => {
    await ADD['passkey']!(stolen);
    const { token } = await linkTo();
    for (const send of [request(t.url).get('/auth/revert-factor'), request(t.url).head('/auth/revert-factor')]) {
      expect((await send).status).toBe(404);
    }
    await pages.post('revert-email-change', { token }).expect(400);
    await pages.post('reset-password', { token, password: NEW_PASSWORD }).expect(400);
    const refused = [];
    for (const one of ['', 'x', 'A'.repeat(43), `${token}x`]) {
      const { status, text } = await notMe(one);
      refused.push(`${status} ${text}`);
    }
    expect(new Set(refused).size).toBe(1);
    expect(await isIn(stolen)).toBe(true);
    t.clock.advance(days(7));
    await notMe(token).expect(400);
    expect(await methods()).toEqual(['passkey']);
  });

  it('F24: of 50 at once one does it', async () => {
    await ADD['totp']!(stolen);
    const { token } = await linkTo();
    const recovery = t.app.get(AccountRecovery);
    heard.length = 0;
    const outcomes = await Promise.allSettled(
      Array.from({ length: 50 }, () => recovery.takeBack('factor_revert', token)),
    );
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    expect(types().filter((type) => type === 'factor.reverted')).toHaveLength(1);
    expect(await methods()).toEqual([]);
  });

  it('F22: after a fault nothing has changed, and the link can be used again', async () => {
    const thiefs = await ADD['totp']!(stolen);
    const { token } = await linkTo();
    await t.db.query(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$`);
    await t.db.query('CREATE TRIGGER refuse BEFORE DELETE ON auth_totp FOR EACH ROW EXECUTE FUNCTION refuse()');
    await notMe(token).expect(503);
    await t.db.query('DROP TRIGGER refuse ON auth_totp');
    await t.db.query('DROP FUNCTION refuse');
    expect([await isIn(thiefs), types().includes('factor.reverted')]).toEqual([true, false]);
    await notMe(token).expect(200);
    expect(await methods()).toEqual([]);
  });

  it('F46: an account without a password has none afterwards either, not that of a thief', async () => {
    await users().setPasswordHash(ada.id, '!');
    t.clock.advance(1);
    await ADD['passkey']!(await signInAs(t.app, ada.id));
    const { token } = await linkTo();
    await newMails(t.app);
    await notMe(token).expect(200);
    expect(await users().findPasswordHash(ada.id)).toBe('!');
    expect((await newMails(t.app)).map(({ kind }) => kind)).toEqual(['factor_removed']);
  });

  it('F16: whoever asks for mails until the limit keeps no owner out', async () => {
    await ADD['passkey']!(stolen);
    const { token } = await linkTo();
    const limits = t.app.get(RateLimitService);
    for (let i = 0; i < 20; i++) await limits.record('mail_ip', '127.0.0.1');
    await pages.post('confirm-email-change', { token: 'x' }).expect(429);
    await notMe(token).expect(200);
    await pages.post('revert-email-change', { token: 'x' }).expect(400);
    // Negative control: it has a limit of its own.
    for (let i = 0; i < 20; i++) await limits.record('revert_ip', '127.0.0.1');
    for (const path of ['revert-factor', 'revert-email-change']) await pages.post(path, { token: 'x' }).expect(429);
    for (const event of ['mail_ip', 'revert_ip'] as const) await limits.clear(event, '127.0.0.1');
  });

  it('F27: nothing tells the token', async () => {
    await ADD['passkey']!(stolen);
    const { token } = await linkTo();
    await notMe(token).expect(200);
    expect(JSON.stringify(heard)).not.toContain(token);
    const rows = await t.db.query('SELECT e::text AS row FROM auth_ephemeral_tokens e');
    expect(JSON.stringify(rows)).not.toContain(token);
  });
});
