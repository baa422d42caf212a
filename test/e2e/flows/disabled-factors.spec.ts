import { metrics } from '@opentelemetry/api';
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { AuthUser } from 'nestjs-latchkey';
import { AuditLog } from 'nestjs-latchkey/engine';
import { totpOf } from 'nestjs-latchkey/testing';
import request from 'supertest';
import { createUser, PASSWORD, PLATFORMS } from '../../support/app.js';
import { EVERY_FLOW } from '../../support/every-flow.js';
import { newMails } from '../../support/flows.js';
import { CodeBrowser, mailCodesTo, TRUSTED } from '../../support/mailed-codes.js';
import { PasskeyClient } from '../../support/passkeys.js';
import { eventsHeard, sharedTestApp } from '../../support/shared-app.js';
import { enrol, pastTheLimits, pendingLogin } from '../../support/two-factor.js';

const LIMIT = 5;
const { rateLimits } = EVERY_FLOW;
const AUTH = {
  ...EVERY_FLOW,
  audit: { enabled: true },
  rateLimits: { ...rateLimits, policies: { ...rateLimits?.policies, '2fa_attempt': { limit: LIMIT } } },
};
const TYPES = ['added', 'disabled', 'refused', 'removed', 'reverted', 'used'].map((what) => `factor.${what}`);

