import { beforeEach, describe, expect, it } from '@jest/globals';
import { days, hours, PostgresUserDirectory, seconds, type AuthUser } from 'nestjs-latchkey';
import { TotpStore } from 'nestjs-latchkey/engine';
import { MemoryMailer, signInAs, totpOf } from 'nestjs-latchkey/testing';
import request from 'supertest';
import { EnrolledFactors } from '../../../src/login/enrolled-factors.js';
import { EmailFactorStore } from '../../../src/two-factor/email-factor.store.js';
import { createUser, NO_LOGIN_LIMITS, PASSWORD, PLATFORMS } from '../../support/app.js';
import { SoftwareAuthenticator } from '../../support/authenticator.js';
import { MAIL, newMails } from '../../support/flows.js';
import { codeTo, TRUSTED } from '../../support/mailed-codes.js';
import { cookiesOf, ORIGIN, PasskeyClient } from '../../support/passkeys.js';
import { eventsHeard, sharedTestApp } from '../../support/shared-app.js';
import { cookiesIn, enrol, pendingLogin } from '../../support/two-factor.js';

const NEW_PASSWORD = 'a password that only Ada knows';
const FACTORS = ['totp', 'email-code', 'backup-code', 'passkey'];

describe.each(PLATFORMS)('second factors after a change of address is taken back, on %s', (platform) => {
  const twoFactor = { totp: {}, backupCodes: { count: 4 }, emailCode: {}, trustedBrowsers: days(30) };
  const t = sharedTestApp({
    platform,
    auth: {
      ...MAIL,
      flows: { emailChange: {}, passwordReset: {}, stepUp: {}, passkeys: { rpName: 'Notes' }, twoFactor },
      rateLimits: NO_LOGIN_LIMITS,
    },
  });
  const heard = eventsHeard(t);
  const pages = new PasskeyClient(t);
  let ada: AuthUser;
  let accounts = 0;
  const users = () => t.app.get(PostgresUserDirectory);
  beforeEach(async () => {
    t.clock.advance(hours(1));
    ada = await createUser(t.app, `ada${++accounts}@example.com`);
    await newMails(t.app);
    heard.length = 0;
  });

  const mailer = () => MemoryMailer.of(t.app);
  /** Moves the account to a mailbox of the thief's, and returns the thief's account and the token that takes it back. */
  const moved = async (stolen: string) => {
    t.clock.advance(seconds(1));
    const mailbox = `eve${accounts}@evil.example`;
    await pages.post('change-email', { email: mailbox }, [stolen]).expect(202);
    await pages.post('confirm-email-change', { token: (await mailer()).last('email_change').token }).expect(200);
    const undo = (await mailer()).last('email_changed').token;
    const changedAt = t.clock.now();
    t.clock.advance(seconds(1));
    return { eve: (await users().findById(ada.id))!, undo, changedAt };
  };
  const withPasskey = async (cookie: string) => {
    const authenticator = new SoftwareAuthenticator(ORIGIN);
    const { body: options } = await pages.post('passkeys/options', {}, [cookie]).expect(200);
    await pages.post('passkeys', { response: authenticator.register(options) }, [cookie]).expect(201);
    return authenticator;
  };
  const revert = (token: string) => pages.post('revert-email-change', { token });
  const reset = async () => {
    const { token } = (await mailer()).to(ada.email).findLast(({ kind }) => kind === 'password_reset') as unknown as {
      token: string;
    };
    await pages.post('reset-password', { token, password: NEW_PASSWORD }).expect(200);
    t.clock.advance(seconds(1));
  };
  const login = (cookies: string[] = []) =>
    pages.post('login', { email: ada.email, password: NEW_PASSWORD }, cookies).expect(200);
  const methodsOf = ({ id }: AuthUser) =>
    users()
      .findById(id)
      .then((user) => t.app.get(EnrolledFactors).methodsOf(user!));

  it('F46: those that the thief has enrolled go: no passkey opens the account, and nobody is asked for a code', async () => {
    const { eve, undo } = await moved(await signInAs(t.app, ada.id));
    const { cookie, secret } = await enrol(t, eve);
    const passkey = await withPasskey(cookie);
    await pages.post('2fa/email/enable', {}, [cookie]).expect(202);
    const code = await codeTo(t, eve, 'email_code_setup');
    await pages.post('2fa/email/enable/confirm', { code }, [cookie]).expect(200);
    const { token, challenge } = await pendingLogin(t, eve);
    const body = { token, method: 'totp', code: totpOf(secret, t.clock), trustBrowser: true };
    const trusted = cookiesOf(await pages.post('2fa/verify', body, [challenge]).expect(200));
    expect(trusted).toContainEqual(expect.stringContaining(TRUSTED));
    expect((await pages.logIn(passkey)).status).toBe(200);
    expect(await methodsOf(ada)).toEqual(FACTORS);
    await newMails(t.app);

    t.clock.advance(days(2));
    await revert(undo).expect(200);
    const refused = await pages.logIn(passkey);
    expect([refused.status, refused.body.code]).toEqual([401, 'INVALID_CREDENTIALS']);
    expect(await methodsOf(ada)).toEqual([]);
    const left = await t.db.query('SELECT FROM auth_backup_codes WHERE user_id = $1', [ada.id]);
    expect(left).toHaveLength(0);
    await reset();
    expect((await login()).body.status).toBe('authenticated');
    const gone = heard.filter(({ type }) => type === 'factor.removed');
    expect(gone).toEqual(FACTORS.map((factor) => expect.objectContaining({ userId: ada.id, factor, ip: null })));
    const told = (await newMails(t.app)).filter(({ kind }) => kind === 'factor_removed');
    expect(told.map(({ to }) => to.address)).toEqual(gone.map(() => ada.email));
    // Nor is the browser trusted, once there is a factor again.
    await enrol(t, ada);
    expect((await login(trusted)).body.status).toBe('second_factor');
  });

  it('F46: those from before stay, and are asked for after the reset: the old mailbox alone removes none', async () => {
    const owners = await enrol(t, ada);
    const passkey = await withPasskey(owners.cookie);
    const { eve, undo } = await moved(owners.cookie);
    const thiefs = await withPasskey(await signInAs(t.app, eve.id, { aal: 2 }));

    await revert(undo).expect(200);
    expect((await pages.logIn(thiefs)).status).toBe(401);
    await reset();
    const due = await login();
    expect(due.body).toMatchObject({ status: 'second_factor', methods: ['totp', 'backup-code', 'passkey'] });
    const code = totpOf(owners.secret, t.clock);
    await pages.post('2fa/verify', { token: due.body.token, method: 'totp', code }, [cookiesIn(due)]).expect(200);
    expect((await pages.logIn(passkey)).status).toBe(200);
    expect(heard.filter(({ type }) => type === 'factor.removed')).toMatchObject([{ factor: 'passkey' }]);
  });

  it('F46: an authenticator app in place of the owner’s goes too, and its backup codes with it', async () => {
    const owners = await enrol(t, ada);
    const { eve, undo } = await moved(owners.cookie);
    const stolen = await signInAs(t.app, eve.id, { aal: 2 });
    const { body } = await pages.post('2fa/totp/setup', {}, [stolen]).expect(200);
    await pages.post('2fa/totp/enable', { code: totpOf(body.secret, t.clock) }, [stolen]).expect(200);
    await revert(undo).expect(200);
    expect(await methodsOf(ada)).toEqual([]);
    await reset();
    expect((await login()).body.status).toBe('authenticated');
  });

  it('F46: the change itself is the border: what came with it goes, what came a microsecond before stays', async () => {
    const { undo, changedAt } = await moved(await signInAs(t.app, ada.id));
    await t.app.get(EmailFactorStore).enable(ada.id, changedAt - 0.001);
    await t.app.get(TotpStore).put(ada.id, 'sealed', 1, { isFirst: true, now: changedAt });
    await revert(undo).expect(200);
    expect(await methodsOf(ada)).toEqual(['email-code']);
  });

  it('F22: while a factor cannot be removed the link is not spent, and the thief’s address stays', async () => {
    const { eve, undo } = await moved(await signInAs(t.app, ada.id));
    await enrol(t, eve);
    await t.db.query(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$`);
    await t.db.query('CREATE TRIGGER refuse BEFORE DELETE ON auth_totp FOR EACH ROW EXECUTE FUNCTION refuse()');
    await revert(undo).expect(503);
    expect(await users().findById(ada.id)).toMatchObject({ email: eve.email });
    expect(heard.filter(({ type }) => /removed|reverted/.test(type))).toEqual([]);
    await request(t.url).post('/auth/login').send({ email: eve.email, password: PASSWORD }).expect(200);
    await t.db.query('DROP TRIGGER refuse ON auth_totp');
    await t.db.query('DROP FUNCTION refuse');
    await revert(undo).expect(200);
    expect(await methodsOf(ada)).toEqual([]);
  });
});
