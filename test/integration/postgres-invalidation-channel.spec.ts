import { Logger } from '@nestjs/common';
import { afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import {
  AuthTransaction,
  seconds,
  SessionService,
  TokenRevocationService,
  PostgresUserDirectory,
  type AuthUser,
} from 'nestjs-latchkey';
import { InvalidationChannel, MemorySessionCache, SessionCache, type Invalidation } from 'nestjs-latchkey/engine';
import { DataSource } from 'typeorm';
import { Client } from 'pg';
import { createUser, startTestApp } from '../support/app.js';
import { sharedTestApp } from '../support/shared-app.js';
import { heard, until } from '../support/heard.js';
import { createTestDatabase } from '../support/database.js';

const LISTENERS = `SELECT pid FROM pg_stat_activity WHERE application_name = 'nestjs-latchkey listener'
  AND datname = current_database()`;

describe('PostgresInvalidationChannel', () => {
  const t = sharedTestApp({ auth: { cache: { enabled: true, ttl: seconds(3600) } } });
  let channel: InvalidationChannel;
  let cache: MemorySessionCache;
  let sessions: SessionService;
  let ada: AuthUser;
  const told: Invalidation[] = [];

  beforeAll(() => {
    channel = t.app.get(InvalidationChannel);
    cache = t.app.get(SessionCache) as MemorySessionCache;
    sessions = t.app.get(SessionService);
    channel.subscribe((invalidation) => told.push(invalidation));
  });
  /** Whatever was sent before this has been heard then: it is told at once in this process, and again over the wire. */
  const mark = async (id: string) => {
    const marks = () => told.filter(({ users }) => users?.includes(channel.digest('users', id)));
    await channel.publish({ users: [id] });
    await until(() => marks().length === 2);
  };
  beforeEach(async () => {
    ada = await createUser(t.app);
    await mark(ada.id);
    told.length = 0;
  });
  afterEach(() => {
    jest.restoreAllMocks();
  });

  const cached = async (user = ada) => {
    const issued = await sessions.create(user.id);
    await until(async () => (await sessions.lookup(issued.token)) !== null && !!cache.get(issued.session.id));
    return issued;
  };

  it('H36: idle_session_timeout does not end the listening connection', async () => {
    const db = await createTestDatabase();
    const own = await startTestApp({ url: db.url, auth: { cache: { enabled: true } } });
    const listeners = () => db.query<{ pid: number }>(LISTENERS);
    // The pool of the application has its connections: only the next listening one begins with this limit.
    await db.query(`ALTER DATABASE ${new URL(db.url).pathname.slice(1)} SET idle_session_timeout = '200ms'`);
    const [first] = await listeners();
    await db.query('SELECT pg_terminate_backend($1)', [first!.pid]);
    await until(async () => (await listeners()).some(({ pid }) => pid !== first!.pid));
    await until(() => own.app.get(InvalidationChannel).isCurrent);
    const before = await listeners();
    // Another idle connection is ended meanwhile, one after the other.
    for (let i = 0; i < 2; i++) {
      const idle = new Client({ connectionString: db.url });
      const ended = new Promise((resolve) => idle.on('error', resolve));
      await idle.connect();
      expect(await ended).toMatchObject({ code: '57P05' });
    }
    expect(await listeners()).toEqual(before);
    expect(own.app.get(InvalidationChannel).isCurrent).toBe(true);
    await own.close();
    await db.drop();
  });

  it('listens on one connection of its own', async () => {
    expect(channel.isCurrent).toBe(true);
    expect(await t.db.query(LISTENERS)).toHaveLength(1);
  });

  describe('hears of what anybody changes, also another program on the same tables:', () => {
    const changes: Record<string, { sql: string; ends: boolean }> = {
      'a session is deleted': { sql: 'DELETE FROM sessions WHERE user_id = $1', ends: true },
      'a session is cut short': { sql: "UPDATE sessions SET expires_at = '2020-01-01' WHERE user_id = $1", ends: true },
      'a user is disabled': { sql: "UPDATE users SET disabled_at = '2020-01-01' WHERE id = $1", ends: true },
      'a cutoff': { sql: "UPDATE users SET tokens_invalidated_after = '2100-01-01' WHERE id = $1", ends: true },
      'a user is deleted': { sql: 'DELETE FROM users WHERE id = $1', ends: true },
      'a user has another address': { sql: "UPDATE users SET email = 'x' || email WHERE id = $1", ends: false },
    };
    it.each(Object.entries(changes))('%s', async (_, { sql, ends }) => {
      const { token, session } = await cached();
      const news = heard(t.app);
      await t.db.query(sql, [ada.id]);
      await news;
      expect(cache.get(session.id)).toBeUndefined();
      const found = await sessions.lookup(token);
      expect(found === null).toBe(ends);
      if (found) expect(found.user.email).toBe(`x${ada.email}`);
    });

    it('by a role with little more than the right to delete, whose search path does not lead here', async () => {
      const { token } = await cached();
      const news = heard(t.app, ({ sessions: ids }) => ids !== undefined);
      await t.db.query(`
        CREATE ROLE stranger; GRANT USAGE ON SCHEMA public TO stranger; GRANT SELECT, DELETE ON sessions TO stranger;
        SET ROLE stranger; SET search_path = pg_temp;
        DELETE FROM public.sessions WHERE user_id = '${ada.id}';
        RESET ROLE; DROP OWNED BY stranger; DROP ROLE stranger`);
      await news;
      expect(await sessions.lookup(token)).toBeNull();
    });

    it.each([
      ["UPDATE public.users SET disabled_at = '2020-01-01' WHERE id = $1", 'users'],
      ['DELETE FROM public.users WHERE id = $1', 'users'],
      ["INSERT INTO public.revoked_tokens VALUES ($1, '2100-01-01')", 'tokens'],
      ["UPDATE public.revoked_tokens SET exp = '2100-01-01' WHERE jti = 'ended ' || $1", 'tokens'],
      ['TRUNCATE public.users CASCADE', 'users'],
      ['TRUNCATE public.revoked_tokens', 'tokens'],
    ] as const)('under a search path that leads nowhere: %s', async (sql, kind) => {
      await t.db.query("INSERT INTO revoked_tokens VALUES ('ended ' || $1, '2020-01-01')", [ada.id]);
      const named = kind === 'tokens' && sql.startsWith('UPDATE') ? `ended ${ada.id}` : ada.id;
      const meant = JSON.stringify(sql.startsWith('TRUNCATE') ? '*' : [channel.digest(kind, named)]);
      const news = heard(t.app, (invalidation) => JSON.stringify(invalidation[kind]) === meant);
      await t.db.query(`SET search_path = pg_temp; ${sql.replaceAll('$1', `'${ada.id}'`)}`);
      await news;
    });

    it('everything is deleted at once: TRUNCATE', async () => {
      const { token } = await cached();
      const news = heard(t.app, ({ sessions: ids }) => ids === '*');
      await t.db.query('TRUNCATE sessions');
      await news;
      expect(await sessions.lookup(token)).toBeNull();
    });

    it('a token is ended', async () => {
      const news = heard(t.app);
      await t.db.query("INSERT INTO revoked_tokens VALUES ('by hand', '2100-01-01')");
      expect(await news).toEqual({ tokens: [channel.digest('tokens', 'by hand')] });
      const forEver = heard(t.app);
      await t.db.query("INSERT INTO revoked_tokens VALUES ('for ever', 'infinity')");
      expect(await forEver).toEqual({ tokens: [channel.digest('tokens', 'for ever')] });
      expect(await t.app.get(TokenRevocationService).isRevoked('for ever')).toBe(true);
    });
  });

  it('says nothing of what no cache holds: a login, a rehash, a statement that changed no row', async () => {
    const users = t.app.get(PostgresUserDirectory);
    await t.db.query("UPDATE users SET last_login_at = now(), updated_at = now(), password_hash = 'other'");
    await t.db.query("DELETE FROM sessions WHERE id = 'none'");
    await t.db.query("UPDATE users SET disabled_at = now() WHERE email = 'none'");
    await t.db.query("SET latchkey.purging = 'on'; DELETE FROM sessions");
    await users.findById(ada.id);
    const digest = channel.digest('users', 'last');
    const last = heard(t.app, ({ users: ids }) => ids?.[0] === digest);
    await t.db.query(`SELECT pg_notify('nestjs_latchkey_public', '{"users":["${digest}"]}')`);
    await last;
    expect(told).toEqual([{ users: [digest] }]);
  });

  it('is published inside the transaction: undone with it, heard after it', async () => {
    const { token, session } = await cached();
    await expect(
      t.app.get(AuthTransaction).run(async () => {
        await channel.publish({ users: ['undone'] });
        throw new Error('undone');
      }),
    ).rejects.toThrow('undone');
    const news = heard(t.app, ({ sessions: ids }) => ids !== undefined);
    await t.db.query(`BEGIN; DELETE FROM sessions; ROLLBACK`);
    await t.db.query('DELETE FROM sessions WHERE id = $1', [session.id]);
    expect(await news).toEqual({ sessions: [channel.digest('sessions', session.id)] });
    expect(await sessions.lookup(token)).toBeNull();
  });

  it('a flood is one message: everything of that kind', async () => {
    await t.db.query(
      `INSERT INTO sessions (id, user_id, expires_at) SELECT md5(n::text), $1, '2100-01-01' FROM generate_series(1, 5000) n`,
      [ada.id],
    );
    const { session } = await cached(await createUser(t.app));
    told.length = 0;
    const news = heard(t.app);
    await t.db.query('DELETE FROM sessions WHERE length(id) = 32');
    await news;
    expect(told).toEqual([{ sessions: '*' }]);
    expect(cache.get(session.id)).toBeUndefined();
  });

  it('100 ids fit into a message, however long they are; more are everything', async () => {
    const lists: (number | '*')[] = [];
    for (const [count, length] of [
      [100, 64],
      [101, 64],
      [2, 7_000],
    ] as const) {
      await t.db.query(
        `INSERT INTO sessions (id, user_id, expires_at)
         SELECT lpad(n::text, $3, 'x'), $1, '2100-01-01' FROM generate_series(1, $2) n`,
        [ada.id, count, length],
      );
      const news = heard(t.app);
      await t.db.query("DELETE FROM sessions WHERE id LIKE 'xx%'");
      const { sessions: ids } = await news;
      lists.push(ids === '*' ? '*' : ids!.length);
    }
    expect(lists).toEqual([100, '*', 2]);
  });

  it.each([
    ['garbage', 'revoke everything!'],
    ['an empty message', ''],
    ['another program’s', '{"table":"sessions"}'],
    ['as long as they get', 'x'.repeat(7_999)],
  ])('%s: everything is forgotten, and nothing else happens', async (_, payload) => {
    const { token, session } = await cached();
    const news = heard(t.app, ({ sessions: ids, users, tokens }) => [ids, users, tokens].every((kind) => kind === '*'));
    await t.db.query("SELECT pg_notify('nestjs_latchkey_public', $1)", [payload]);
    await news;
    expect(cache.get(session.id)).toBeUndefined();
    expect(channel.isCurrent).toBe(true);
    expect(await sessions.lookup(token)).not.toBeNull();
  });

  it('garbage is logged once', async () => {
    const warn = jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
    const fresh = await startTestApp({ url: t.db.url, auth: { cache: { enabled: true } } });
    for (let i = 0; i < 5; i++) {
      const news = heard(fresh.app);
      await t.db.query("SELECT pg_notify('nestjs_latchkey_public', 'garbage')");
      await news;
    }
    expect(warn.mock.calls.filter(([text]) => String(text).includes('Not an invalidation'))).toHaveLength(1);
    await fresh.close();
  });

  describe('publishing never undoes nor holds up the change:', () => {
    it('a row that jsonb cannot hold', async () => {
      await t.db.query('ALTER TABLE users ADD COLUMN profile json');
      const { token } = await cached();
      await t.db.query(`UPDATE users SET profile = '"\\u0000"' WHERE id = $1`, [ada.id]);
      const news = heard(t.app, ({ users }) => users === '*');
      await t.db.query("UPDATE users SET disabled_at = '2020-01-01' WHERE id = $1", [ada.id]);
      await news;
      expect(await sessions.lookup(token)).toBeNull();
      await t.db.query('ALTER TABLE users DROP COLUMN profile');
    });

    it('20,000 users at once, after a statement on one', async () => {
      await t.db.query(`
        INSERT INTO users (email, password_hash) SELECT 'many' || n || '@example.com', 'x' FROM generate_series(1, 20000) n;
        SET statement_timeout = '20s';
        UPDATE users SET last_login_at = now() WHERE id = '${ada.id}';
        UPDATE users SET last_login_at = now();
        DELETE FROM users WHERE email LIKE 'many%'`);
    }, 60_000);
  });

  it('what is no invalidation is refused before it is sent, and nothing at all is nothing', async () => {
    for (const wrong of [{ users: [42] }, { users: 'ada' }, { accounts: ['a'] }, { tokens: [['jti', 1]] }]) {
      await expect(channel.publish(wrong as unknown as Invalidation)).rejects.toThrow(TypeError);
    }
    for (const nothing of [{}, { users: undefined }]) await channel.publish(nothing);
    await mark('last');
    const last = { users: [channel.digest('users', 'last')] };
    expect(told).toEqual([last, last]);
  });

  it('a listener that throws is logged, and the others hear all the same', async () => {
    const log = jest.spyOn(Logger.prototype, 'error').mockImplementation(() => undefined);
    const stop = channel.subscribe(() => {
      throw new Error('a listener of the host');
    });
    const later: Invalidation[] = [];
    const stopLater = channel.subscribe((invalidation) => later.push(invalidation));
    const { token, session } = await cached();
    await sessions.revoke(session.id);
    expect(await sessions.lookup(token)).toBeNull();
    expect(later.length).toBeGreaterThan(0);
    expect(log).toHaveBeenCalled();
    stop();
    stopLater();
  });

  it.each([
    'latchkey_publish_sessions_delete',
    'latchkey_publish_users_update',
    'latchkey_publish_revoked_tokens_insert',
  ])('without the trigger %s an application with a cache does not start', async (trigger) => {
    const table = trigger.replace(/latchkey_publish_(.*)_\w+/, '$1');
    await t.db.query(`ALTER TABLE ${table} DISABLE TRIGGER ${trigger}`);
    const starting = startTestApp({ url: t.db.url, auth: { cache: { enabled: true } } });
    await expect(starting).rejects.toMatchObject({
      code: 'SCHEMA_MISSING',
      facts: { detail: `no trigger ${trigger}` },
    });
    await t.db.query(`ALTER TABLE ${table} ENABLE TRIGGER ${trigger}`);
  });

  describe('while it does not hear', () => {
    it('a killed listener: nothing from memory at once, and back by itself, starting empty', async () => {
      const { token, session } = await cached();
      const back = heard(t.app, ({ sessions: ids }) => ids === '*');
      await t.db.query(`SELECT pg_terminate_backend(pid) FROM (${LISTENERS}) listener`);
      await until(() => !channel.isCurrent);
      t.queries.reset();
      await sessions.lookup(token);
      expect(t.queries.statements).toHaveLength(1);
      await back;
      expect(cache.get(session.id)).toBeUndefined();
      await until(() => channel.isCurrent);
      await until(async () => {
        await sessions.lookup(token);
        t.queries.reset();
        await sessions.lookup(token);
        return t.queries.statements.length === 0;
      });
      expect(await t.db.query(LISTENERS)).toHaveLength(1);
    });

    it('what is ended meanwhile is not answered, neither then nor afterwards', async () => {
      const { token, session } = await cached();
      const back = heard(t.app, ({ sessions: ids }) => ids === '*');
      await t.db.query(
        `SELECT pg_terminate_backend(pid) FROM (${LISTENERS}) listener; DELETE FROM sessions WHERE id = '${session.id}'`,
      );
      await until(() => !channel.isCurrent);
      expect(await sessions.lookup(token)).toBeNull();
      await back;
      expect(await sessions.lookup(token)).toBeNull();
    });
  });

  it('the address leaves out what it shares with the DataSource', async () => {
    const { hostname, port } = new URL(t.db.url);
    const near = await startTestApp({
      url: t.db.url,
      auth: { cache: { enabled: true, url: `postgres://${hostname}:${port}` } },
    });
    expect(near.app.get(InvalidationChannel).isCurrent).toBe(true);
    await near.close();
  });

  it('leaves nothing behind on connections that it may share with others', async () => {
    await t.db.query(`ALTER DATABASE ${new URL(t.db.url).pathname.slice(1)} SET synchronous_commit = on`);
    const pinging = await startTestApp({ url: t.db.url, auth: { cache: { enabled: true } } });
    expect(pinging.app.get(InvalidationChannel).isCurrent).toBe(true);
    const shared = pinging.app.get(DataSource);
    expect(await shared.query<unknown[]>('SHOW synchronous_commit')).toEqual([{ synchronous_commit: 'on' }]);
    await pinging.close();
  });

  it('closes with the application, also in the middle of reconnecting', async () => {
    const closing = await startTestApp({ url: t.db.url, auth: { cache: { enabled: true } } });
    expect(await t.db.query(LISTENERS)).toHaveLength(2);
    await closing.close();
    await until(async () => (await t.db.query(LISTENERS)).length === 1);
    expect(closing.app.get(InvalidationChannel).isCurrent).toBe(false);
  });
});
