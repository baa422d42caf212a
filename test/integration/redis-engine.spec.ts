import { afterEach, describe, expect, it } from '@jest/globals';
import { Test } from '@nestjs/testing';
import { TypeOrmModule } from '@nestjs/typeorm';
import {
  type AuthError,
  AuthModule,
  AuthTransaction,
  EphemeralTokenService,
  seconds,
  SessionService,
  PostgresUserDirectory,
  authEntities,
  type AuthUser,
} from 'nestjs-latchkey';
import {
  EphemeralTokenStore,
  InvalidationChannel,
  RateLimitStore,
  SessionCache,
  SessionStore,
} from 'nestjs-latchkey/engine';
import { RedisConnection, redisEngine, RedisSessionStore } from 'nestjs-latchkey/redis';
import { createClient, createCluster } from 'redis';
import { createUser, SECRET, startTestApp, type TestAppOptions } from '../support/app.js';
import { createTestDatabase } from '../support/database.js';
import { until } from '../support/heard.js';
import { engineFor, lookInto, prefixFor } from '../support/redis-engine.js';
import { startRedis, startRedisCluster } from '../support/redis-server.js';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

async function start(auth: TestAppOptions['auth'] = {}, db?: Awaited<ReturnType<typeof createTestDatabase>>) {
  const url = process.env['LATCHKEY_TEST_REDIS']!;
  if (!db) {
    db = await createTestDatabase();
    cleanups.push(() => db!.drop());
  }
  const t = await startTestApp({ url: db.url, auth: { engine: engineFor(db.url, [url]), ...auth } });
  cleanups.push(() => t.close());
  return { t, db };
}

