import { beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { getDataSourceToken } from '@nestjs/typeorm';
import { minutes, RateLimitService, seconds } from 'nestjs-latchkey';
import { CleanupService } from 'nestjs-latchkey/engine';
import { AuthConfig, LoginBackoff } from 'nestjs-latchkey/engine';
import type { DataSource } from 'typeorm';
import { startTestApp, type TestApp } from '../support/app.js';
import { sharedTestApp } from '../support/shared-app.js';
import { createTestDatabase } from '../support/database.js';
import { longestWindow } from '../../src/rate-limit/rate-limit.policy.js';

declare module 'nestjs-latchkey' {
  interface RateLimitEvents {
    share_note: true;
  }
}

const POLICIES = { share_note: { limit: 2, window: seconds(10) } };

const t = sharedTestApp({ auth: { rateLimits: { policies: POLICIES } } });
let limits: RateLimitService;
let backoff: LoginBackoff;
beforeAll(() => {
  limits = t.app.get(RateLimitService);
  backoff = t.app.get(LoginBackoff);
});
beforeEach(async () => {
  // Past whatever this process remembers.
  t.clock.advance(minutes(60));
  await t.db.query('DELETE FROM auth_rate_limit_events');
  t.queries.reset();
});

const count = async (where = 'true') =>
  Number((await t.db.query(`SELECT count(*) AS n FROM auth_rate_limit_events WHERE ${where}`))[0]!['n']);
const repeat = <T>(times: number, work: () => Promise<T>) => Promise.all(Array.from({ length: times }, work));

describe('exactly the limit', () => {
  it('with limit 5, of 200 parallel attempts exactly 5 pass', async () => {
    const decisions = await repeat(200, () => limits.consume('2fa_attempt', 'ada'));
    expect(decisions.filter(({ allowed }) => allowed)).toHaveLength(5);
    expect(await count()).toBe(5);
  });

  it('whoever waited for the lock counts what its holder has left', async () => {
    const decisions = await whileLocked("hashtextextended('nestjs-latchkey:rate-limit:2fa_attempt:ada', 0)", () =>
      repeat(200, () => limits.consume('2fa_attempt', 'ada')),
    );
    expect(decisions.filter(({ allowed }) => allowed)).toHaveLength(5);
  });

  it('negative control: a lock inside the counting statement comes after its snapshot', async () => {
    const dataSource = t.app.get<DataSource>(getDataSourceToken());
    const passed = await whileLocked('1', () =>
      repeat(200, () =>
        dataSource.query<unknown[]>(
          `WITH locked AS MATERIALIZED (SELECT pg_advisory_xact_lock(1))
           INSERT INTO auth_rate_limit_events (username, event_type)
           SELECT 'bob', '2fa_attempt' FROM locked
           WHERE (SELECT count(*) FROM auth_rate_limit_events WHERE username = 'bob') < 5 RETURNING id`,
        ),
      ),
    );
    expect(passed.filter((rows) => rows.length > 0).length).toBeGreaterThan(5);
  });

  /** Another session has the lock until everybody stands in line. */
  async function whileLocked<T>(key: string, work: () => Promise<T>): Promise<T> {
    const held = t.db.query(`SELECT pg_advisory_lock(${key}), pg_sleep(0.4)`);
    const locks = `SELECT 1 FROM pg_locks l JOIN pg_database d ON d.oid = l.database AND d.datname = current_database()
      WHERE l.locktype = 'advisory' AND l.granted`;
    while ((await t.db.query(locks)).length === 0);
    const [result] = await Promise.all([work(), held]);
    return result;
  }
});

describe('the window', () => {
  it('the sixth comes back exactly when the window says', async () => {
    const start = t.clock.now();
    for (let i = 0; i < 5; i++) {
      expect(await limits.consume('2fa_attempt', 'ada')).toMatchObject({ allowed: true, remaining: 4 - i });
      t.clock.advance(seconds(1));
    }
    const refused = await limits.consume('2fa_attempt', 'ada');
    expect(refused).toEqual({
      event: '2fa_attempt',
      subject: 'ada',
      allowed: false,
      limit: 5,
      window: minutes(15),
      remaining: 0,
      resetAt: start + minutes(15),
      retryAfter: 15 * 60 - 5,
      why: 'limit_reached',
      recordedAt: null,
    });
    t.clock.set(refused.resetAt - 0.01);
    expect(await limits.consume('2fa_attempt', 'ada')).toMatchObject({ allowed: false, retryAfter: 1 });
    t.clock.set(refused.resetAt);
    expect(await limits.consume('2fa_attempt', 'ada')).toMatchObject({ allowed: true, remaining: 0 });
    expect(await limits.consume('2fa_attempt', 'ada')).toMatchObject({ allowed: false, retryAfter: 1 });
    t.clock.advance(seconds(1));
    expect(await limits.consume('2fa_attempt', 'ada')).toMatchObject({ allowed: true });
  });

  it('no window of that length ever holds more than the limit, wherever it begins', async () => {
    const passed: number[] = [];
    for (let i = 0; i < 120; i++) {
      t.clock.advance((i * 7919) % 3000);
      if ((await limits.consume('share_note', 'ada')).allowed) passed.push(t.clock.now());
    }
    expect(passed.length).toBeGreaterThan(20);
    passed.forEach((at, i) => expect((passed[i + 2] ?? Infinity) - at).toBeGreaterThanOrEqual(seconds(10)));
  });

  it('a refused attempt records nothing: the lock ends when the oldest is old, not after the last try', async () => {
    await repeat(3, () => limits.consume('email_send', 'ada'));
    for (let i = 0; i < 10; i++) {
      t.clock.advance(seconds(59));
      expect((await limits.consume('email_send', 'ada')).allowed).toBe(false);
    }
    t.clock.advance(seconds(10));
    expect((await limits.consume('email_send', 'ada')).allowed).toBe(true);
  });

  it('Retry-After is rounded up: whoever waits it is let in', async () => {
    await repeat(2, () => limits.consume('share_note', 'ada'));
    t.clock.advance(1);
    const { retryAfter } = await limits.consume('share_note', 'ada');
    expect(retryAfter).toBe(10);
    t.clock.advance(seconds(retryAfter));
    expect((await limits.consume('share_note', 'ada')).allowed).toBe(true);
  });

  it('a limit that was lowered: refused until the newest few are old, not only the oldest', async () => {
    for (let i = 0; i < 5; i++) {
      await limits.record('share_note', 'ada');
      t.clock.advance(seconds(1));
    }
    const newest = t.clock.now() - seconds(2);
    expect(await limits.consume('share_note', 'ada')).toMatchObject({ allowed: false, resetAt: newest + seconds(10) });
  });
});

describe('the table of the seed', () => {
  it.each([
    ['login_attempt', 10, 15],
    ['login_ip', 20, 15],
    ['2fa_attempt', 5, 15],
    ['email_send', 3, 10],
    ['password_reset_send', 3, 15],
    ['password_reset_ip', 10, 15],
    ['password_change', 5, 15],
  ] as const)('%s: %i in %i minutes', async (event, limit, window) => {
    for (let i = 0; i < limit; i++) expect((await limits.consume(event, '203.0.113.1')).allowed).toBe(true);
    expect(await limits.consume(event, '203.0.113.1')).toMatchObject({
      allowed: false,
      limit,
      retryAfter: window * 60,
    });
    expect((await limits.consume(event, '203.0.113.2')).allowed).toBe(true);
  });

  it('an unknown event is an error that lists the known ones', async () => {
    await expect(limits.consume('sing' as 'login_ip', 'ada')).rejects.toThrow(
      /There is no rate limit 'sing'; known events: login_attempt, .*share_note/,
    );
    await expect(limits.consume('constructor' as 'login_ip', 'ada')).rejects.toThrow(TypeError);
    await expect(limits.consumeAll([])).rejects.toThrow(TypeError);
    await expect(limits.consume('login_ip', undefined as unknown as string)).rejects.toThrow(TypeError);
    await expect(limits.consume('login_ip', { $ne: 1 } as unknown as string)).rejects.toThrow(TypeError);
  });

  it('rows of another program count', async () => {
    await t.db.query(
      `INSERT INTO auth_rate_limit_events (username, event_type, occurred_at)
       SELECT 'ada', '2fa_attempt', to_timestamp($1) FROM generate_series(1, 5)`,
      [t.clock.now() / 1000],
    );
    expect((await limits.consume('2fa_attempt', 'Ada')).allowed).toBe(false);
  });
});

describe('subjects', () => {
  it.each([
    ['R21: one spelling of a login name', ' Ａda@Example.com', 'ada@example.com', true],
    ['R24: a v4-mapped address is the IPv4 address', '::ffff:192.0.2.1', '192.0.2.1', true],
    ['R24: two IPv4 addresses never share', '::ffff:192.0.2.1', '::ffff:192.0.2.2', false],
    ['R24: two IPv6 addresses of one /64 do', '2001:db8::1', '2001:DB8:0:0:ffff::2', true],
    ['R24: of two /64 do not', '2001:db8::1', '2001:db8:0:1::1', false],
    ['long names that begin alike do not', `${'x'.repeat(300)}1`, `${'x'.repeat(300)}2`, false],
    ['long names that are the same do', 'X'.repeat(300), 'x'.repeat(300), true],
    ['another script', 'Ådа\u{1F600}', 'ådа\u{1F600}', true],
    ['NUL is no end', 'ada\0a', 'ada\0b', false],
    ['lone surrogates do not', '\ud800', '\ud801', false],
    ['R26: unknown is nobody’s name', null as unknown as string, 'sha256:unknown', false],
  ])('%s', async (_, one, other, same) => {
    await repeat(20, () => limits.consume('share_note', one));
    expect((await limits.consume('share_note', other)).allowed).toBe(!same);
    const [longest] = await t.db.query('SELECT max(length(username)) AS n FROM auth_rate_limit_events');
    expect(Number(longest!['n'])).toBeLessThanOrEqual(150);
  });

  it('R26: clients of unknown address are limited too, together and ten times as far', async () => {
    const decisions = await repeat(30, () => limits.consume('share_note', null));
    expect(decisions.filter(({ allowed }) => allowed)).toHaveLength(20);
  });
});

describe('several together', () => {
  const both = [
    { event: 'share_note', subject: 'ada' },
    { event: 'login_ip', subject: '192.0.2.1' },
  ] as const;

  it('one round trip, all of them counted', async () => {
    const verdict = await limits.consumeAll(both);
    expect(verdict).toMatchObject({ allowed: true, decisive: { event: 'share_note', remaining: 1 } });
    expect(verdict.decisions.map(({ remaining }) => remaining)).toEqual([1, 19]);
    expect(t.queries.statements).toHaveLength(1);
  });

  it('nothing is recorded where one refuses', async () => {
    await repeat(2, () => limits.consumeAll(both));
    t.clock.advance(1);
    const verdict = await limits.consumeAll(both);
    expect(verdict).toMatchObject({ allowed: false, decisive: { event: 'share_note', why: 'limit_reached' } });
    expect(verdict.decisions[1]).toMatchObject({
      allowed: false,
      why: 'refused_together',
      remaining: 18,
      retryAfter: 0,
    });
    expect(await count("event_type = 'login_ip'")).toBe(2);
  });

  it('the same bucket twice is one decision', async () => {
    const twice = [both[0], { event: 'share_note', subject: ' ADA' }] as const;
    expect((await limits.consumeAll(twice)).decisions).toHaveLength(1);
    expect(await count()).toBe(1);
  });
});

describe('check, record, clear, refund', () => {
  it('check counts nothing; record counts, whether there is room or not', async () => {
    expect(await limits.check('share_note', 'ada')).toMatchObject({ allowed: true, remaining: 2 });
    await limits.record('share_note', 'ada');
    await limits.record('share_note', 'ada');
    expect(await limits.check('share_note', 'ada')).toMatchObject({ allowed: false, remaining: 0 });
    await limits.record('share_note', 'ada');
    expect(await count()).toBe(3);
  });

  it('clear lets the account in at once, and nobody else', async () => {
    await repeat(3, () => limits.consume('share_note', 'ada'));
    await repeat(3, () => limits.consume('share_note', 'bob'));
    await repeat(3, () => limits.consume('email_send', 'ada'));
    await limits.clear('share_note', 'ADA');
    expect((await limits.consume('share_note', 'ada')).allowed).toBe(true);
    expect((await limits.consume('share_note', 'bob')).allowed).toBe(false);
    expect((await limits.consume('email_send', 'ada')).allowed).toBe(false);
  });

  it('refund takes back one’s own attempt and no other', async () => {
    const mine = await limits.consume('share_note', '192.0.2.1');
    t.clock.advance(1);
    await limits.consume('share_note', '192.0.2.1');
    expect(await limits.refund(mine)).toBe(true);
    expect(await limits.refund(mine)).toBe(false);
    expect(await count()).toBe(1);
    expect(await limits.refund(await limits.check('share_note', '192.0.2.1'))).toBe(false);
  });

  it.each([
    ['in another spelling', ' ＡDA '],
    ['of an IPv6 network', '2001:db8::1'],
    ['that is hashed', 'x'.repeat(151)],
    ['that is not known', null],
  ])('refund finds the bucket of a subject %s', async (_, subject) => {
    const decision = await limits.consume('share_note', subject);
    expect(await limits.refund(decision)).toBe(true);
    expect(await count()).toBe(0);
  });

  it('R9: failures count for the account across challenges; only full success clears them', async () => {
    for (let challenge = 0; challenge < 5; challenge++) {
      expect((await limits.consume('2fa_attempt', 'ada')).allowed).toBe(true);
      t.clock.advance(seconds(2)); // a new login, a new pre_auth token, a new challenge cookie
    }
    expect((await limits.consume('2fa_attempt', 'ada')).allowed).toBe(false);
    await limits.clear('2fa_attempt', 'ada');
    expect((await limits.consume('2fa_attempt', 'ada')).allowed).toBe(true);
  });

  it('the cleanup deletes what no window reaches, and nothing else', async () => {
    const cleanup = t.app.get(CleanupService);
    await limits.consume('2fa_attempt', 'old');
    const {
      rateLimits,
      cleanup: { leeway },
    } = t.app.get(AuthConfig);
    const over = t.clock.now() + longestWindow(rateLimits) + leeway;
    t.clock.set(over - 0.01);
    expect((await cleanup.runOnce()).rateLimitEvents).toBe(0);
    t.clock.set(over);
    await limits.consume('2fa_attempt', 'new');
    expect((await cleanup.runOnce()).rateLimitEvents).toBe(1);
    expect(await count()).toBe(1);
  });
});

describe('what is remembered of a refusal', () => {
  const block = () => repeat(3, () => limits.consume('share_note', 'ada'));

  it('costs no query for a second, and one after it', async () => {
    await block();
    t.queries.reset();
    expect(await limits.consume('share_note', 'ada')).toMatchObject({ allowed: false, retryAfter: 10 });
    expect((await limits.check('share_note', 'ada')).allowed).toBe(false);
    expect(
      await limits.consumeAll([
        { event: 'share_note', subject: 'ada' },
        { event: 'login_ip', subject: '192.0.2.1' },
      ]),
    ).toMatchObject({ allowed: false });
    expect(t.queries.statements).toEqual([]);
    t.clock.advance(seconds(1));
    await limits.consume('share_note', 'ada');
    expect(t.queries.statements).toHaveLength(1);
  });

  it('a refusal writes nothing', async () => {
    await block();
    const written = async () => (await t.db.query("SELECT pg_sequence_last_value('auth_rate_limit_events_id_seq')"))[0];
    const before = await written();
    for (let i = 0; i < 5; i++) {
      t.clock.advance(seconds(1));
      expect((await limits.consume('share_note', 'ada')).allowed).toBe(false);
    }
    expect(await written()).toEqual(before);
  });

  it('never outlives the block', async () => {
    await block();
    t.clock.advance(seconds(9.5));
    expect((await limits.consume('share_note', 'ada')).allowed).toBe(false);
    t.clock.advance(seconds(0.5));
    expect((await limits.consume('share_note', 'ada')).allowed).toBe(true);
  });

  it('a success on another instance is seen within a second', async () => {
    const other = await startTestApp({ url: t.db.url, auth: { rateLimits: { policies: POLICIES } } });
    try {
      other.clock.set(t.clock.now());
      await block();
      await other.app.get(RateLimitService).clear('share_note', 'ada');
      t.clock.advance(seconds(1));
      expect((await limits.consume('share_note', 'ada')).allowed).toBe(true);
    } finally {
      await other.close();
    }
  });

  it('a refusal that was on its way during a clear is not remembered', async () => {
    await repeat(2, () => limits.consume('share_note', 'ada'));
    const refused = limits.consume('share_note', 'ada');
    await limits.clear('share_note', 'ada');
    await refused;
    expect((await limits.consume('share_note', 'ada')).allowed).toBe(true);
  });

  it('can be turned off', async () => {
    const other = await startTestApp({
      url: t.db.url,
      auth: { rateLimits: { policies: POLICIES, rememberedBlocks: 0 } },
    });
    try {
      const unremembering = other.app.get(RateLimitService);
      await repeat(3, () => unremembering.consume('share_note', 'bob'));
      other.queries.reset();
      await unremembering.consume('share_note', 'bob');
      expect(other.queries.statements).toHaveLength(1);
    } finally {
      await other.close();
    }
  });
});

describe('when the database is away', () => {
  const away = async (
    onStoreError: 'deny' | 'allow',
    work: (limits: RateLimitService, app: TestApp) => Promise<void>,
  ) => {
    const own = await createTestDatabase();
    const app = await startTestApp({ url: own.url, auth: { rateLimits: { onStoreError } } });
    await app.app.get<DataSource>(getDataSourceToken()).query('SELECT 1');
    await own.drop();
    try {
      await work(app.app.get(RateLimitService), app);
    } finally {
      await app.close();
    }
  };

  it('deny (the default): throws, which is 503', () =>
    away('deny', async (service, { app }) => {
      await expect(service.consume('login_ip', 'ada')).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
      await expect(service.check('login_ip', 'ada')).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
      await expect(app.get(LoginBackoff).check('192.0.2.1')).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    }));

  it('allow: lets everybody in, and says why', () =>
    away('allow', async (service, { app }) => {
      expect(await service.consume('login_ip', 'ada')).toMatchObject({ allowed: true, why: 'store_unavailable' });
      expect(await service.check('login_ip', 'ada')).toMatchObject({ allowed: true, why: 'store_unavailable' });
      expect(await app.get(LoginBackoff).check('192.0.2.1')).toMatchObject({ allowed: true });
    }));
});

describe('back-off', () => {
  const ADDRESS = '192.0.2.1';

  it('0.5, 1, 2, 4, 5, 5 s from the last failure', async () => {
    for (const wait of [0.5, 1, 2, 4, 5, 5, 5]) {
      expect(await backoff.check(ADDRESS)).toMatchObject({ allowed: true, retryAfter: 0 });
      await backoff.recordFailure(ADDRESS);
      expect(await backoff.check(ADDRESS)).toMatchObject({
        allowed: false,
        resetAt: t.clock.now() + seconds(wait),
        retryAfter: Math.ceil(wait),
      });
      t.clock.advance(seconds(wait) - 0.01);
      expect(await backoff.check(ADDRESS)).toMatchObject({ allowed: false, retryAfter: 1 });
      t.clock.advance(0.01);
    }
  });

  it('success resets it', async () => {
    for (let i = 0; i < 4; i++) await backoff.recordFailure(ADDRESS);
    await backoff.reset(ADDRESS);
    expect(await backoff.check(ADDRESS)).toMatchObject({ allowed: true, failures: 0 });
    await backoff.recordFailure(ADDRESS);
    expect((await backoff.check(ADDRESS)).resetAt).toBe(t.clock.now() + seconds(0.5));
  });

  it('is of one address, in any spelling and its whole /64', async () => {
    await backoff.recordFailure('2001:db8::1');
    expect((await backoff.check('2001:db8::ffff')).allowed).toBe(false);
    expect((await backoff.check('2001:db8:1::1')).allowed).toBe(true);
    await backoff.recordFailure(`::ffff:${ADDRESS}`);
    expect((await backoff.check(ADDRESS)).allowed).toBe(false);
    expect((await backoff.check('192.0.2.2')).allowed).toBe(true);
  });

  it('a failure of the age of the window is forgotten', async () => {
    for (let i = 0; i < 5; i++) await backoff.recordFailure(ADDRESS);
    t.clock.advance(minutes(15));
    expect(await backoff.check(ADDRESS)).toMatchObject({ allowed: true, failures: 0 });
  });

  it('is shared by all instances', async () => {
    const other = await startTestApp({ url: t.db.url, auth: { rateLimits: undefined } });
    try {
      other.clock.set(t.clock.now());
      await other.app.get(LoginBackoff).recordFailure(ADDRESS);
      expect((await backoff.check(ADDRESS)).allowed).toBe(false);
      await backoff.reset(ADDRESS);
      expect((await other.app.get(LoginBackoff).check(ADDRESS)).allowed).toBe(true);
    } finally {
      await other.close();
    }
  });

  it('one of unknown address keeps no other out', async () => {
    await backoff.recordFailure(null);
    expect((await backoff.check(null)).allowed).toBe(true);
    await backoff.reset(null);
    expect(await count()).toBe(0);
  });
});
