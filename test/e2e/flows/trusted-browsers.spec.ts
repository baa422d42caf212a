import { Controller, Delete, Injectable } from '@nestjs/common';
import { beforeEach, describe, expect, it } from '@jest/globals';
import { days, minutes, PostgresUserDirectory, RequireAal, type AuthUser } from 'nestjs-latchkey';
import { SecondFactor } from 'nestjs-latchkey/flows';
import { signInAs } from 'nestjs-latchkey/testing';
import request from 'supertest';
import { EmailFactorStore } from '../../../src/two-factor/email-factor.store.js';
import { routesOf } from '../../support/app-routes.js';
import { createUser, PASSWORD, PLATFORMS, startTestApp } from '../../support/app.js';
import { CodeBrowser, codeTo, MAILED_CODES, mailCodesTo, SESSION, TRUSTED } from '../../support/mailed-codes.js';
import { storedText } from '../../support/stored.js';
import { SamlController } from '../../support/saml.js';
import { eventsHeard, sharedTestApp } from '../../support/shared-app.js';

const NEW_PASSWORD = 'a brand new password';

/** Worth two factors with a password. */
@Injectable()
class TotpFactor extends SecondFactor {
  readonly method = 'totp';
  readonly enrolled = new Set<string>();
  override async isEnrolled({ id }: AuthUser): Promise<boolean> {
    return this.enrolled.has(id);
  }
  override async verify(_user: AuthUser, response: string): Promise<boolean> {
    return response === '271828';
  }
}

@Controller('own')
class OwnController {
  @RequireAal(2)
  @Delete('safe')
  empty() {
    return {};
  }
}

