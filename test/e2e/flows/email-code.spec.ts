import { Injectable } from '@nestjs/common';
import { beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { minutes, PostgresUserDirectory, seconds, type AuthUser, type Mail } from 'nestjs-latchkey';
import { MemoryMailer, signInAs } from 'nestjs-latchkey/testing';
import request from 'supertest';
import { MailedCodes } from '../../../src/two-factor/mailed-codes.js';
import { createUser, PASSWORD, PLATFORMS, startTestApp } from '../../support/app.js';
import { MAIL } from '../../support/flows.js';
import { CodeBrowser, codeTo, mailCodesTo, MAILED_CODES, SafeController, SESSION } from '../../support/mailed-codes.js';
import { storedText } from '../../support/stored.js';
import { comparedDuring } from '../../support/password-hashes.js';
import { eventsHeard, sharedPairOfApps } from '../../support/shared-app.js';

@Injectable()
class TestMailer extends MemoryMailer {
  /** What it does instead of keeping the mail. */
  instead: ((mail: Mail, giveUp: AbortSignal) => Promise<void>) | undefined;
  override send(mail: Mail, giveUp: AbortSignal = new AbortController().signal): Promise<void> {
    return this.instead ? this.instead(mail, giveUp) : super.send(mail);
  }
}

const WRONG = 'BBBB-BBBB';
const other = (code: string) => (code === WRONG ? 'CCCC-CCCC' : WRONG);

describe.each(PLATFORMS)('codes by mail on %s', (platform) => {
  const auth = { ...MAILED_CODES, mailer: TestMailer, mail: { ...MAIL.mail, timeout: seconds(0.2) } };
  const [t, second] = sharedPairOfApps({ platform, controllers: [SafeController], auth });
  const heard = eventsHeard(t);
  let mailer: TestMailer;
  let ada: AuthUser;
  let browser: CodeBrowser;
  beforeAll(() => {
    mailer = t.app.get(TestMailer);
  });
  beforeEach(async () => {
    t.clock.advance(minutes(20));
    second.clock.set(t.clock.now());
    mailer.instead = undefined;
    ada = await createUser(t.app);
    await mailCodesTo(t, ada);
    browser = new CodeBrowser(t);
    mailer.sent.length = 0;
    heard.length = 0;
  });
  const kinds = async () => (await MemoryMailer.of(t.app)).to(ada.email).map(({ kind }) => kind);

  describe('at a login', () => {
    it('F11: the password, then the code, then the session, which is worth what the password is', async () => {
      const { token, code } = await browser.asked(ada);
      expect(code).toMatch(/^[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}$/);
      expect(browser.cookie(SESSION)).toBeUndefined();
      expect((await browser.verify(token, code)).status).toBe(200);
      const { body } = await browser.send('get', 'session');
      expect(body.session).toMatchObject({ aal: 1, amr: ['password', 'email-code'] });
    });

    it('F54: a mailed code proves no second factor: @RequireAal(2) refuses, and offers no code by mail', async () => {
      await browser.logIn(ada);
      const cookie = `${SESSION}=${browser.cookie(SESSION)}`;
      const refused = await request(t.url).delete('/safe').set('Cookie', cookie).expect(401);
      expect(refused.body).toMatchObject({ code: 'STEP_UP_REQUIRED', required: { aal: 2 }, methods: [] });
      expect((await browser.send('get', 'step-up')).body.methods).toEqual(['password', 'email-code']);
    });

    it('F53: any spelling of the code, and once', async () => {
      const { token, code } = await browser.asked(ada);
      expect((await browser.verify(token, code.toLowerCase().replace('-', ' '))).status).toBe(200);
      expect((await browser.verify(token, code)).status).toBe(401);
      const again = await new CodeBrowser(t).pending(ada);
      expect((await new CodeBrowser(t).verify(again, code)).status).toBe(401);
    });

    it('F53: a malformed body burns nothing, and costs no hash and no try', async () => {
      const { token, code } = await browser.asked(ada);
      for (const body of [{ code: 7 }, { code: '' }, { code, userId: '1' }, { code: 'x'.repeat(257) }]) {
        expect((await browser.verify(token, '', body)).status).toBe(422);
      }
      for (let i = 0; i < 6; i++) await browser.verify(token, '');
      expect((await browser.verify(token, code)).status).toBe(200);
    });

    it('F53: a wrong one leaves the right one good; five are the limit, over logins', async () => {
      const { token, code } = await browser.asked(ada);
      for (let i = 0; i < 3; i++) {
        const refused = await browser.verify(token, other(code));
        expect([refused.status, refused.body.code]).toEqual([401, 'SECOND_FACTOR_REFUSED']);
      }
      const elsewhere = new CodeBrowser(t);
      const pending = await elsewhere.pending(ada);
      for (let i = 0; i < 2; i++) expect((await elsewhere.verify(pending, other(code))).status).toBe(401);
      expect((await browser.verify(token, code)).status).toBe(429);
      t.clock.advance(minutes(15));
      await new CodeBrowser(t).logIn(ada);
    });

    it('F53: it counts in the login that it was asked for, and in no other', async () => {
      const { token, code } = await browser.asked(ada);
      const elsewhere = new CodeBrowser(t);
      expect((await elsewhere.verify(await elsewhere.pending(ada), code)).status).toBe(401);
      const bob = await createUser(t.app);
      await mailCodesTo(t, bob);
      expect((await elsewhere.verify(await elsewhere.pending(bob), code)).status).toBe(401);
      expect((await browser.verify(token, code)).status).toBe(200);
    });

    it('F53: a new one voids the earlier, in the same login and in another', async () => {
      const { token, code } = await browser.asked(ada);
      await browser.ask(token);
      const newer = await codeTo(t, ada);
      expect((await browser.verify(token, code)).status).toBe(401);
      const elsewhere = new CodeBrowser(t);
      const last = await elsewhere.asked(ada);
      expect((await browser.verify(token, newer)).status).toBe(401);
      expect((await elsewhere.verify(last.token, last.code)).status).toBe(200);
    });

    it('F53: over after exactly ten minutes, also where the login goes on', async () => {
      const late = await startTestApp({
        platform,
        url: t.db.url,
        startAt: t.clock.now(),
        auth: { ...MAILED_CODES, ephemeralTokens: { pre_auth: { ttl: minutes(30) } } },
      });
      try {
        const [one, two] = [new CodeBrowser(late), new CodeBrowser(late)];
        const good = await one.asked(ada);
        late.clock.advance(minutes(10) - 1);
        expect((await one.verify(good.token, good.code)).status).toBe(200);
        const over = await two.asked(ada);
        late.clock.advance(minutes(10));
        expect((await two.verify(over.token, over.code)).status).toBe(401);
      } finally {
        await late.close();
      }
    });

    it('F53: stored with the slow hash of passwords, and one hash for each try, right, wrong or without a code', async () => {
      const { token, code } = await browser.asked(ada);
      const stored = await storedText(t.db, 'auth_ephemeral_tokens');
      expect(stored).not.toContain(code);
      const elsewhere = new CodeBrowser(t);
      const withoutCode = await elsewhere.pending(ada);
      const compared = await comparedDuring(t, async () => {
        await browser.verify(token, other(code));
        await elsewhere.verify(withoutCode, code);
        await browser.verify(token, code);
      });
      const hash = expect.stringMatching(/^\$argon2id\$/);
      expect(compared).toEqual([hash, null, hash]);
    });

    it('F24, F53: of 50 uses at once over two pools exactly one opens a session', async () => {
      const { body } = await request(t.url).post('/auth/token').send({ email: ada.email, password: PASSWORD });
      await request(t.url).post('/auth/2fa/send').send({ token: body.token, method: 'email-code' }).expect(202);
      const code = await codeTo(t, ada);
      const proof = { token: body.token, method: 'email-code', code };
      const statuses = await Promise.all(
        Array.from({ length: 50 }, async (_, i) => {
          const { url } = i % 2 ? t : second;
          return (await request(url).post('/auth/2fa/verify').send(proof)).status;
        }),
      );
      expect(statuses.filter((status) => status === 200)).toHaveLength(1);
      expect(statuses.every((status) => [200, 401, 429].includes(status))).toBe(true);
    });

    it('F24, F53: of 50 that have judged the same code, over two pools, exactly one spends it', async () => {
      const [here, there] = [t.app.get(MailedCodes), second.app.get(MailedCodes)];
      const of = { type: 'login_code', user: ada, attempt: 'a login' } as const;
      await here.send(of, null, async () => undefined);
      const code = await codeTo(t, ada);
      const claims = await Promise.all(
        Array.from({ length: 50 }, (_, i) => (i % 2 ? here : there).judge(of, code, null)),
      );
      const spent = await Promise.all(claims.map(async (claim) => claim !== false && claim()));
      expect(claims.every((claim) => claim !== false)).toBe(true);
      expect(spent.filter(Boolean)).toHaveLength(1);
    });

    it.each<[string, (users: PostgresUserDirectory) => Promise<unknown>]>([
      ['a new password', (users) => users.setPassword(ada.id, 'a better passphrase')],
      ['disabled, and enabled again', (users) => users.disable(ada.id).then(() => users.enable(ada.id))],
      ['signed out everywhere', (users) => users.invalidateTokens(ada.id, t.clock.now())],
    ])('H16, F25: %s between the steps: the right code is refused', async (_, meanwhile) => {
      // The first step on a machine whose clock is ahead of that of the machine which then ends the access.
      t.clock.advance(seconds(30));
      const { token, code } = await browser.asked(ada);
      t.clock.advance(-seconds(30));
      await meanwhile(t.app.get(PostgresUserDirectory));
      const answer = await browser.verify(token, code);
      expect([answer.status, answer.get('Set-Cookie')]).toEqual([401, undefined]);
    });

    it('F16: three codes in ten minutes, over logins', async () => {
      for (let i = 0; i < 3; i++) await new CodeBrowser(t).asked(ada);
      expect((await browser.ask(await browser.pending(ada))).status).toBe(429);
      t.clock.advance(minutes(10));
      await browser.logIn(ada);
    });

    it.each<[string, () => Promise<void>]>([
      ['throws', () => Promise.reject(new Error('the mail server is away'))],
      ['hangs', () => new Promise(() => undefined)],
    ])('F15: a mailer that %s: the same answer, the code is void, and nothing counts', async (_, instead) => {
      const token = await browser.pending(ada);
      let unsent = '';
      mailer.instead = (mail) => {
        unsent = (mail as Mail<'login_code'>).code;
        return instead();
      };
      for (let i = 0; i < 4; i++) {
        const answer = await browser.ask(token);
        expect([answer.status, answer.body]).toEqual([202, { message: expect.any(String) }]);
        await MemoryMailer.of(t.app);
      }
      expect((await browser.verify(token, unsent)).status).toBe(401);
      mailer.instead = undefined;
      await browser.ask(token);
      expect((await browser.verify(token, await codeTo(t, ada))).status).toBe(200);
    });

    it('F15: a mail that fails late does not void the code that was mailed after it', async () => {
      const token = await browser.pending(ada);
      let fail: (error: Error) => void = () => undefined;
      mailer.instead = () => new Promise((_, reject) => (fail = reject));
      await browser.ask(token);
      await new Promise(setImmediate);
      mailer.instead = undefined;
      await browser.ask(token);
      fail(new Error('greylisted'));
      expect((await browser.verify(token, await codeTo(t, ada))).status).toBe(200);
    });

    it('F22: while the storage is away it is 503, and nothing is counted or spent', async () => {
      const { token, code } = await browser.asked(ada);
      await t.db.query('ALTER TABLE auth_email_factors RENAME TO away');
      try {
        for (let i = 0; i < 6; i++) expect((await browser.verify(token, code)).status).toBe(503);
        expect((await new CodeBrowser(t).first(ada)).status).toBe(503);
      } finally {
        await t.db.query('ALTER TABLE away RENAME TO auth_email_factors');
      }
      expect((await browser.verify(token, code)).status).toBe(200);
    });

    it('F51: 100 wrong codes in a row, over days, disable the factor: the right one is refused, and the owner told', async () => {
      await t.db.query('UPDATE auth_email_factors SET failures = 98 WHERE user_id = $1', [ada.id]);
      const wrong = await browser.asked(ada);
      for (let i = 0; i < 2; i++) await browser.verify(wrong.token, other(wrong.code));
      expect((await browser.verify(wrong.token, wrong.code)).status).toBe(401);
      expect((await kinds()).filter((kind) => kind === 'factor_disabled')).toHaveLength(1);
      expect(heard.filter(({ type }) => type === 'factor.disabled')).toEqual([
        expect.objectContaining({ userId: ada.id, factor: 'email-code' }),
      ]);
    });

    it('a right one forgets the failures', async () => {
      await t.db.query('UPDATE auth_email_factors SET failures = 98 WHERE user_id = $1', [ada.id]);
      await browser.logIn(ada);
      const failures = await t.db.query('SELECT failures FROM auth_email_factors WHERE user_id = $1', [ada.id]);
      expect(failures).toEqual([{ failures: 0 }]);
    });
  });

  describe('at a step-up', () => {
    const sent = async (by: CodeBrowser) => {
      expect((await by.post('step-up/send', { method: 'email-code' })).status).toBe(202);
      return codeTo(t, ada);
    };
    const stepUp = (by: CodeBrowser, code: string) => by.post('step-up', { method: 'email-code', code });

    it('F85: it makes the session fresh, and worth no more', async () => {
      await browser.logIn(ada);
      t.clock.advance(minutes(20));
      const answer = await stepUp(browser, await sent(browser));
      expect([answer.status, answer.body]).toMatchObject([200, { aal: 1, amr: ['password', 'email-code'] }]);
      expect(Date.parse(answer.body.authenticatedAt)).toBe(Math.floor(t.clock.now()));
    });

    it('F53: a code counts in the session that it was asked for: not in another, and not for a login', async () => {
      const elsewhere = new CodeBrowser(t);
      await browser.logIn(ada);
      await elsewhere.logIn(ada);
      t.clock.advance(minutes(20));
      const code = await sent(browser);
      expect((await stepUp(elsewhere, code)).status).toBe(401);
      const login = new CodeBrowser(t);
      expect((await login.verify(await login.pending(ada), code)).status).toBe(401);
      expect((await stepUp(browser, code)).status).toBe(200);
      const asked = await login.asked(ada);
      expect((await stepUp(browser, asked.code)).status).toBe(401);
    });
  });

  describe('turned on and off', () => {
    let bob: AuthUser;
    const signedIn = async (user: AuthUser, proofs = ['password']) => {
      const one = new CodeBrowser(t);
      const [, value] = (await signInAs(t.app, user.id, { proofs })).split('=');
      one.setCookie(SESSION, value!);
      return one;
    };
    beforeEach(async () => {
      bob = await createUser(t.app);
    });

    it('F48, F55: by a code that was mailed: the other sessions end, the owner is told, and the next login asks', async () => {
      const [here, elsewhere] = [await signedIn(bob), await signedIn(bob)];
      expect((await here.post('2fa/email/enable', {})).status).toBe(202);
      expect((await new CodeBrowser(t).first(bob)).body.status).toBe('authenticated');
      const code = await codeTo(t, bob, 'email_code_setup');
      expect((await here.post('2fa/email/enable/confirm', { code: other(code) })).status).toBe(401);
      expect((await here.post('2fa/email/enable/confirm', { code })).status).toBe(200);
      expect((await here.send('get', '2fa')).body).toMatchObject({ methods: ['email-code'], trustedBrowsers: 0 });
      expect((await elsewhere.send('get', 'session')).status).toBe(401);
      expect((await new CodeBrowser(t).first(bob)).body).toMatchObject({
        status: 'second_factor',
        methods: ['email-code'],
      });
      const told = (await MemoryMailer.of(t.app)).to(bob.email).map(({ kind }) => kind);
      expect(told).toEqual(['email_code_setup', 'first_factor_added']);
      expect(heard).toContainEqual(
        expect.objectContaining({ type: 'factor.added', userId: bob.id, factor: 'email-code' }),
      );
      // Spent.
      expect((await here.post('2fa/email/enable/confirm', { code })).status).toBe(401);
    });

    it('F55: off: the other sessions end, the owner is told, and the next login asks for nothing', async () => {
      const [here, elsewhere] = [
        await signedIn(ada, ['password', 'email-code']),
        await signedIn(ada, ['password', 'email-code']),
      ];
      expect((await here.post('2fa/email/disable', {})).status).toBe(200);
      expect((await here.send('get', 'session')).status).toBe(200);
      expect((await elsewhere.send('get', 'session')).status).toBe(401);
      expect(await kinds()).toEqual(['factor_removed']);
      expect((await new CodeBrowser(t).first(ada)).body.status).toBe('authenticated');
      expect((await here.post('2fa/email/disable', {})).status).toBe(200);
      expect(await kinds()).toEqual(['factor_removed']);
    });

    it.each(['enable', 'enable/confirm', 'disable'])(
      'F55: %s in a stale session: STEP_UP_REQUIRED, no mail',
      async (step) => {
        const here = await signedIn(bob);
        t.clock.advance(minutes(15));
        const refused = await here.post(`2fa/email/${step}`, step === 'enable/confirm' ? { code: WRONG } : {});
        expect([refused.status, refused.body.code]).toEqual([401, 'STEP_UP_REQUIRED']);
        expect((await MemoryMailer.of(t.app)).to(bob.email)).toEqual([]);
        expect((await new CodeBrowser(t).post(`2fa/email/${step}`, { code: WRONG })).status).toBe(401);
      },
    );

    it('F10, F53: the code to turn it on counts in its session, and logs nobody in', async () => {
      const [here, elsewhere] = [
        await signedIn(ada, ['password', 'email-code']),
        await signedIn(ada, ['password', 'email-code']),
      ];
      await here.post('2fa/email/enable', {});
      const code = await codeTo(t, ada, 'email_code_setup');
      expect((await elsewhere.post('2fa/email/enable/confirm', { code })).status).toBe(401);
      expect((await browser.verify(await browser.pending(ada), code)).status).toBe(401);
      expect((await here.post('2fa/email/enable/confirm', { code })).status).toBe(200);
    });

    it('F16: asked for more than three times in ten minutes: 429', async () => {
      const here = await signedIn(bob);
      for (let i = 0; i < 3; i++) expect((await here.post('2fa/email/enable', {})).status).toBe(202);
      expect((await here.post('2fa/email/enable', {})).status).toBe(429);
    });
  });
});

describe('where the application has a login of its own', () => {
  it("R10: the module's, which asks for the password first, can be left out", async () => {
    const t = await startTestApp({ auth: { routes: { path: 'auth', login: false } } });
    try {
      const { email } = await createUser(t.app);
      for (const path of ['/auth/login', '/auth/token']) {
        await request(t.url).post(path).send({ email, password: PASSWORD }).expect(404);
      }
      await request(t.url).get('/auth/session').expect(401);
      await request(t.url).post('/auth/logout').expect(200);
    } finally {
      await t.close();
    }
  });
});

describe('where codes by mail are not named', () => {
  it('there is nothing to turn on, and nobody is asked', async () => {
    const t = await startTestApp({ auth: { flows: { twoFactor: { totp: {} } } } });
    try {
      const ada = await createUser(t.app);
      const cookie = await signInAs(t.app, ada.id);
      await request(t.url).post('/auth/2fa/email/enable').set('Cookie', cookie).expect(404);
      await request(t.url)
        .get('/auth/2fa')
        .set('Cookie', cookie)
        .expect(200, { methods: [], totpDisabled: false, backupCodesLeft: 0, trustedBrowsers: 0 });
    } finally {
      await t.close();
    }
  });
});
