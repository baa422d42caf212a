import { beforeEach, describe, expect, it } from '@jest/globals';
import { minutes, type AuthUser } from 'nestjs-latchkey';
import { MemoryMailer, signInAs } from 'nestjs-latchkey/testing';
import request from 'supertest';
import { createUser, PASSWORD, PLATFORMS } from '../../support/app.js';
import {
  CodeBrowser,
  codeTo,
  mailCodesTo,
  MAILED_CODES,
  SafeController,
  SESSION,
  TRUSTED,
} from '../../support/mailed-codes.js';
import { sharedTestApp } from '../../support/shared-app.js';

describe.each(PLATFORMS)('where codes by mail count as a factor, on %s', (platform) => {
  const t = sharedTestApp({
    platform,
    controllers: [SafeController],
    auth: {
      ...MAILED_CODES,
      flows: { ...MAILED_CODES.flows, magicLink: {} },
      assurance: { emailCounts: true },
      jwt: { sessions: true },
    },
  });
  let ada: AuthUser;
  let browser: CodeBrowser;
  beforeEach(async () => {
    t.clock.advance(minutes(20));
    ada = await createUser(t.app);
    await mailCodesTo(t, ada);
    browser = new CodeBrowser(t);
  });
  const session = async () => (await browser.send('get', 'session')).body.session as object;
  const empty = (headers: Readonly<Record<string, string>>) => request(t.url).delete('/safe').set(headers);
  const cookie = () => ({ Cookie: `${SESSION}=${browser.cookie(SESSION)}` });

  it('F54: a password and a code are two factors: @RequireAal(2) accepts them', async () => {
    await browser.logIn(ada);
    expect(await session()).toMatchObject({ aal: 2, amr: ['password', 'email-code'] });
    await empty(cookie()).expect(200);
  });

  it('F54: so are they in a JWT', async () => {
    const { body } = await browser.post('token', { email: ada.email, password: PASSWORD });
    await browser.ask(body.token as string);
    const done = await browser.verify(body.token as string, await codeTo(t, ada));
    await empty({ Authorization: `Bearer ${done.body.token}` }).expect(200);
  });

  it('F54: a step-up by one is offered, and lifts a session of a password', async () => {
    const bob = await createUser(t.app);
    browser.setCookie(SESSION, (await signInAs(t.app, bob.id)).split('=')[1]!);
    await mailCodesTo(t, bob);
    const refused = await empty(cookie()).expect(401);
    expect(refused.body).toMatchObject({ code: 'STEP_UP_REQUIRED', required: { aal: 2 }, methods: ['email-code'] });
    expect((await browser.post('step-up/send', { method: 'email-code' })).status).toBe(202);
    const proof = { method: 'email-code', code: await codeTo(t, bob) };
    expect((await browser.post('step-up', proof)).body).toMatchObject({ aal: 2 });
    await empty(cookie()).expect(200);
  });

  it('F54: one mailbox twice stays one factor: a mailed link and a mailed code', async () => {
    await browser.post('magic-link', { email: ada.email });
    const { code } = (await MemoryMailer.of(t.app)).last('magic_link');
    const held = await browser.post('magic-link/confirm', { code });
    expect(held.body.status).toBe('second_factor');
    await browser.ask(held.body.token as string);
    expect((await browser.verify(held.body.token as string, await codeTo(t, ada))).status).toBe(200);
    expect(await session()).toMatchObject({ aal: 1, amr: ['magic-link', 'email-code'] });
    await empty(cookie()).expect(401);
  });

  it('F56: a trusted browser has not proved it: @RequireAal(2) refuses', async () => {
    await browser.logIn(ada, { trustBrowser: true });
    const again = new CodeBrowser(t);
    again.setCookie(TRUSTED, browser.cookie(TRUSTED)!);
    expect((await again.first(ada)).body.status).toBe('authenticated');
    await empty({ Cookie: `${SESSION}=${again.cookie(SESSION)}` }).expect(401);
  });

  it('F55: to turn them off needs two factors then', async () => {
    const weak = new CodeBrowser(t);
    await browser.logIn(ada, { trustBrowser: true });
    weak.setCookie(TRUSTED, browser.cookie(TRUSTED)!);
    await weak.first(ada);
    const refused = await weak.post('2fa/email/disable', {});
    expect(refused.body).toMatchObject({ code: 'STEP_UP_REQUIRED', required: { aal: 2 } });
    expect((await browser.post('2fa/email/disable', {})).status).toBe(200);
  });
});
