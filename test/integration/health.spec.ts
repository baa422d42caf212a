import { Controller, Get } from '@nestjs/common';
import { HealthCheckService, TerminusModule, type HealthIndicatorResult } from '@nestjs/terminus';
import { afterEach, describe, expect, it } from '@jest/globals';
import { hours, Public, seconds, type AuthHealth, type CleanupState } from 'nestjs-latchkey';
import { AuthHealthIndicator } from 'nestjs-latchkey/engine';
import { CleanupService } from 'nestjs-latchkey/engine';
import { InvalidationChannel, SessionStore } from 'nestjs-latchkey/engine';
import request from 'supertest';
import { startTestApp, type TestApp, type TestAppOptions } from '../support/app.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { until } from '../support/heard.js';
import { startTcpProxy } from '../support/tcp-proxy.js';

@Controller('health')
class HealthController {
  constructor(
    private readonly health: HealthCheckService,
    private readonly auth: AuthHealthIndicator,
  ) {}

  @Public()
  @Get()
  check() {
    return this.health.check([() => this.auth.check()]);
  }
}

const undo: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).toReversed()) await step();
});

async function start(options: Partial<TestAppOptions> = {}): Promise<TestApp & { db: TestDatabase }> {
  const db = await createTestDatabase();
  undo.push(() => db.drop());
  const t = await startTestApp({ url: db.url, ...options });
  undo.push(() => t.close());
  t.clock.set(Date.now());
  return { ...t, db };
}
const checked = async (t: TestApp, options?: Parameters<AuthHealthIndicator['check']>[1]): Promise<AuthHealth> =>
  (await t.app.get(AuthHealthIndicator).check('auth', options)).auth;

describe('AuthHealthIndicator', () => {
  it('is what terminus takes: 200 with the facts while up, 503 while down', async () => {
    const t = await start({ imports: [TerminusModule], controllers: [HealthController] });
    // The type of terminus accepts ours.
    const result: HealthIndicatorResult<'auth'> = await t.app.get(AuthHealthIndicator).check();
    expect(result.auth.status).toBe('up');
    const up = await request(t.url).get('/health').expect(200);
    expect(up.body).toMatchObject({
      status: 'ok',
      info: { auth: { status: 'up', listener: 'off', cleanup: 'off' } },
    });
    await t.db.query('ALTER TABLE sessions RENAME TO elsewhere');
    const down = await request(t.url).get('/health').expect(503);
    expect(down.body).toMatchObject({ status: 'error', error: { auth: { status: 'down', reason: 'SCHEMA_MISSING' } } });
  });

  it('up, with the time of the round trip and the difference of the clocks', async () => {
    const t = await start();
    const health = await checked(t);
    expect(health).toMatchObject({ status: 'up', degraded: [] });
    expect(health.roundTrip).toBeGreaterThan(0);
    expect(Math.abs(health.clockSkew!)).toBeLessThan(1_000);
  });

  it.each([
    ['ahead', 5_000, 'up', ['clock']],
    ['behind', -5_000, 'up', ['clock']],
    ['far ahead', 40_000, 'down', ['clock']],
    ['far behind', -40_000, 'down', ['clock']],
  ] as const)('a clock that is %s (%s ms) is a fact; 30 s are down', async (_, skew, status, degraded) => {
    const t = await start();
    t.clock.set(Date.now() + skew);
    const health = await checked(t);
    expect(health).toMatchObject({ status, degraded });
    expect(Math.abs(health.clockSkew! - skew)).toBeLessThan(1_000);
    t.clock.set(Date.now() + skew);
    expect(await checked(t, { maxClockSkew: Number.POSITIVE_INFINITY })).toMatchObject({ status: 'up', degraded });
  });

  it('a database that does not answer: down in time, asked once, and up again when it is back', async () => {
    const db = await createTestDatabase();
    undo.push(() => db.drop());
    const proxy = await startTcpProxy(Number(new URL(db.url).port));
    undo.push(() => proxy.close());
    const t = await startTestApp({ url: proxy.url(db.url) });
    undo.push(() => t.close());
    t.clock.set(Date.now());
    expect((await checked(t)).status).toBe('up');
    proxy.cut();
    t.queries.reset();
    const startedAt = performance.now();
    const answers = await Promise.all(Array.from({ length: 20 }, () => checked(t, { timeout: 100 })));
    expect(performance.now() - startedAt).toBeLessThan(2_000);
    expect(answers.map(({ status, reason }) => ({ status, reason }))).toEqual(
      Array.from({ length: 20 }, () => ({ status: 'down', reason: 'TIMEOUT' })),
    );
    expect(t.queries.names.filter((name) => name === 'latchkey_health')).toHaveLength(1);
    proxy.heal();
    await until(async () => (await checked(t, { timeout: 1_000 })).status === 'up');
  });

  it('a fault tells its code and nothing else', async () => {
    const t = await start();
    t.app.get(SessionStore).find = () => Promise.reject(new Error('password=hunter2 at 10.0.0.1'));
    const health = await checked(t);
    expect(health).toMatchObject({ status: 'down', reason: 'STORE_UNAVAILABLE', roundTrip: null });
    expect(JSON.stringify(health)).not.toMatch(/hunter2|10\.0/);
  });

  it('a listener that hears nothing costs speed, not answers: up, and degraded', async () => {
    const t = await start({ auth: { cache: { enabled: true } } });
    expect(await checked(t)).toMatchObject({ status: 'up', degraded: [], listener: 'current' });
    Object.defineProperty(t.app.get(InvalidationChannel), 'isCurrent', { get: () => false });
    expect(await checked(t)).toMatchObject({ status: 'up', degraded: ['listener'], listener: 'disconnected' });
  });

  it('a cleanup that fails or lags costs space: up, and degraded', async () => {
    const t = await start();
    let state: CleanupState = { lastRunAt: t.clock.now(), lastSuccessAt: null, lastError: null, lag: 0 };
    Object.defineProperty(t.app.get(CleanupService), 'state', { get: () => state });
    expect(await checked(t)).toMatchObject({ degraded: [], cleanup: { failing: false, lastSuccess: null } });
    state = { ...state, lastSuccessAt: t.clock.now() - seconds(60), lag: hours(2) };
    expect(await checked(t)).toMatchObject({
      status: 'up',
      degraded: ['cleanup'],
      cleanup: { failing: false, lastSuccess: 60_000, lag: hours(2) },
    });
    state = { ...state, lag: 0, lastError: 'UNKNOWN' };
    expect(await checked(t)).toMatchObject({ status: 'up', degraded: ['cleanup'], cleanup: { failing: true } });
  });

  it('the cleanup is off where this process deletes nothing, and not where the host runs it itself', async () => {
    const t = await start();
    expect((await checked(t)).cleanup).toBe('off');
    await t.app.get(CleanupService).runOnce();
    expect((await checked(t)).cleanup).toMatchObject({ failing: false, lag: 0 });
  });
});
