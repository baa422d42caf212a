import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { days, minutes, type AuthUser } from 'nestjs-latchkey';
import { signInAs } from 'nestjs-latchkey/testing';
import request from 'supertest';
import { createUser, PLATFORMS, startTestApp, type TestApp } from '../../support/app.js';
import { CodeBrowser, codeTo, MAILED_CODES, mailCodesTo, TRUSTED } from '../../support/mailed-codes.js';
import { PASSKEYS, PasskeyClient } from '../../support/passkeys.js';
import { enrol } from '../../support/two-factor.js';

const NESTED = `${'['.repeat(45_000)}${']'.repeat(45_000)}`;

describe.each(PLATFORMS)('changes of factors where there are several kinds, on %s', (platform) => {
  let t: TestApp;
  let ada: AuthUser;
  let client: PasskeyClient;
  beforeAll(async () => {
    const twoFactor = { totp: {}, backupCodes: { count: 4 }, emailCode: {}, trustedBrowsers: days(30) };
    const flows = { ...PASSKEYS.flows, twoFactor, emailChange: {} };
    t = await startTestApp({ platform, auth: { ...MAILED_CODES, baseUrl: PASSKEYS.baseUrl, flows } });
    client = new PasskeyClient(t);
  });
  afterAll(() => t?.close());
  beforeEach(async () => {
    t.clock.advance(minutes(20));
    ada = await createUser(t.app);
  });

  it.each<[string, object]>([
    ['2fa/email/disable', {}],
    ['2fa/email/enable', {}],
    ['2fa/totp/setup', {}],
    ['passkeys/options', {}],
    ['change-email', { email: 'mallory@example.com' }],
  ])(
    'F55, F56: a login that a trusted browser has shortened is not enough for %s: the code by mail is asked for first',
    async (path, body) => {
      await mailCodesTo(t, ada);
      const browser = new CodeBrowser(t);
      await browser.logIn(ada, { trustBrowser: true });
      const again = new CodeBrowser(t);
      again.setCookie(TRUSTED, browser.cookie(TRUSTED)!);
      expect((await again.first(ada)).body.status).toBe('authenticated');
      const refused = await again.post(path, body);
      expect([refused.status, refused.body]).toEqual([
        401,
        expect.objectContaining({
          code: 'STEP_UP_REQUIRED',
          required: { amr: ['email-code'] },
          methods: ['email-code'],
        }),
      ]);
      expect((await again.post('step-up/send', { method: 'email-code' })).status).toBe(202);
      const code = await codeTo(t, ada);
      expect((await again.post('step-up', { method: 'email-code', code })).status).toBe(200);
      expect((await again.post(path, body)).status).toBeLessThan(300);
    },
  );

  it('F52: what stands in for the other factors proves nothing once they are gone', async () => {
    const { backupCodes } = await enrol(t, ada);
    const { id } = await client.register(ada);
    const signedIn = (proofs: string[]) => signInAs(t.app, ada.id, { proofs });
    await client.post('2fa/totp/disable', {}, [await signedIn(['password', 'totp'])]).expect(200);
    const cookie = await signedIn(['password', 'totp']);
    await request(t.url).delete(`/auth/passkeys/${id}`).set('Cookie', cookie).expect(200);
    const stepUp = { method: 'backup-code', code: backupCodes[0] };
    await client.post('step-up', stepUp, [await signedIn(['password'])]).expect(401);
  });

  it.each<[string, (response: string) => string]>([
    ['2fa/verify', (response) => `{"token":"x","method":"passkey","response":${response}}`],
    ['step-up', (response) => `{"method":"passkey","response":${response}}`],
    ['passkey-login', (response) => `{"response":${response}}`],
  ])('F21: members of a passkey that are nested without end are left out by %s', async (path, body) => {
    const parts = '"clientDataJSON":"aaaa","authenticatorData":"aaaa","signature":"aaaa"';
    const response = `{"id":"aaaa","rawId":"aaaa","type":"public-key","x":${NESTED},"response":{"x":${NESTED.slice(44_000, -44_000)},${parts}}}`;
    const cookie = await signInAs(t.app, ada.id);
    await request(t.url)
      .post(`/auth/${path}`)
      .set('Cookie', cookie)
      .set('Content-Type', 'application/json')
      .send(body(response))
      .expect(401);
  });
});