describe.each(PLATFORMS)('trusted browsers on %s', (platform) => {
  const auth = { ...MAILED_CODES, secondFactors: [TotpFactor] };
  const t = sharedTestApp({ platform, controllers: [SamlController, OwnController], auth });
  const heard = eventsHeard(t);
  let ada: AuthUser;
  let bob: AuthUser;
  let browser: CodeBrowser;
  beforeEach(async () => {
    t.clock.advance(minutes(20));
    [ada, bob] = [await createUser(t.app), await createUser(t.app)];
    for (const user of [ada, bob]) await mailCodesTo(t, user);
    browser = new CodeBrowser(t);
    heard.length = 0;
  });
  const trusting = async (user: AuthUser, one = browser) => {
    await one.logIn(user, { trustBrowser: true });
    return one.cookie(TRUSTED)!;
  };
  const statusOf = async (user: AuthUser, one = browser, password = PASSWORD) =>
    (await one.first(user, password)).body.status as string;
  const stepUpCode = async () => {
    await browser.post('step-up/send', { method: 'email-code' });
    return codeTo(t, ada);
  };
  const withCookie = (value: string) => {
    const one = new CodeBrowser(t);
    one.setCookie(TRUSTED, value);
    return one;
  };

  it('F56: asked for once, the second step is left out in this browser, and in no other', async () => {
    expect((await browser.logIn(ada)).get('Set-Cookie')!.join()).not.toContain(TRUSTED);
    const answer = await browser.logIn(ada, { trustBrowser: true });
    const cookie = answer.get('Set-Cookie')!.find((one) => one.startsWith(`${TRUSTED}=`))!;
    expect(cookie).toMatch(
      /^__Host-session-trusted=[\w-]{43}; Max-Age=2592000; Path=\/; HttpOnly; Secure; SameSite=Lax$/,
    );
    expect(await statusOf(ada)).toBe('authenticated');
    expect(await statusOf(ada, new CodeBrowser(t))).toBe('second_factor');
    expect(heard.filter(({ type }) => type === 'browser.trusted')).toEqual([
      expect.objectContaining({ userId: ada.id, ip: expect.any(String) }),
    ]);
  });

  it('F56: after any first factor, also a login of the application itself', async () => {
    await trusting(ada);
    const cookie = `${TRUSTED}=${browser.cookie(TRUSTED)}`;
    const own = (headers: Record<string, string>) =>
      request(t.url).post('/own/saml').set(headers).send({ email: ada.email });
    expect((await own({})).body.status).toBe('second_factor');
    expect((await own({ Cookie: cookie })).body.status).toBe('authenticated');
  });

  it('F56: the cookie alone is nothing, and neither is it with a wrong password', async () => {
    const value = await trusting(ada);
    for (const headers of [
      { Cookie: `${TRUSTED}=${value}` },
      { Cookie: `${SESSION}=${value}` },
      { Authorization: `Bearer ${value}` },
    ]) {
      await request(t.url).get('/auth/session').set(headers).expect(401);
    }
    expect((await browser.first(ada, 'wrong')).status).toBe(401);
    for (const token of [value, '']) expect((await browser.verify(token, value)).status).toBe(401);
  });

  it('F56: the cookie alone changes no answer of any route, whatever its method', async () => {
    const cookie = `${TRUSTED}=${await trusting(ada)}`;
    const refused: string[] = [];
    for (const { method, path } of routesOf(t.app)) {
      const call = () => request(t.url)[method](path.replaceAll(/:\w+/g, 'x'));
      const [without, withIt] = [await call(), await call().set('Cookie', cookie)];
      expect([method, path, withIt.status, withIt.body]).toEqual([method, path, without.status, without.body]);
      if (withIt.status === 401) refused.push(method);
    }
    expect(new Set(refused)).toEqual(new Set(['get', 'post', 'delete']));
    expect(await statusOf(ada)).toBe('authenticated');
  });

  it('F56: another account is asked, and may trust the same browser beside the first', async () => {
    await trusting(ada);
    expect(await statusOf(bob)).toBe('second_factor');
    await trusting(bob);
    expect(browser.cookie(TRUSTED)!.split('.')).toHaveLength(2);
    expect(await statusOf(ada)).toBe('authenticated');
    expect(await statusOf(bob)).toBe('authenticated');
    expect(browser.cookie(TRUSTED)!.split('.')).toHaveLength(2);
  });

  it('F56: two cookies of the name, as other paths may set them: the right one counts', async () => {
    const value = await trusting(ada);
    const cookies = [`${TRUSTED}=${'A'.repeat(43)}; ${TRUSTED}=${value}`, `${TRUSTED}=!; ${TRUSTED}=${value}.${value}`];
    for (const [i, cookie] of cookies.entries()) {
      const answer = await request(t.url)
        .post('/auth/login')
        .set('Cookie', i === 0 ? cookie : cookie.replaceAll(value, browser.cookie(TRUSTED)!))
        .send({ email: ada.email, password: PASSWORD });
      expect(answer.body.status).toBe('authenticated');
      const next = answer.get('Set-Cookie')!.find((one) => one.startsWith(TRUSTED))!;
      browser.setCookie(TRUSTED, next.split(/[=;.]/)[1]!);
    }
  });

  it('F56: tampered, malformed, or its stored hash: asked', async () => {
    const value = await trusting(ada);
    const flipped = (value.startsWith('A') ? 'B' : 'A') + value.slice(1);
    const stored = await t.db.query(`SELECT token FROM auth_ephemeral_tokens WHERE token_type = 'trusted_browser'`);
    const hashes = stored.map(({ token }) => String(token));
    for (const wrong of [flipped, value.slice(1), `${value}A`, '', '.', ...hashes]) {
      expect(await statusOf(ada, withCookie(wrong))).toBe('second_factor');
    }
    expect(await storedText(t.db, 'auth_ephemeral_tokens')).not.toContain(value);
    expect(await statusOf(ada, withCookie(value))).toBe('authenticated');
  });

  it('F56: each login takes another value in its place: the one before is asked', async () => {
    const value = await trusting(ada);
    expect(await statusOf(ada)).toBe('authenticated');
    expect(browser.cookie(TRUSTED)).not.toBe(value);
    expect(await statusOf(ada, withCookie(value))).toBe('second_factor');
    expect(await statusOf(ada)).toBe('authenticated');
  });

  it('F56: over 30 days after the proof, to the exact instant, however often it was used', async () => {
    await trusting(ada);
    t.clock.advance(days(20));
    expect(await statusOf(ada)).toBe('authenticated');
    t.clock.advance(days(10) - 1);
    expect(await statusOf(ada)).toBe('authenticated');
    const last = browser.cookie(TRUSTED)!;
    t.clock.advance(1);
    expect(await statusOf(ada, withCookie(last))).toBe('second_factor');
  });

  it('F56: the session is worth what was proved for it: @RequireAal(2) refuses, and a step-up asks', async () => {
    const totp = t.app.get(TotpFactor);
    totp.enrolled.add(ada.id);
    await browser.post('2fa/verify', {
      token: await browser.pending(ada),
      method: 'totp',
      code: '271828',
      trustBrowser: true,
    });
    const safe = () =>
      request(t.url)
        .delete('/own/safe')
        .set('Cookie', `${SESSION}=${browser.cookie(SESSION)}; ${TRUSTED}=${browser.cookie(TRUSTED)}`);
    await safe().expect(200);
    expect(await statusOf(ada)).toBe('authenticated');
    expect((await browser.send('get', 'session')).body.session).toMatchObject({ aal: 1, amr: ['password'] });
    expect((await safe().expect(401)).body).toMatchObject({ code: 'STEP_UP_REQUIRED', methods: ['totp'] });
    expect((await browser.post('step-up', { method: 'totp', code: '000000' })).status).toBe(401);
    expect((await browser.post('step-up', { method: 'totp', code: '271828' })).status).toBe(200);
    await safe().expect(200);
  });

  it.each<[string, () => Promise<unknown>]>([
    ['a new password', () => t.app.get(PostgresUserDirectory).setPassword(ada.id, NEW_PASSWORD)],
    [
      'a password changed by its owner',
      () => browser.post('change-password', { currentPassword: PASSWORD, newPassword: NEW_PASSWORD }),
    ],
    [
      'a factor that goes',
      async () => {
        await browser.post('step-up', { method: 'email-code', code: await stepUpCode() });
        await browser.post('2fa/email/disable', {});
        await mailCodesTo(t, ada);
      },
    ],
    [
      'a factor that comes',
      async () => {
        await t.app.get(EmailFactorStore).disable(ada.id);
        await browser.post('2fa/email/enable', {});
        await browser.post('2fa/email/enable/confirm', { code: await codeTo(t, ada, 'email_code_setup') });
      },
    ],
    ['a sign-out everywhere', () => browser.post('logout-all', {})],
    [
      'a sign-out everywhere by the directory',
      () => t.app.get(PostgresUserDirectory).invalidateTokens(ada.id, t.clock.now()),
    ],
    [
      'disabled, and enabled again',
      async () => {
        await t.app.get(PostgresUserDirectory).disable(ada.id);
        await t.app.get(PostgresUserDirectory).enable(ada.id);
      },
    ],
    ['a wish to trust none', () => browser.send('delete', '2fa/trusted-browsers')],
  ])('F56: after %s the browser is asked again', async (what, change) => {
    await trusting(ada);
    await trusting(bob);
    // From here on the session is hers.
    expect(await statusOf(ada)).toBe('authenticated');
    const latest = browser.cookie(TRUSTED)!;
    await change();
    t.clock.advance(1);
    const password = what.includes('password') ? NEW_PASSWORD : PASSWORD;
    expect(await statusOf(ada, withCookie(latest), password)).toBe('second_factor');
    // Nobody else is.
    expect(await statusOf(bob, withCookie(latest))).toBe('authenticated');
  });

  it('a logout leaves it', async () => {
    await trusting(ada);
    await browser.post('logout', {});
    expect(await statusOf(ada)).toBe('authenticated');
  });

  it('are counted, and one that trusts again counts once', async () => {
    await trusting(ada);
    const count = async () => (await browser.send('get', '2fa')).body.trustedBrowsers as number;
    expect(await count()).toBe(1);
    const value = browser.cookie(TRUSTED)!;
    // Asked in between, since the cookie was not sent.
    const elsewhere = new CodeBrowser(t);
    const { token, code } = await elsewhere.asked(ada);
    elsewhere.setCookie(TRUSTED, value);
    await elsewhere.verify(token, code, { trustBrowser: true });
    expect(await count()).toBe(1);
    await trusting(ada, new CodeBrowser(t));
    expect(await count()).toBe(2);
    const forgotten = await browser.send('delete', '2fa/trusted-browsers');
    expect(forgotten.get('Set-Cookie')!.join()).toMatch(/__Host-session-trusted=;.*Max-Age=0/);
    expect(await count()).toBe(0);
    expect(heard).toContainEqual(expect.objectContaining({ type: 'browser.untrusted', userId: ada.id, count: 2 }));
  });

  it('a client without cookies trusts nothing, and its first step is not left out', async () => {
    const value = await trusting(ada);
    const token = () =>
      request(t.url)
        .post('/auth/token')
        .set('Cookie', `${TRUSTED}=${value}`)
        .send({ email: ada.email, password: PASSWORD });
    expect((await token()).body.status).toBe('second_factor');
  });

  it('F22: while the storage of the tokens is away nobody is let in', async () => {
    const value = await trusting(ada);
    await t.db.query('ALTER TABLE auth_ephemeral_tokens RENAME TO away');
    try {
      const { status } = await withCookie(value).first(ada);
      // With tokens in Redis the browser is still known.
      expect([503, 200]).toContain(status);
    } finally {
      await t.db.query('ALTER TABLE away RENAME TO auth_ephemeral_tokens');
    }
  });
});

describe('where no browser is trusted', () => {
  it('trustBrowser is refused, and a value of before is nothing', async () => {
    const t = await startTestApp({ auth: MAILED_CODES });
    const strict = await startTestApp({
      url: t.db.url,
      startAt: t.clock.now(),
      auth: { ...MAILED_CODES, flows: { twoFactor: { emailCode: {} } } },
    });
    try {
      const ada = await createUser(t.app);
      await mailCodesTo(t, ada);
      const browser = new CodeBrowser(t);
      await browser.logIn(ada, { trustBrowser: true });
      const there = new CodeBrowser(strict);
      there.setCookie(TRUSTED, browser.cookie(TRUSTED)!);
      const { token, code } = await there.asked(ada);
      const refused = await there.verify(token, code, { trustBrowser: true });
      expect([refused.status, Object.keys(refused.body.fields)]).toEqual([422, ['trustBrowser']]);
      expect((await there.verify(token, code)).status).toBe(200);
      expect(await signInAs(strict.app, ada.id, { proofs: ['password', 'email-code'] })).toBeTruthy();
    } finally {
      await strict.close();
      await t.close();
    }
  });
});
