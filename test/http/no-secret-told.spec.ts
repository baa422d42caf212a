import { metrics } from '@opentelemetry/api';
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics';
import { Logger } from '@nestjs/common';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { AuthEvents, minutes, PostgresUserDirectory, type AuthUser } from 'nestjs-latchkey';
import { AuditLog } from 'nestjs-latchkey/engine';
import { MemoryMailer, signInAs, totpOf } from 'nestjs-latchkey/testing';
import request from 'supertest';
import { createUser, PASSWORD, PLATFORMS, startTestApp, type TestApp } from '../support/app.js';
import { EVERY_FLOW } from '../support/every-flow.js';
import { FailingMailer } from '../support/flows.js';
import { LinkBrowser } from '../support/magic-link.js';
import { CodeBrowser, codeTo } from '../support/mailed-codes.js';
import { PasskeyClient } from '../support/passkeys.js';
import { Browser, newAddress } from '../support/registration.js';
import { enrol, pendingLogin } from '../support/two-factor.js';
import { secretsOnTheWire } from '../support/wire.js';

const NEXT = 'a canary of a passphrase';

describe.each(PLATFORMS)('F27: what the log, events, the audit table and metrics tell, on %s', (platform) => {
  let t: TestApp;
  let secrets: Set<string>;
  const told: string[] = [];
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 });
  const provider = new MeterProvider({ readers: [reader] });
  beforeAll(async () => {
    metrics.setGlobalMeterProvider(provider);
    const keep = (...said: unknown[]) =>
      void told.push(...said.map((one) => (one instanceof Error ? `${one.stack}` : JSON.stringify(one))));
    for (const level of ['log', 'warn', 'error', 'debug', 'verbose', 'fatal'] as const)
      jest.spyOn(Logger.prototype, level).mockImplementation(keep);
    t = await startTestApp({ platform, auth: { ...EVERY_FLOW, mailer: FailingMailer, audit: { enabled: true } } });
    t.app.get(AuthEvents).on((event) => keep(event));
    secrets = secretsOnTheWire(t.app.getHttpServer());
  }, 60_000);
  afterAll(async () => {
    await t?.close();
    jest.restoreAllMocks();
    await provider.shutdown();
    metrics.disable();
  });

  const post = (path: string, body: object, cookie = '') =>
    request(t.url)
      .post(`/auth/${path}`)
      .set(cookie === '' ? {} : { Cookie: cookie })
      .send(body);
  const last = async (kind: 'password_reset' | 'email_change' | 'email_changed' | 'first_factor_added') =>
    (await MemoryMailer.of(t.app)).last(kind).token;
  const again = async ({ id }: AuthUser) => (await t.app.get(PostgresUserDirectory).findById(id))!;

  /** Each with something refused, and with what is right. */
  const FLOWS: Record<string, () => Promise<unknown>> = {
    registration: async () => {
      const [own, other, email] = [new Browser(t), new Browser(t), newAddress()];
      const { token, code } = await own.register(email, NEXT);
      await own.confirm({ code: 'BCDF-GHJK' });
      await other.confirm({ token, password: 'none of the passwords' });
      return own.confirm({ code });
    },
    login: async () => {
      const { email } = await createUser(t.app);
      await post('login', { email, password: 'none of the passwords' });
      await post('token', { email, password: PASSWORD }).expect(200);
      return post('login', { email, password: PASSWORD });
    },
    passwordReset: async () => {
      const { email } = await createUser(t.app);
      // What the mailer throws has the mail in it.
      t.app.get(FailingMailer).instead = (mail) => Promise.reject(new Error(mail.text));
      await post('forgot-password', { email }).expect(202);
      await MemoryMailer.of(t.app);
      t.app.get(FailingMailer).instead = undefined;
      await post('forgot-password', { email }).expect(202);
      const token = await last('password_reset');
      await post('reset-password', { token, password: 'canary' }).expect(422);
      await post('reset-password', { token: token.toLowerCase(), password: NEXT }).expect(400);
      return post('reset-password', { token, password: NEXT });
    },
    passwordChange: async () => {
      const cookie = await signInAs(t.app, (await createUser(t.app)).id);
      await post('change-password', { currentPassword: 'none of the passwords', newPassword: NEXT }, cookie);
      return post('change-password', { currentPassword: PASSWORD, newPassword: NEXT }, cookie);
    },
    emailChange: async () => {
      const cookie = await signInAs(t.app, (await createUser(t.app)).id);
      await post('change-email', { email: newAddress() }, cookie).expect(202);
      await post('confirm-email-change', { token: await last('email_change') }).expect(200);
      await post('confirm-email-change', { token: await last('email_change') }).expect(400);
      return post('revert-email-change', { token: await last('email_changed') });
    },
    twoFactor: async () => {
      const user = await createUser(t.app);
      const { secret, backupCodes, cookie } = await enrol(t, user);
      const first = await pendingLogin(t, user);
      const { token } = first;
      await post('2fa/verify', { token, method: 'totp', code: '000000' }, first.challenge).expect(401);
      const right = { token, method: 'totp', code: totpOf(secret, t.clock), trustBrowser: true };
      await post('2fa/verify', right, first.challenge).expect(200);
      const next = await pendingLogin(t, user);
      const backup = { token: next.token, method: 'backup-code', code: backupCodes[0] };
      await post('2fa/verify', backup, next.challenge).expect(200);
      await post('2fa/verify', backup, next.challenge).expect(401);
      await post('2fa/backup-codes', {}, cookie).expect(200);
      return post('revert-factor', { token: await last('first_factor_added') });
    },
    'codes by mail': async () => {
      const user = await createUser(t.app);
      const cookie = await signInAs(t.app, user.id);
      await post('2fa/email/enable', {}, cookie).expect(202);
      const setUp = await codeTo(t, user, 'email_code_setup');
      await post('2fa/email/enable/confirm', { code: 'BCDF-GHJK' }, cookie).expect(401);
      await post('2fa/email/enable/confirm', { code: setUp }, cookie).expect(200);
      const browser = new CodeBrowser(t);
      const { token, code } = await browser.asked(await again(user));
      await browser.verify(token, 'BCDF-GHJK');
      return browser.verify(token, code);
    },
    passkeys: async () => {
      const client = new PasskeyClient(t);
      const { authenticator } = await client.register(await createUser(t.app));
      await client.logIn(authenticator, { origin: 'https://evil.example' });
      return client.logIn(authenticator);
    },
    magicLink: async () => {
      const [own, other] = [new LinkBrowser(t), new LinkBrowser(t)];
      const { token, code } = await own.ask((await createUser(t.app)).email);
      await other.confirm({ token });
      return own.confirm({ code });
    },
    apiKeys: async () => {
      const cookie = await signInAs(t.app, (await createUser(t.app)).id);
      const { body } = await post('api-keys', { name: 'Backup', scopes: ['notes:read'], expiresIn: 60 }, cookie);
      return request(t.url)
        .get('/auth/session')
        .set('Authorization', `Bearer ${body.key}`)
        .then(() => ({ status: 200 }));
    },
    stepUp: async () => {
      const cookie = await signInAs(t.app, (await createUser(t.app)).id, { age: minutes(20) });
      await post('step-up', { method: 'password', password: 'none of the passwords' }, cookie).expect(401);
      return post('step-up', { method: 'password', password: PASSWORD }, cookie);
    },
    'links at a provider': async () => {
      await request(t.url)
        .get('/auth/oidc/idp/callback')
        .query({ state: 'A'.repeat(43), code: 'c' });
      const answer = await post('oidc/idp/start', {});
      return { status: answer.status === 502 ? 200 : answer.status };
    },
  };

  it('F27: no token, code, password, key, secret, cookie or assertion of any flow is in any of it', async () => {
    for (const [flow, run] of Object.entries(FLOWS)) {
      t.clock.advance(minutes(20));
      expect([flow, ((await run()) as { status: number }).status]).toEqual([flow, 200]);
    }
    for (const mail of (await MemoryMailer.of(t.app)).sent) {
      for (const part of ['token', 'code']) if (part in mail) secrets.add(String(Object(mail)[part]));
    }
    await t.app.get(AuditLog).flush();
    await provider.forceFlush();
    const measured = JSON.stringify(exporter.getMetrics(), (_, value) => (value instanceof Map ? [...value] : value));
    const audited = JSON.stringify(await t.db.query('SELECT * FROM auth_audit_events'));
    for (const part of [audited, measured]) expect(part.length).toBeGreaterThan(2_000);
    const all = [...told, audited, measured].join('\n');
    const toldOf = (text: string) => [...secrets].filter((secret) => wholeWord(secret).test(text));
    expect(secrets.size).toBeGreaterThan(80);
    expect(toldOf(all)).toEqual([]);
    // Any of them would have been found.
    expect(toldOf([...secrets].map((secret) => JSON.stringify({ secret })).join('\n'))).toHaveLength(secrets.size);
  }, 60_000);
});

/** A code of six digits may be a part of an instant. */
const wholeWord = (secret: string) =>
  new RegExp(`(?<![\\w-])${secret.replaceAll(/[.*+?^${'$'}{}()|[\]\\]/g, '\\$&')}(?![\\w-])`);