describe('redisEngine', () => {
  it('H12: the sealed successor of a rotation expires with the grace', async () => {
    const { t } = await start();
    const sessions = t.app.get(SessionService);
    const ada = await createUser(t.app);
    const old = await sessions.create(ada.id);
    const rotated = (await sessions.rotate(old.session, ada.id))!;
    const client = createClient({ url: process.env['LATCHKEY_TEST_REDIS']! });
    await client.connect();
    cleanups.push(() => client.close());
    const key = `${prefixFor(t.db.url)}n:${rotated.session.id}`;
    expect(await client.pTTL(key)).toBeGreaterThan(25_000);
    expect(await client.pTTL(key)).toBeLessThanOrEqual(35_000);
    expect((await sessions.lookup(old.token))!.successor).toBe(rotated.token);
    // As if it had expired: the old token leads nowhere, without an alarm in the grace.
    await client.del(key);
    expect(await sessions.lookup(old.token)).toBeNull();
    expect(await sessions.lookup(rotated.token)).not.toBeNull();
    t.clock.advance(seconds(30));
    expect(await sessions.lookup(old.token)).toBeNull();
    expect(await sessions.lookup(rotated.token)).toBeNull();
  });

  it('is one line beside useFactory too', async () => {
    const db = await createTestDatabase();
    cleanups.push(() => db.drop());
    const module = await Test.createTestingModule({
      imports: [
        TypeOrmModule.forRoot({ type: 'postgres', url: db.url, entities: [...authEntities], retryAttempts: 0 }),
        AuthModule.forRootAsync({
          engine: engineFor(db.url, [process.env['LATCHKEY_TEST_REDIS']!]),
          useFactory: () => ({ secrets: [SECRET] }),
        }),
      ],
    }).compile();
    await module.init();
    cleanups.push(() => module.close());
    expect(module.get(SessionStore)).toBeInstanceOf(RedisSessionStore);
  });

  it("uses a client of the host's, and leaves it open", async () => {
    const client = createClient({ url: process.env['LATCHKEY_TEST_REDIS']! });
    await client.connect();
    const { t } = await start({ engine: redisEngine(client, { prefix: 'of-a-client:' }) });
    const ada = await createUser(t.app, 'ada@example.com');
    const { token } = await t.app.get(SessionService).create(ada.id);
    expect(await t.app.get(SessionService).lookup(token)).not.toBeNull();
    await t.close();
    expect(client.isOpen).toBe(true);
    client.destroy();
  });

  it("uses a cluster of the host's", async () => {
    const servers = await startRedisCluster();
    cleanups.push(() => servers.stop());
    const cluster = createCluster({ rootNodes: servers.urls.map((url) => ({ url })) }).on('error', () => {});
    await cluster.connect();
    cleanups.push(() => cluster.destroy());
    const { t } = await start({ engine: redisEngine(cluster) });
    const ada = await createUser(t.app, 'ada@example.com');
    const { token } = await t.app.get(SessionService).create(ada.id);
    expect(await t.app.get(SessionService).lookup(token)).not.toBeNull();
  });

  it('on a cluster, whose nodes may drop messages, memory keeps nothing for longer than cache.maxStaleness', async () => {
    const cluster = await startRedisCluster();
    cleanups.push(() => cluster.stop());
    for (const [urls, kept] of [
      [cluster.urls, false],
      [[process.env['LATCHKEY_TEST_REDIS']!], true],
    ] as const) {
      const engine = redisEngine(urls.length > 1 ? { rootNodes: urls.map((url) => ({ url })) } : { url: urls[0] });
      const { t } = await start({ engine, cache: { enabled: true, maxStaleness: 2_000, ttl: 60_000 } });
      const { id: userId } = await createUser(t.app, 'ada@example.com');
      const { session, token } = await t.app.get(SessionService).create(userId);
      await until(async () => {
        await t.app.get(SessionService).lookup(token);
        return t.app.get(SessionCache).get(session.id) !== undefined;
      });
      t.clock.advance(2_000);
      expect(t.app.get(SessionCache).get(session.id) !== undefined).toBe(kept);
    }
  });

  it('fails the boot where Redis is away', async () => {
    const server = await startRedis();
    await server.stop();
    const db = await createTestDatabase();
    cleanups.push(() => db.drop());
    const boot = startTestApp({ url: db.url, auth: { engine: redisEngine({ url: server.url }) } });
    await expect(boot).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
  });

  it.each([
    ['a wrong password', (url: string) => url.replace('redis://', 'redis://:wrong-password@'), 'WRONGPASS'],
    ['no password', (url: string) => url, 'NOAUTH'],
  ])('H36: fails the boot at once with %s, and says so', async (_, addressed, code) => {
    const server = await startRedis();
    cleanups.push(() => server.stop());
    const client = await createClient({ url: server.url }).connect();
    await client.configSet('requirepass', 'the-right-one');
    client.destroy();
    const db = await createTestDatabase();
    cleanups.push(() => db.drop());
    for (const source of [{ url: addressed(server.url) }, { rootNodes: [{ url: addressed(server.url) }] }]) {
      const error = (await startTestApp({ url: db.url, auth: { engine: redisEngine(source) } }).catch(
        (thrown: unknown) => thrown,
      )) as AuthError;
      expect(error).toMatchObject({ code: 'INVALID_CONFIG', message: expect.stringContaining(`(${code})`) });
      expect(error.message).not.toContain('wrong-password');
    }
  });

  it('fails the boot on a replica', async () => {
    const [master, replica] = [await startRedis(), await startRedis()];
    cleanups.push(() => Promise.all([master.stop(), replica.stop()]));
    const client = createClient({ url: replica.url });
    await client.connect();
    await client.sendCommand(['REPLICAOF', '127.0.0.1', String(master.port)]);
    client.destroy();
    const db = await createTestDatabase();
    cleanups.push(() => db.drop());
    const boot = startTestApp({ url: db.url, auth: { engine: redisEngine({ url: replica.url }) } });
    await expect(boot).rejects.toMatchObject({ code: 'INVALID_CONFIG', message: expect.stringContaining('replica') });
  });

  it('a server that has become a replica is an outage, not "missing"', async () => {
    const [master, replica] = [await startRedis(), await startRedis()];
    cleanups.push(() => Promise.all([master.stop(), replica.stop()]));
    const { t } = await start({ engine: redisEngine({ url: replica.url }) });
    const ada = await createUser(t.app, 'ada@example.com');
    const { session } = await t.app.get(SessionService).create(ada.id);
    const client = createClient({ url: replica.url });
    await client.connect();
    cleanups.push(() => client.destroy());
    await client.sendCommand(['REPLICAOF', '127.0.0.1', String(master.port)]);
    await expect(t.app.get(SessionService).revoke(session.id)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    await expect(t.app.get(SessionService).create(ada.id)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
  });

  it('a restarted server, which knows no scripts, goes on', async () => {
    const server = await startRedis();
    cleanups.push(() => server.stop());
    const { t } = await start({ engine: redisEngine({ url: server.url }) });
    const ada = await createUser(t.app, 'ada@example.com');
    await t.app.get(SessionService).create(ada.id);
    await server.kill();
    await expect(t.app.get(SessionService).create(ada.id)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    await server.restart();
    await until(() =>
      t.app
        .get(SessionService)
        .create(ada.id)
        .then(
          () => true,
          () => false,
        ),
    );
  });

  it('every key has an expiry, and what has ended leaves none', async () => {
    const { t, db } = await start();
    const ada = await createUser(t.app, 'ada@example.com');
    const sessions = t.app.get(SessionService);
    for (let i = 0; i < 30; i++) await sessions.create(ada.id);
    const { session } = await sessions.create(ada.id);
    await sessions.rotate(session, ada.id);
    const reset = await t.app.get(EphemeralTokenService).issue('password_reset', { username: ada.email });
    await t.app.get(RateLimitStore).record({ event: 'a', subject: 'b', limit: 1, window: 1_000 }, t.clock.now());
    const eyes = await lookInto([process.env['LATCHKEY_TEST_REDIS']!], prefixFor(db.url));
    cleanups.push(() => eyes.close());
    const ttls = await eyes.ttls();
    expect(ttls.length).toBeGreaterThan(25);
    expect(ttls.filter(([, ttl]) => ttl <= 0)).toEqual([]);
    await sessions.revokeAllForUser(ada.id);
    await t.app.get(EphemeralTokenService).consume('password_reset', reset);
    await until(async () => (await eyes.ttls()).length === 1);
  });

  it('the cutoff of an account ends its sessions here, also those of a process whose clock is ahead', async () => {
    const { t } = await start();
    const ada = await createUser(t.app, 'ada@example.com');
    const [sessions, users] = [t.app.get(SessionService), t.app.get(PostgresUserDirectory)];
    t.clock.advance(60_000);
    const { token } = await sessions.create(ada.id);
    t.clock.advance(-30_000);
    await users.setPassword(ada.id, 'another correct horse');
    expect(await sessions.lookup(token)).toBeNull();
    await users.disable(ada.id);
    await users.enable(ada.id);
    t.clock.advance(60_000);
    expect(await sessions.lookup(token)).toBeNull();
    expect(await sessions.listForUser(ada.id)).toEqual([]);
  });

  it('a login whose account changed since its password was read opens nothing', async () => {
    const { t } = await start();
    const ada = await createUser(t.app, 'ada@example.com');
    await t.app.get(PostgresUserDirectory).setPassword(ada.id, 'another correct horse');
    const login = t.app.get(SessionService).create(ada.id, { user: ada });
    await expect(login).rejects.toMatchObject({ code: 'INVALID_CREDENTIALS' });
  });
});

describe('a token that is taken in a transaction', () => {
  const begin = async () => {
    const { t, db } = await start();
    const ada = await createUser(t.app, 'ada@example.com');
    const tokens = t.app.get(EphemeralTokenService);
    return { t, db, ada, tokens, run: <T>(work: () => Promise<T>) => t.app.get(AuthTransaction).run(work) };
  };

  it('is usable by nobody until that is decided, and then gone', async () => {
    const { tokens, ada, run } = await begin();
    const token = await tokens.issue('password_reset', { username: ada.email });
    await run(async () => {
      expect(await tokens.consume('password_reset', token)).not.toBeNull();
      expect(await tokens.consume('password_reset', token)).toBeNull();
      expect(await tokens.peek('password_reset', token)).toBeNull();
    });
    expect(await tokens.consume('password_reset', token)).toBeNull();
  });

  it('is given back when that is undone', async () => {
    const { tokens, ada, run } = await begin();
    const token = await tokens.issue('password_reset', { username: ada.email });
    const undone = run(async () => {
      await tokens.consume('password_reset', token);
      throw new RangeError('no');
    });
    await expect(undone).rejects.toThrow(RangeError);
    expect(await tokens.consume('password_reset', token)).not.toBeNull();
  });

  const voiding: Record<string, (tokens: EphemeralTokenService, ada: AuthUser) => Promise<unknown>> = {
    revoked: (tokens, { email }) => tokens.revokeAllForLogin(email),
    'revoked by its type': (tokens, { email }) => tokens.revokeOfType('password_reset', email),
    'issued again': (tokens, { email }) => tokens.issue('password_reset', { username: email }),
  };

  it.each(Object.entries(voiding))('is not given back when it was made void meanwhile: %s', async (_, end) => {
    const { tokens, ada, run } = await begin();
    const token = await tokens.issue('password_reset', { username: ada.email });
    let isTaken = () => {};
    // By another request: what is called here is outside of the transaction.
    const elsewhere = new Promise<void>((resolve) => (isTaken = resolve)).then(() => end(tokens, ada));
    const undone = run(async () => {
      await tokens.consume('password_reset', token);
      isTaken();
      await elsewhere;
      throw new RangeError('no');
    });
    await expect(undone).rejects.toThrow(RangeError);
    expect(await tokens.consume('password_reset', token)).toBeNull();
  });

  it.each(Object.entries(voiding))('F22: what the transaction itself makes void is given back: %s', async (_, end) => {
    const { tokens, ada, run } = await begin();
    const [taken, other] = [
      await tokens.issue('password_reset', { username: ada.email }),
      await tokens.issue('pre_auth', { username: ada.email, challengeId: 'c' }),
    ];
    const isUsable = async () => [
      (await tokens.peek('password_reset', taken)) !== null,
      (await tokens.peek('pre_auth', other, 'c')) !== null,
    ];
    const undone = run(async () => {
      await tokens.consume('password_reset', taken);
      await end(tokens, ada);
      throw new RangeError('no');
    });
    await expect(undone).rejects.toThrow(RangeError);
    expect(await isUsable()).toEqual([true, true]);
    // Before it is taken, too; and for good with the commit (negative control).
    await expect(run(() => end(tokens, ada).then(() => Promise.reject(new RangeError('no'))))).rejects.toThrow(
      RangeError,
    );
    expect(await isUsable()).toEqual([true, true]);
    await run(async () => {
      await end(tokens, ada);
      expect((await isUsable())[0]).toBe(false);
    });
    expect((await isUsable())[0]).toBe(false);
  });

  it('is not given back when nobody knows how that ended', async () => {
    const { t, db, tokens, ada, run } = await begin();
    const token = await tokens.issue('password_reset', { username: ada.email });
    // A trigger at the commit kills the connection: what the server did with it is not told.
    await db.query(
      `CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$`,
    );
    await db.query(
      'CREATE CONSTRAINT TRIGGER die AFTER UPDATE ON users DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION die()',
    );
    const lost = run(async () => {
      await tokens.consume('password_reset', token);
      await t.app.get(PostgresUserDirectory).disable(ada.id);
    });
    await expect(lost).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    expect(await tokens.consume('password_reset', token)).toBeNull();
    const row = { column: 'challengeId', value: null, optional: true } as const;
    expect(
      await t.app
        .get(EphemeralTokenStore)
        .take({ type: 'password_reset', hash: '', binding: row, now: 0 }, { voidsRest: false }),
    ).toBeNull();
  });

  it('one that is issued in a transaction that is undone is no token', async () => {
    const { tokens, ada, run } = await begin();
    let token = '';
    const undone = run(async () => {
      token = await tokens.issue('password_reset', { username: ada.email });
      throw new RangeError('no');
    });
    await expect(undone).rejects.toThrow(RangeError);
    expect(await tokens.peek('password_reset', token)).toBeNull();
  });
});

describe('two processes with memory', () => {
  it('a revocation in one is seen by the other in milliseconds, on one server and on a cluster', async () => {
    const cluster = await startRedisCluster();
    cleanups.push(() => cluster.stop());
    for (const urls of [[process.env['LATCHKEY_TEST_REDIS']!], cluster.urls]) {
      const db = await createTestDatabase();
      cleanups.push(() => db.drop());
      const auth = () => ({ cache: { enabled: true }, engine: engineFor(db.url, urls) });
      const [{ t: one }, { t: other }] = [await start(auth(), db), await start(auth(), db)];
      await until(() => [one, other].every(({ app }) => app.get(InvalidationChannel).isCurrent));
      const ada = await createUser(one.app, 'ada@example.com');
      const delays: number[] = [];
      for (let i = 0; i < 20; i++) {
        const { token, session } = await one.app.get(SessionService).create(ada.id);
        const lookup = () => other.app.get(SessionService).lookup(token);
        expect(await lookup()).not.toBeNull();
        await one.app.get(SessionService).revoke(session.id);
        const at = performance.now();
        await until(async () => (await lookup()) === null);
        delays.push(performance.now() - at);
      }
      expect(Math.max(...delays)).toBeLessThan(1_000);
    }
  });

  it('nothing is answered from memory while Redis does not answer, and it starts empty afterwards', async () => {
    const server = await startRedis();
    cleanups.push(() => server.stop());
    const { t } = await start({
      cache: { enabled: true, maxStaleness: 1_000 },
      engine: redisEngine({ url: server.url }),
    });
    const channel = t.app.get(InvalidationChannel);
    await until(() => channel.isCurrent);
    const ada = await createUser(t.app, 'ada@example.com');
    const { token } = await t.app.get(SessionService).create(ada.id);
    await t.app.get(SessionService).lookup(token);
    // Frozen, not closed: no error tells of it.
    process.kill(server.pid, 'SIGSTOP');
    const frozenAt = performance.now();
    await until(() => !channel.isCurrent);
    expect(performance.now() - frozenAt).toBeLessThan(1_500);
    await expect(t.app.get(SessionService).lookup(token)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    process.kill(server.pid, 'SIGCONT');
    await until(() => channel.isCurrent);
    expect(await t.app.get(SessionService).lookup(token)).not.toBeNull();
    expect(t.app.get(RedisConnection).isCluster).toBe(false);
  });
});
