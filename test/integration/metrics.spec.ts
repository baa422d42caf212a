import { metrics } from '@opentelemetry/api';
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { AuthEvents, SessionService, type AuthEvent } from 'nestjs-latchkey';
import { InvalidationChannel, Outbox, SessionStore } from 'nestjs-latchkey/engine';
import { MemoryMailer } from 'nestjs-latchkey/testing';
import { AuthMetrics } from '../../src/metrics/auth-metrics.js';
import { CountedSessionStore } from '../../src/metrics/counted-session.store.js';
import { createUser, startTestApp, type TestApp } from '../support/app.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

let exporter: InMemoryMetricExporter;
let provider: MeterProvider;

interface Point {
  readonly name: string;
  readonly attributes: Record<string, unknown>;
  readonly value: unknown;
}

async function collected(): Promise<Point[]> {
  exporter.reset();
  await provider.forceFlush();
  return exporter
    .getMetrics()
    .flatMap(({ scopeMetrics }) => scopeMetrics.flatMap((scope) => scope.metrics))
    .flatMap(({ descriptor: { name }, dataPoints }) =>
      dataPoints.map(({ attributes, value }) => ({ name, attributes, value })),
    );
}

describe('metrics', () => {
  let db: TestDatabase;
  let t: TestApp | undefined;
  beforeEach(async () => {
    db = await createTestDatabase();
    exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
    const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 });
    provider = new MeterProvider({ readers: [reader] });
  });
  afterEach(async () => {
    await t?.close();
    t = undefined;
    await provider.shutdown();
    metrics.disable();
    await db.drop();
  });

  it('with an SDK: lookups, changes, statements, gauges and events are counted, and nobody is named', async () => {
    metrics.setGlobalMeterProvider(provider);
    t = await startTestApp({
      url: db.url,
      auth: {
        cache: { enabled: true, channel: 'local' },
        baseUrl: 'https://app.example.com',
        mailer: MemoryMailer,
      },
    });
    expect(t.app.get(SessionStore)).toBeInstanceOf(CountedSessionStore);
    const sessions = t.app.get(SessionService);
    const ada = await createUser(t.app, 'ada@example.com');
    const { token, session } = await sessions.create(ada.id);
    await sessions.lookup(token);
    await Promise.all([sessions.lookup(token), sessions.lookup(token)]);
    await sessions.lookup('A'.repeat(43));
    for (const event of [
      { type: 'session.reuse_detected', userId: ada.id },
      { type: 'session.created', handle: session.handle },
      { type: 'session.revoked', handle: session.handle, reason: 'cap', count: 2 },
      { type: 'login.failed', login: 'ada@example.com', reason: 'INVALID_CREDENTIALS' },
      { type: 'token.consumed', tokenType: 'password_reset' },
      { type: 'token.refused', tokenType: 'ada@example.com' },
      { type: 'rate_limit.reached', event: 'login_ip', subject: '192.0.2.1' },
    ]) {
      t.app.get(AuthEvents).emit(event as unknown as AuthEvent);
    }
    const outbox = t.app.get(Outbox);
    outbox.post({ kind: 'no_password', to: 'ada@example.com', facts: {} });
    outbox.post({ kind: 'no_password', to: 'ada@example.com,eve@example.com', facts: {} });
    await outbox.idle();
    const points = await collected();
    const value = (name: string, attributes: object = {}) =>
      points.find((point) => point.name === name && JSON.stringify(point.attributes) === JSON.stringify(attributes))
        ?.value;

    expect(value('latchkey.session.lookups', { result: 'miss' })).toBe(1);
    expect(value('latchkey.session.lookups', { result: 'hit' })).toBe(2);
    expect(value('latchkey.session.lookups', { result: 'none' })).toBe(1);
    expect(value('latchkey.session.changes', { change: 'created' })).toBeGreaterThanOrEqual(1);
    expect(value('latchkey.session.changes', { change: 'revoked', reason: 'cap' })).toBe(2);
    expect(value('latchkey.store.duration', { statement: 'latchkey_session_add' })).toMatchObject({ count: 1 });
    expect(value('latchkey.invalidation.current')).toBe(1);
    expect(value('latchkey.cache.size')).toBe(1);
    expect(value('latchkey.events', { type: 'session.reuse_detected' })).toBe(1);
    expect(value('latchkey.logins', { result: 'failed', reason: 'INVALID_CREDENTIALS' })).toBe(1);
    expect(value('latchkey.ephemeral_tokens', { type: 'password_reset', result: 'consumed' })).toBe(1);
    expect(value('latchkey.ephemeral_tokens', { type: 'other', result: 'refused' })).toBe(1);
    expect(value('latchkey.mails', { kind: 'no_password', result: 'sent' })).toBe(1);
    expect(value('latchkey.mails', { kind: 'no_password', result: 'failed', reason: 'address' })).toBe(1);
    expect(value('latchkey.mail.waiting')).toBe(0);
    expect(value('latchkey.rate_limit.reached', { event: 'login_ip' })).toBe(1);
    for (const secret of [ada.id, token, session.id, session.handle, 'ada@example.com', '192.0.2.1']) {
      expect(JSON.stringify(points)).not.toContain(secret);
    }
  });

  it('a fault is counted too, and thrown as it was', async () => {
    metrics.setGlobalMeterProvider(provider);
    t = await startTestApp({ url: db.url });
    const sessions = t.app.get(SessionService);
    await db.query('ALTER TABLE sessions RENAME TO elsewhere');
    await expect(sessions.lookup('A'.repeat(43))).rejects.toMatchObject({ code: 'SCHEMA_MISSING' });
    expect(await collected()).toContainEqual({
      name: 'latchkey.session.lookups',
      attributes: { result: 'error' },
      value: 1,
    });
  });

  it('after the application has ended, its gauges are asked no more', async () => {
    metrics.setGlobalMeterProvider(provider);
    t = await startTestApp({ url: db.url });
    let asked = 0;
    Object.defineProperty(t.app.get(InvalidationChannel), 'isCurrent', { get: () => Boolean(++asked) });
    await collected();
    expect(asked).toBe(1);
    await t.close();
    t = undefined;
    await collected();
    expect(asked).toBe(1);
  });

  it('without an SDK nothing is in the way: no lookup and no statement is watched', async () => {
    t = await startTestApp({ url: db.url });
    expect(t.app.get(AuthMetrics)).toBe(AuthMetrics.OFF);
    expect(t.app.get(SessionStore)).not.toBeInstanceOf(CountedSessionStore);
  });

  it('without the package, or with one that is something else, it starts as well', async () => {
    const missing = Object.assign(new Error('Cannot find package'), { code: 'ERR_MODULE_NOT_FOUND' });
    expect(await AuthMetrics.load(() => Promise.reject(missing))).toBe(AuthMetrics.OFF);
    expect(await AuthMetrics.load(async () => ({}))).toBe(AuthMetrics.OFF);
  });
});
