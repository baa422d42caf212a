import { randomBytes, randomUUID } from 'node:crypto';
import { Logger } from '@nestjs/common';
import { getDataSourceToken } from '@nestjs/typeorm';
import { afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import {
  AuthEvents,
  days,
  EphemeralTokenService,
  minutes,
  RateLimitService,
  seconds,
  SessionService,
  TokenRevocationService,
  type AuthUser,
} from 'nestjs-latchkey';
import { CleanupService } from 'nestjs-latchkey/engine';
import { AuthConfig, InvalidationChannel } from 'nestjs-latchkey/engine';
import { Client, type Pool } from 'pg';
import type { DataSource } from 'typeorm';
import { longestWindow } from '../../src/rate-limit/rate-limit.policy.js';
import { LONG } from '../support/long.js';
import { createUser, startTestApp } from '../support/app.js';
import { sharedTestApp } from '../support/shared-app.js';
import { heard, until } from '../support/heard.js';
import { deadlocksOf } from '../support/deadlocks.js';

const NOTHING = {
  sessions: 0,
  ephemeralTokens: 0,
  revokedTokens: 0,
  jwtSessions: 0,
  apiKeys: 0,
  rateLimitEvents: 0,
  auditEvents: 0,
};

const t = sharedTestApp({ auth: { cache: { enabled: true }, cleanup: { interval: days(20) } } });
let cleanup: CleanupService;
let sessions: SessionService;
let ada: AuthUser;
beforeAll(() => {
  cleanup = t.app.get(CleanupService);
  sessions = t.app.get(SessionService);
});
beforeEach(async () => {
  await t.db.query(
    'TRUNCATE sessions, auth_ephemeral_tokens, revoked_tokens, auth_rate_limit_events, auth_audit_events',
  );
  ada = await createUser(t.app);
});
afterEach(() => void jest.restoreAllMocks());

const { leeway } = AuthConfig.from({ secrets: ['a test secret that is long enough: 0123456789'] }).cleanup;
const count = async (table: string): Promise<number> =>
  Number((await t.db.query<{ n: string }>(`SELECT count(*) AS n FROM ${table}`))[0]!.n);
/** Sessions as another program writes them. */
const insertSessions = (userId: string, many: number, expiresAt: number) =>
  t.db.query(
    `INSERT INTO sessions (id, user_id, created_at, expires_at)
     SELECT $4 || n, $1, to_timestamp($3) - interval '25 days', to_timestamp($3) FROM generate_series(1, $2::int) n`,
    [userId, many, expiresAt / 1000, randomBytes(8).toString('hex')],
  );

describe('what a cleanup removes', () => {
  it('each kind at the exact instant at which it is over, and the leeway after it', async () => {
    const now = t.clock.now();
    await sessions.create(ada.id);
    await t.app.get(EphemeralTokenService).issue('password_reset', { username: ada.email }, { ttl: days(30) });
    await t.app.get(TokenRevocationService).revoke('jti', now + days(30));
    await t.db.query(
      'INSERT INTO auth_rate_limit_events (username, event_type, occurred_at) VALUES ($1, $2, to_timestamp($3))',
      ['somebody', 'email_send', (now + days(30) - longestWindow(t.app.get(AuthConfig).rateLimits)) / 1000],
    );
    await t.db.query(`INSERT INTO auth_audit_events (type, at, facts) VALUES ('logout', to_timestamp($1), '{}')`, [
      (now + days(30) - days(90)) / 1000,
    ]);

    await t.db.query(
      `INSERT INTO auth_jwt_sessions (jti, user_id, handle, issued_at, expires_at)
        VALUES ('listed', $1, gen_random_uuid(), to_timestamp($2), to_timestamp($3))`,
      [ada.id, now / 1000, (now + days(30)) / 1000],
    );

    await t.db.query(
      `INSERT INTO auth_api_keys (user_id, name, prefix, key_hash, scopes, created_at, expires_at)
        VALUES ($1, 'Backup', 'lk_', 'hash', '{}', to_timestamp($2) - interval '1 day', to_timestamp($2))`,
      [ada.id, now / 1000],
    );

    t.clock.set(now + days(30) + leeway - 0.01);
    expect(await cleanup.runOnce()).toMatchObject({ ...NOTHING, yielded: false });
    t.clock.advance(0.01);
    const report = await cleanup.runOnce();
    expect(report).toEqual({
      sessions: 1,
      ephemeralTokens: 1,
      revokedTokens: 1,
      jwtSessions: 1,
      apiKeys: 1,
      rateLimitEvents: 1,
      auditEvents: 1,
      tookMs: report.tookMs,
      yielded: false,
    });
    expect(report.tookMs).toBeGreaterThan(0);
    expect(await cleanup.runOnce()).toMatchObject(NOTHING);
  });

  it('more than a batch holds, and nothing that is alive', async () => {
    const { token } = await sessions.create(ada.id);
    await insertSessions(ada.id, 12_000, t.clock.now() - leeway);
    await insertSessions(ada.id, 500, t.clock.now() + 1);
    expect((await cleanup.runOnce()).sessions).toBe(12_000);
    expect(await count('sessions')).toBe(501);
    expect(await sessions.lookup(token)).not.toBeNull();
  });

  it('H12: the sealed successor of a rotation is gone with the grace, and the trace of the rotation stays', async () => {
    const old = await sessions.create(ada.id);
    const rotated = (await sessions.rotate(old.session, ada.id))!;
    const successors = async () =>
      (await t.db.query('SELECT successor FROM sessions WHERE successor IS NOT NULL')).length;
    t.clock.advance(seconds(30) + leeway - 0.01);
    await cleanup.runOnce();
    expect(await successors()).toBe(1);
    t.clock.advance(0.01);
    expect(await cleanup.runOnce()).toMatchObject(NOTHING);
    expect(await successors()).toBe(0);
    expect(await sessions.lookup(rotated.token)).not.toBeNull();
    expect(await sessions.lookup(old.token)).toBeNull(); // its reuse is still found out
    expect(await sessions.lookup(rotated.token)).toBeNull();
  });

  it('R14: a rotated session only once its family could not be alive, so that its reuse is found out', async () => {
    const old = await sessions.create(ada.id);
    const rotated = (await sessions.rotate(old.session, ada.id))!;
    t.clock.set(old.session.createdAt + days(29));
    await sessions.maybeExtend(rotated.session);
    t.clock.set(old.session.createdAt + days(58));
    expect((await cleanup.runOnce()).sessions).toBe(0);
    expect(await sessions.lookup(old.token)).toBeNull();
    expect(await count('sessions')).toBe(0); // the reuse has ended the family

    const again = await sessions.create(ada.id);
    await sessions.rotate(again.session, ada.id);
    t.clock.set(again.session.absoluteExpiresAt + leeway - 0.01);
    expect((await cleanup.runOnce()).sessions).toBe(1); // the successor, which nobody has used
    t.clock.advance(0.01);
    expect((await cleanup.runOnce()).sessions).toBe(1);
    expect(await count('sessions')).toBe(0);
  });

  it('a rotated session of another program, which has no absolute lifetime of its own, goes too', async () => {
    await insertSessions(ada.id, 1, t.clock.now() + days(20));
    const [row] = await t.db.query<{ id: string }>('SELECT id FROM sessions');
    await sessions.rotate({ id: row!.id }, ada.id);
    t.clock.advance(days(91));
    expect((await cleanup.runOnce()).sessions).toBe(2);
  });

  it('tells no cache and no listener: nobody had it', async () => {
    const channel = t.app.get(InvalidationChannel);
    await until(() => channel.isCurrent);
    /** Resolves when all that was told on the channel before this has come. */
    const allHeard = async () => {
      const mark = channel.digest('users', randomUUID());
      const come = heard(t.app, ({ users }) => users?.[0] === mark);
      await t.db.query(`SELECT pg_notify('nestjs_latchkey_public', '{"users": ["${mark}"]}')`);
      await come;
    };
    await allHeard();
    const told: unknown[] = [];
    const offs = [
      channel.subscribe((invalidation) => void told.push(invalidation)),
      t.app.get(AuthEvents).on((event) => void told.push(event)),
    ];
    await insertSessions(ada.id, 300, t.clock.now() - leeway);
    expect((await cleanup.runOnce()).sessions).toBe(300);
    await allHeard();
    expect(told).toEqual([expect.objectContaining({ users: [expect.any(String)] })]);
    for (const off of offs) off();
  });

  it('finds its sessions by an index, however many rotated ones there are', async () => {
    await insertSessions(ada.id, 5_000, t.clock.now() + days(30));
    await t.db.query(
      `UPDATE sessions SET rotated_at = to_timestamp($1), expires_at = to_timestamp($1),
      absolute_expires_at = to_timestamp($1) + interval '90 days'`,
      [t.clock.now() / 1000],
    );
    await t.db.query('ANALYZE sessions');
    for (const due of ['rotated_at IS NULL AND expires_at', 'rotated_at IS NOT NULL AND absolute_expires_at']) {
      const plan = await t.db.query(`EXPLAIN SELECT ctid FROM sessions WHERE ${due} <= to_timestamp(0)
        ORDER BY ${due.split(' ').at(-1)} LIMIT 500 FOR UPDATE SKIP LOCKED`);
      expect(JSON.stringify(plan)).toMatch(/Index Scan using sessions_(expired|rotated)_idx/);
    }
  });
});

describe('one of several processes works at a time', () => {
  it('leaves everything to whoever is at it, at once', async () => {
    const other = new Client({ connectionString: t.db.url });
    await other.connect();
    await other.query(`BEGIN; SELECT pg_advisory_xact_lock(hashtextextended('nestjs-latchkey:cleanup:public', 0))`);
    await insertSessions(ada.id, 10, t.clock.now() - leeway);
    expect(await cleanup.runOnce()).toMatchObject({ ...NOTHING, yielded: true });
    await other.end();
    await until(async () => (await cleanup.runOnce()).sessions === 10);
  });

  it('a row that somebody else has locked is left for the next run, without waiting', async () => {
    await insertSessions(ada.id, 10, t.clock.now() - leeway);
    const other = new Client({ connectionString: t.db.url });
    await other.connect();
    await other.query('BEGIN; SELECT 1 FROM sessions ORDER BY id LIMIT 1 FOR UPDATE');
    expect((await cleanup.runOnce()).sessions).toBe(9);
    await other.query('ROLLBACK');
    await other.end();
    expect((await cleanup.runOnce()).sessions).toBe(1);
  });

  it('calls at the same time in one process are one run', async () => {
    await insertSessions(ada.id, 10, t.clock.now() - leeway);
    const [first, second] = await Promise.all([cleanup.runOnce(), cleanup.runOnce()]);
    expect(first).toBe(second);
    expect(first.sessions).toBe(10);
  });

  it('five at once with logins and "log out everywhere" of the same users: no deadlock, nothing alive is deleted', async () => {
    const others = await Promise.all(
      Array.from({ length: 4 }, () => startTestApp({ url: t.db.url, auth: { cleanup: { batch: 100 } } })),
    );
    for (const { clock } of others) clock.set(t.clock.now());
    const all = [t, ...others];
    const users = await Promise.all(Array.from({ length: 10 }, (_, i) => createUser(t.app, `crowd${i}@example.com`)));
    for (const { id } of users) await insertSessions(id, LONG ? 2_000 : 100, t.clock.now() - leeway - 1);
    const kept = await Promise.all(Array.from({ length: 20 }, () => sessions.create(ada.id)));
    const ephemeral = LONG ? 5_000 : 500;
    await t.db.query(
      `INSERT INTO auth_ephemeral_tokens (token, token_type, expires_at)
       SELECT 'dead ' || n, 'websocket', to_timestamp($1) FROM generate_series(1, $2::int) n
       UNION ALL SELECT 'live ' || n, 'websocket', to_timestamp($1 + 301) FROM generate_series(1, $2) n`,
      [t.clock.now() / 1000 - 301, ephemeral],
    );
    const before = await deadlocksOf(t.db);
    // Every row that a cleanup deletes although it is alive, whoever would notice.
    await t.db.query(`
      CREATE TABLE deleted_alive (id text);
      CREATE FUNCTION note_alive() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
        IF current_setting('latchkey.purging', true) = 'on' THEN INSERT INTO deleted_alive VALUES (OLD.id); END IF;
        RETURN OLD;
      END $$;
      CREATE TRIGGER note_alive BEFORE DELETE ON sessions FOR EACH ROW
        WHEN (OLD.expires_at > to_timestamp(${t.clock.now() / 1000}) OR OLD.rotated_at IS NOT NULL)
        EXECUTE FUNCTION note_alive()`);

    const opened: string[] = [];
    const cleaning = { goesOn: true };
    const cleaners = all.map(async ({ app }) => {
      let removed = 0;
      for (let i = 0; i < 4; i++) removed += (await app.get(CleanupService).runOnce()).sessions;
      return removed;
    });
    const writers = users.map(async ({ id }, i) => {
      const service = all[i % 5]!.app.get(SessionService);
      for (let turn = 0; cleaning.goesOn; turn++) {
        const { token, session } = await service.create(id);
        await service.rotate(session, id);
        // The last of every user stays.
        if (turn % 3 === 0) await service.revokeAllForUser(id);
        else opened[i] = token;
      }
      await service.revokeAllForUser(id);
      opened[i] = (await service.create(id)).token;
    });
    await Promise.all(cleaners);
    cleaning.goesOn = false;
    await Promise.all(writers);
    await cleanup.runOnce();

    expect(await deadlocksOf(t.db)).toBe(before);
    expect(await count('deleted_alive')).toBe(0);
    for (const { token } of kept) expect(await sessions.lookup(token)).not.toBeNull();
    for (const token of opened) expect(await sessions.lookup(token)).not.toBeNull();
    const left = await t.db.query<{ n: string; live: boolean }>(
      'SELECT count(*) AS n, expires_at > to_timestamp($1) AS live FROM sessions WHERE rotated_at IS NULL GROUP BY 2',
      [t.clock.now() / 1000],
    );
    expect(left).toEqual([{ n: String(kept.length + users.length), live: true }]);
    const tokens = await t.db.query<{ token: string }>('SELECT token FROM auth_ephemeral_tokens');
    expect(tokens).toHaveLength(ephemeral);
    expect(tokens.every(({ token }) => token.startsWith('live'))).toBe(true);
    // The trigger does see them (negative control).
    await t.db.query(
      `BEGIN; SET LOCAL latchkey.purging = 'on'; DELETE FROM sessions WHERE user_id = '${ada.id}'; COMMIT`,
    );
    expect(await count('deleted_alive')).toBe(kept.length);
    await t.db.query('DROP TRIGGER note_alive ON sessions; DROP FUNCTION note_alive; DROP TABLE deleted_alive');
    await Promise.all(others.map((other) => other.close()));
  }, 60_000);
});

describe('faults and the end', () => {
  it('a fault is thrown to whoever called, kept for health, logged once, and over with the next run', async () => {
    const errors = jest.spyOn(Logger.prototype, 'error').mockImplementation(() => {});
    await insertSessions(ada.id, 10, t.clock.now() - leeway);
    await t.db.query('ALTER TABLE revoked_tokens RENAME TO hidden');
    for (let i = 0; i < 2; i++) await expect(cleanup.runOnce()).rejects.toMatchObject({ code: 'SCHEMA_MISSING' });
    expect(await count('sessions')).toBe(0); // the other kinds do not wait for it
    expect(cleanup.state).toMatchObject({ lastRunAt: t.clock.now(), lastError: 'SCHEMA_MISSING' });
    expect(errors.mock.calls.filter(([line]) => String(line).includes('cleanup'))).toHaveLength(1);
    await t.db.query('ALTER TABLE hidden RENAME TO revoked_tokens');
    await cleanup.runOnce();
    expect(cleanup.state).toMatchObject({ lastSuccessAt: t.clock.now(), lastError: null, lag: 0 });
  });

  it('its lag is how long the next success is overdue', async () => {
    await cleanup.runOnce();
    t.clock.advance(days(20) * 1.1);
    expect(cleanup.state.lag).toBe(0);
    t.clock.advance(minutes(7));
    expect(cleanup.state.lag).toBeCloseTo(minutes(7), 3);
  });

  it('runs by itself at its interval, and ends with the application after the batch under way', async () => {
    const own = await startTestApp({ url: t.db.url, auth: { cleanup: { interval: 1_000, batch: 1 } } });
    own.clock.set(t.clock.now());
    await insertSessions(ada.id, 50, t.clock.now() - leeway);
    await until(async () => (await count('sessions')) < 50);
    await own.close();
    const left = await count('sessions');
    expect(own.app.get(CleanupService).state.lastError).toBeNull();
    expect((await cleanup.runOnce()).sessions).toBe(left);
  });

  it('does nothing by itself where it is turned off', async () => {
    const own = await startTestApp({ url: t.db.url, auth: { cleanup: { enabled: false, interval: 1_000 } } });
    expect(own.app.get(CleanupService).state).toEqual({
      lastRunAt: null,
      lastSuccessAt: null,
      lastError: null,
      lag: 0,
    });
    own.clock.advance(days(1));
    expect(own.app.get(CleanupService).state.lag).toBe(0);
    await own.close();
  });

  it('a batch of a database that went away fails, and the process goes on', async () => {
    const own = await startTestApp({ url: t.db.url, auth: { cleanup: { interval: 1_000 } } });
    await (own.app.get<DataSource>(getDataSourceToken()).driver as unknown as { master: Pool }).master.end();
    await expect(own.app.get(CleanupService).runOnce()).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    expect(own.app.get(CleanupService).state.lastError).toBe('STORE_UNAVAILABLE');
    await own.close().catch(() => undefined);
  });

  it('of rate-limit events it finds every one, in whatever place of the table, in every run', async () => {
    const fill = (name: string) =>
      t.db.query(
        `INSERT INTO auth_rate_limit_events (username, event_type, occurred_at)
         SELECT $2 || n, 'email_send', to_timestamp($1 - CASE n % 3 WHEN 0 THEN 0 ELSE 86400 END)
         FROM generate_series(1, 30000) n`,
        [t.clock.now() / 1000, name],
      );
    await fill('first ');
    expect((await cleanup.runOnce()).rateLimitEvents).toBe(20_000);
    await t.db.query('VACUUM auth_rate_limit_events'); // the next rows come to the places of the old ones too
    await fill('second ');
    expect((await cleanup.runOnce()).rateLimitEvents).toBe(20_000);
    expect(await count('auth_rate_limit_events')).toBe(20_000);
  });

  it('limits that are in use are not touched', async () => {
    const limits = t.app.get(RateLimitService);
    for (let i = 0; i < 5; i++) await limits.consume('2fa_attempt', 'ada');
    await cleanup.runOnce();
    expect((await limits.consume('2fa_attempt', 'ada')).allowed).toBe(false);
  });
});
