import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Controller, Get } from '@nestjs/common';
import { describe, expect, it } from '@jest/globals';
import {
  CurrentUser,
  JwtCodecService,
  SessionService,
  PostgresUserDirectory,
  TokenRevocationService,
  type AuthUser,
} from 'nestjs-latchkey';
import { InvalidationChannel } from 'nestjs-latchkey/engine';
import { signInAs, type EmbeddedPostgres } from 'nestjs-latchkey/testing';
import request from 'supertest';
import { createUser, PLATFORMS, startTestApp, type Platform, type TestApp } from '../support/app.js';
import { cleanupsAfterEach } from '../support/cleanups.js';
import { createTestDatabase } from '../support/database.js';
import { heard, until } from '../support/heard.js';
import { startOwnPostgres, type OwnPostgres } from '../support/own-postgres.js';
import { withClient } from '../support/test-server.js';

@Controller()
class MeController {
  @Get('me')
  me(@CurrentUser() user: AuthUser) {
    return { id: user.id };
  }
}

const cleanups = cleanupsAfterEach();

async function start(url: string, platform: Platform, auth = {}): Promise<TestApp> {
  const t = await startTestApp({
    url,
    platform,
    controllers: [MeController],
    auth: { cache: { enabled: true }, jwt: { sessions: true }, ...auth },
  });
  cleanups.push(() => t.close());
  return t;
}

/** A channel that begins to hear has the list of ended tokens read again; until it is there the database is asked. */
const revocationsRead = (t: TestApp) =>
  until(async () => {
    t.queries.reset();
    await t.app.get(TokenRevocationService).isRevoked('of no token');
    return t.queries.statements.length === 0;
  });

const me = (t: TestApp, headers: Record<string, string>) => request(t.url).get('/me').set(headers);

describe.each(PLATFORMS)('a guarded request on %s', (platform) => {
  it('that finds its session in memory runs no query: cookie, bearer token, JWT', async () => {
    const db = await createTestDatabase();
    cleanups.push(() => db.drop());
    const t = await start(db.url, platform);
    const ada = await createUser(t.app, 'ada@example.com');
    const { token } = await t.app.get(SessionService).create(ada.id);
    await revocationsRead(t);
    for (const headers of [
      { Cookie: await signInAs(t.app, ada.id) },
      { Authorization: `Bearer ${token}` },
      { Authorization: `Bearer ${t.app.get(JwtCodecService).encode(ada.id).token}` },
    ] as Record<string, string>[]) {
      await me(t, headers).expect(200);
      t.queries.reset();
      for (let i = 0; i < 5; i++) await me(t, headers).expect(200, { id: ada.id });
      expect(t.queries.statements).toEqual([]);
    }
  });

  it('that finds its signed cookie in memory runs no query, and dies everywhere with a logout', async () => {
    const db = await createTestDatabase();
    cleanups.push(() => db.drop());
    const scheme = { session: { scheme: 'signed-cookie' } };
    const [t, other] = [await start(db.url, platform, scheme), await start(db.url, platform, scheme)];
    const ada = await createUser(t.app, 'ada@example.com');
    const Cookie = await signInAs(t.app, ada.id);
    await revocationsRead(t);
    for (const app of [t, other]) await me(app, { Cookie }).expect(200);
    t.queries.reset();
    await me(t, { Cookie }).expect(200);
    expect(t.queries.statements).toEqual([]);
    const news = heard(t.app, ({ tokens }) => tokens !== undefined);
    await request(other.url).post('/auth/logout').set({ Cookie }).expect(200);
    await me(other, { Cookie }).expect(401);
    await news;
    await me(t, { Cookie }).expect(401);
  });
});

describe('faults, with reads from memory', () => {
  const startPostgres = async (): Promise<OwnPostgres> => {
    const postgres = await startOwnPostgres();
    cleanups.push(() => postgres.remove());
    return postgres;
  };

  /** Statuses of guarded requests, one after the other on four lines, until `done`. */
  const load = (t: TestApp, headers: Record<string, string>) => {
    const statuses = new Map<number, number>();
    const over = new AbortController();
    const line = async () => {
      while (!over.signal.aborted) {
        const { status } = await me(t, headers);
        statuses.set(status, (statuses.get(status) ?? 0) + 1);
      }
    };
    const lines = [line(), line(), line(), line()];
    return async () => {
      over.abort();
      await Promise.all(lines);
      return [...statuses.keys()];
    };
  };

  it('the database restarts under load: 200 and 503, nobody is logged out, nothing crashes, it recovers', async () => {
    const postgres = await startPostgres();
    const t = await start(postgres.server.url, 'express');
    const ada = await createUser(t.app, 'ada@example.com');
    const live = { Cookie: await signInAs(t.app, ada.id) };
    const { token, session } = await t.app.get(SessionService).create(ada.id);
    await me(t, { Authorization: `Bearer ${token}` }).expect(200);
    const stop = load(t, live);
    await until(async () => (await me(t, live)).status === 200);
    await postgres.stop();
    await postgres.start();
    await t.app.get(SessionService).revoke(session.id);
    await me(t, { Authorization: `Bearer ${token}` }).expect(401);
    await until(() => t.app.get(InvalidationChannel).isCurrent);
    await until(async () => (await me(t, live)).status === 200);
    const statuses = await stop();
    expect(statuses.filter((status) => status !== 200 && status !== 503)).toEqual([]);
    await me(t, { Authorization: `Bearer ${token}` }).expect(401);
  }, 60_000);

  it('the database is paused: nothing is answered wrongly, and what was ended is ended', async () => {
    const { server } = await startPostgres();
    const t = await start(server.url, 'express', {
      cache: { enabled: true, maxStaleness: 1_000, ttl: 3_600_000 },
      database: { timeout: 30_000 },
    });
    const ada = await createUser(t.app, 'ada@example.com');
    const bob = await createUser(t.app, 'bob@example.com');
    const live = { Cookie: await signInAs(t.app, ada.id) };
    const dead = { Cookie: await signInAs(t.app, bob.id) };
    await me(t, live).expect(200);
    await me(t, dead).expect(200);
    const pids = await processesOf(server);
    signal(pids, 'SIGSTOP');
    const pausedAt = performance.now();
    try {
      // Answered by the database after the pause, and unknown until then.
      const ending = t.app.get(PostgresUserDirectory).disable(bob.id);
      await me(t, live).expect(200);
      await until(() => !t.app.get(InvalidationChannel).isCurrent);
      expect(performance.now() - pausedAt).toBeLessThan(5_000);
      const waiting = [me(t, live).then(({ status }) => status), me(t, dead).then(({ status }) => status)];
      signal(pids, 'SIGCONT');
      await ending;
      const [first] = await Promise.all(waiting);
      expect(first).toBe(200);
    } finally {
      signal(pids, 'SIGCONT');
    }
    await me(t, dead).expect(401);
    await until(() => t.app.get(InvalidationChannel).isCurrent);
    await me(t, dead).expect(401);
    await me(t, live).expect(200);
  }, 60_000);

  /** The server with all of its connections. */
  const processesOf = async ({ url, dataDirectory }: EmbeddedPostgres): Promise<number[]> => {
    const [server] = (await readFile(join(dataDirectory, 'postmaster.pid'), 'utf8')).split('\n');
    const { rows } = await withClient(url, (client) =>
      client.query<{ pid: number }>('SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()'),
    );
    return [Number(server), ...rows.map(({ pid }) => pid)];
  };

  const signal = (pids: readonly number[], name: NodeJS.Signals) => {
    for (const pid of pids) {
      try {
        process.kill(pid, name);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
      }
    }
  };
});