describe.each(PLATFORMS)('factors that are answered wrongly, on %s', (platform) => {
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 });
  const provider = new MeterProvider({ readers: [reader] });
  beforeAll(() => void metrics.setGlobalMeterProvider(provider));
  const t = sharedTestApp({ platform, auth: AUTH });
  const heard = eventsHeard(t);
  afterAll(async () => {
    metrics.disable();
    await provider.shutdown();
  });

  const post = (path: string, cookie: string, body: object = {}) =>
    request(t.url).post(`/auth/${path}`).set('Cookie', cookie).send(body);
  /** The ways in which a code is answered, each in a challenge or session of its own. */
  const answerBy = (user: AuthUser, cookie: string) => ({
    login: async (method: string, code: string) => {
      const { token, challenge } = await pendingLogin(t, user);
      return post('2fa/verify', challenge, { token, method, code });
    },
    bearer: async (method: string, code: string) => {
      const { body } = await request(t.url).post('/auth/token').send({ email: user.email, password: PASSWORD });
      return post('2fa/verify', '', { token: body.token as string, method, code });
    },
    'step-up': async (method: string, code: string) => post('step-up', cookie, { method, code }),
  });

  it('F51: 100 wrong codes of the app, over days and by every way, disable it and nothing else', async () => {
    const ada = await createUser(t.app);
    const { secret, backupCodes } = await enrol(t, ada);
    const passkeys = new PasskeyClient(t);
    const { authenticator } = await passkeys.register(ada);
    await mailCodesTo(t, ada);
    t.clock.advance(pastTheLimits);
    const trusting = new CodeBrowser(t);
    await trusting.logIn(ada, { trustBrowser: true });
    const cookie = await passkeys.signIn(ada);
    await newMails(t.app);
    heard.length = 0;

    const ways = Object.values(answerBy(ada, cookie));
    for (let i = 0; i < 100; i++) {
      expect([i, (await ways[i % ways.length]!('totp', '000000')).status]).toEqual([i, 401]);
      if ((i + 1) % LIMIT !== 0) continue;
      // One budget: neither another method nor another way has one of its own.
      expect((await ways[(i + 1) % ways.length]!(i % 2 ? 'backup-code' : 'totp', 'AAAA-AAAA')).status).toBe(429);
      t.clock.advance(pastTheLimits);
    }

    const disabled = heard.filter(({ type }) => type === 'factor.disabled');
    expect(disabled).toEqual([expect.objectContaining({ userId: ada.id, factor: 'totp' })]);
    expect((await newMails(t.app)).map(({ kind, to }) => [kind, to.address])).toEqual([['factor_disabled', ada.email]]);
    expect((await ways[0]!('totp', totpOf(secret, t.clock))).status).toBe(401);

    expect((await request(t.url).get('/auth/session').set('Cookie', cookie)).status).toBe(200);
    expect((await passkeys.logIn(authenticator)).body).toMatchObject({ status: 'authenticated' });
    expect((await trusting.first(ada)).body).toMatchObject({ status: 'authenticated' });
    expect(trusting.cookie(TRUSTED)).toMatch(/./);
    await new CodeBrowser(t).logIn(ada);
    expect((await ways[0]!('backup-code', backupCodes[0]!)).status).toBe(200);
    expect(heard.filter(({ type }) => type === 'factor.disabled')).toHaveLength(1);
  }, 60_000);

  it('F51: 100 wrong codes by mail disable these and nothing else', async () => {
    const bob = await createUser(t.app);
    const { secret, cookie } = await enrol(t, bob);
    await mailCodesTo(t, bob);
    await newMails(t.app);
    heard.length = 0;
    for (let i = 0; i < 100; i += LIMIT) {
      t.clock.advance(pastTheLimits);
      const browser = new CodeBrowser(t);
      const { token, code } = await browser.asked(bob);
      const wrong = code.startsWith('B') ? 'CCCC-CCCC' : 'BBBB-BBBB';
      for (let j = 0; j < LIMIT; j++) expect([i, (await browser.verify(token, wrong)).status]).toEqual([i, 401]);
    }
    t.clock.advance(pastTheLimits);
    expect(heard.filter(({ type }) => type === 'factor.disabled')).toEqual([
      expect.objectContaining({ userId: bob.id, factor: 'email-code' }),
    ]);
    expect((await newMails(t.app)).filter(({ kind }) => kind === 'factor_disabled')).toHaveLength(1);
    expect((await request(t.url).get('/auth/session').set('Cookie', cookie)).status).toBe(200);
    expect((await answerBy(bob, cookie).login('totp', totpOf(secret, t.clock))).status).toBe(200);
  }, 60_000);

  it('every event of a factor is a row of the audit, and counted by factor and result', async () => {
    const eve = await createUser(t.app);
    await newMails(t.app);
    const told = await allOf(async () => {
      const { cookie } = await enrol(t, eve);
      await answerBy(eve, cookie).login('totp', '000000');
      await t.db.query('UPDATE auth_totp SET failures = 99 WHERE user_id = $1', [eve.id]);
      await answerBy(eve, cookie).login('totp', '000000');
      await post('2fa/totp/disable', cookie).expect(200);
      await newMails(t.app);
      await enrol(t, eve);
      const mail = (await newMails(t.app)).find(({ kind }) => kind === 'first_factor_added') as { token?: string };
      await post('revert-factor', '', { token: mail.token }).expect(200);
    });
    expect([...new Set(told.events.map(({ type }) => type))].toSorted()).toEqual(TYPES);
    expect(told.rows).toEqual(
      told.events.map((event) => {
        const { type, userId, at: _, ip = null, ...facts } = event as unknown as Record<string, unknown>;
        return { type, user_id: userId, ip, facts };
      }),
    );
    const counted: Record<string, number> = {};
    for (const event of told.events) {
      if (!('factor' in event)) continue;
      const name = `${String(event.factor)} ${event.type.replace('factor.', '')}`;
      counted[name] = (counted[name] ?? 0) + 1;
    }
    expect(told.counts).toEqual(counted);
  });

  /** What `work` tells, writes and counts of factors. */
  async function allOf(work: () => Promise<void>) {
    const before = await counts();
    heard.length = 0;
    const audit = t.app.get(AuditLog);
    await audit.flush();
    const [last] = await t.db.query<{ id: string }>('SELECT coalesce(max(id), 0) AS id FROM auth_audit_events');
    await work();
    await audit.flush();
    const rows = await t.db.query(
      `SELECT type, user_id, ip, facts FROM auth_audit_events WHERE type LIKE 'factor.%' AND id > $1 ORDER BY id`,
      [last!.id],
    );
    const after = await counts();
    const more = Object.entries(after).map(([name, n]) => [name, n - (before[name] ?? 0)] as const);
    const events = heard.filter(({ type }) => type.startsWith('factor.'));
    return { events, rows, counts: Object.fromEntries(more.filter(([, n]) => n > 0)) };
  }

  async function counts(): Promise<Record<string, number>> {
    exporter.reset();
    await provider.forceFlush();
    const factors = exporter
      .getMetrics()
      .flatMap(({ scopeMetrics }) => scopeMetrics.flatMap((scope) => scope.metrics))
      .filter(({ descriptor }) => descriptor.name === 'latchkey.second_factors');
    const counted: Record<string, number> = {};
    for (const { dataPoints } of factors) {
      for (const { attributes, value } of dataPoints) {
        counted[`${String(attributes['factor'])} ${String(attributes['result'])}`] = Number(value);
      }
    }
    return counted;
  }
});
