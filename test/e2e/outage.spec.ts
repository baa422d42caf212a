import { Controller, Get, Injectable } from '@nestjs/common';
import { describe, expect, it } from '@jest/globals';
import { authMigrations, Public, SessionService, UserDirectory, type AuthUser } from 'nestjs-latchkey';
import { SessionStore } from 'nestjs-latchkey/engine';
import { signInAs } from 'nestjs-latchkey/testing';
import request from 'supertest';
import { createUser, PASSWORD, PLATFORMS, startTestApp, type TestApp } from '../support/app.js';
import { cleanupsAfterEach } from '../support/cleanups.js';
import { createTestDatabase } from '../support/database.js';
import { startOwnPostgres } from '../support/own-postgres.js';
import { hideSessions } from '../support/stored.js';
import { redisUrls } from '../support/variant.js';

@Controller()
class PagesController {
  @Public()
  @Get('open')
  open() {
    return { open: true };
  }

  @Get('guarded')
  guarded() {
    return { in: true };
  }
}

const cleanups = cleanupsAfterEach();

/** Where sessions are elsewhere, a logout works without PostgreSQL: `redis-outage.spec.ts` is about that one's outage. */
const IN_POSTGRES = redisUrls() === null;
const describeInPostgres = IN_POSTGRES ? describe.each(PLATFORMS) : () => {};

describeInPostgres('an outage is not a logout, on %s', (platform) => {
  it('database away: 503 and the cookie untouched; back: answers again without a restart', async () => {
    const postgres = await startOwnPostgres();
    cleanups.push(() => postgres.remove());
    const t: TestApp = await startTestApp({ url: postgres.server.url, platform, controllers: [PagesController] });
    cleanups.push(() => t.close());
    const ada = await createUser(t.app, 'ada@example.com');
    const cookie = await signInAs(t.app, ada.id);
    const get = (path: string) => request(t.url).get(path).set('Cookie', cookie);
    await get('/guarded').expect(200);

    await postgres.stop();
    for (let i = 0; i < 3; i++) {
      const answer = await get('/guarded').expect(503);
      expect(answer.body).toEqual({
        statusCode: 503,
        code: 'STORE_UNAVAILABLE',
        message: 'Service temporarily unavailable.',
      });
      expect(answer.headers['set-cookie']).toBeUndefined();
      expect(answer.headers['www-authenticate']).toBeUndefined();
    }
    await get('/open').expect(200);
    await request(t.url).get('/guarded').expect(401);
    const login = await request(t.url).post('/auth/login').send({ email: 'ada@example.com', password: PASSWORD });
    expect(login.status).toBe(503);
    const logout = await request(t.url).post('/auth/logout').set('Cookie', cookie).expect(503);
    expect(logout.headers['set-cookie']).toBeUndefined();

    await postgres.start();
    await get('/guarded').expect(200);
    await request(t.url).post('/auth/logout').set('Cookie', cookie).expect(200);
    await get('/guarded').expect(401);
  }, 60_000);
});

@Injectable()
class BrokenDirectory extends UserDirectory {
  static isBroken = false;

  override async findById(id = ''): Promise<AuthUser | null> {
    if (!BrokenDirectory.isBroken) return { id, email: 'ada@example.com' };
    throw new TypeError('the directory service fell over');
  }
  override findByLogin(): Promise<AuthUser | null> {
    return this.findById();
  }
  override verifyCredentials(): Promise<AuthUser | null> {
    return this.findById();
  }
}

describe('R20: the guard denies when anything throws', () => {
  const start = async (options: Partial<Parameters<typeof startTestApp>[0]> = {}) => {
    const db = await createTestDatabase();
    cleanups.push(() => db.drop());
    const t = await startTestApp({ url: db.url, controllers: [PagesController], ...options });
    cleanups.push(() => t.close());
    return { t, db };
  };

  it('a store that throws anything: 503', async () => {
    const { t } = await start();
    const { token } = await t.app.get(SessionService).create((await createUser(t.app, 'ada@example.com')).id);
    t.app.get(SessionStore).find = () => Promise.reject(new RangeError('boom'));
    const answer = await request(t.url).get('/guarded').set('Authorization', `Bearer ${token}`).expect(503);
    expect(answer.text).not.toContain('boom');
  });

  it("a host's directory that throws: 503 on guarded routes and on login", async () => {
    const { t, db } = await start({ auth: { users: BrokenDirectory } });
    await db.query(`INSERT INTO users (email, password_hash) VALUES ('ada@example.com', 'x')`);
    const [{ id }] = (await db.query('SELECT id FROM users')) as [{ id: string }];
    const { token } = await t.app.get(SessionService).create(id);
    BrokenDirectory.isBroken = true;
    await request(t.url).get('/guarded').set('Authorization', `Bearer ${token}`).expect(503);
    await request(t.url).post('/auth/login').send({ email: 'ada@example.com', password: 'x' }).expect(503);
  });

  it('an extension that fails: 503, and the session is not lost', async () => {
    const { t } = await start();
    const cookie = await signInAs(t.app, (await createUser(t.app, 'ada@example.com')).id);
    t.clock.advance(1000 * 60 * 60 * 24 * 24);
    const store = t.app.get(SessionStore);
    const extend = store.extend.bind(store);
    store.extend = () => Promise.reject(new Error('read-only'));
    await request(t.url).get('/guarded').set('Cookie', cookie).expect(503);
    store.extend = extend;
    await request(t.url).get('/guarded').set('Cookie', cookie).expect(200);
  });

  it('the tables vanish: 503, not 401', async () => {
    const { t, db } = await start();
    const cookie = await signInAs(t.app, (await createUser(t.app, 'ada@example.com')).id);
    const showSessions = await hideSessions(db);
    const answer = await request(t.url).get('/guarded').set('Cookie', cookie).expect(503);
    expect(answer.body.code).toBe(IN_POSTGRES ? 'SCHEMA_MISSING' : 'STORE_UNAVAILABLE');
    await showSessions();
    await request(t.url).get('/guarded').set('Cookie', cookie).expect(200);
  });

  it('a column that changes its type under a prepared statement costs nobody a request', async () => {
    const { t, db } = await start();
    const cookie = await signInAs(t.app, (await createUser(t.app, 'ada@example.com')).id);
    await request(t.url).get('/guarded').set('Cookie', cookie).expect(200);
    await db.query('ALTER TABLE sessions ALTER COLUMN ip TYPE varchar(64)');
    for (let i = 0; i < 3; i++) await request(t.url).get('/guarded').set('Cookie', cookie).expect(200);
  });

  it('every connection killed under load: never 401, and 200 again', async () => {
    const { t, db } = await start();
    const cookie = await signInAs(t.app, (await createUser(t.app, 'ada@example.com')).id);
    const statuses = new Set<number>();
    for (let round = 0; round < 5; round++) {
      const load = Promise.all(Array.from({ length: 40 }, () => request(t.url).get('/guarded').set('Cookie', cookie)));
      await db.query(
        'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()',
      );
      for (const { status } of await load) statuses.add(status);
    }
    statuses.delete(200);
    statuses.delete(503);
    expect([...statuses]).toEqual([]);
    await request(t.url).get('/guarded').set('Cookie', cookie).expect(200);
  });

  it('boot without the schema fails and says what to add', async () => {
    const db = await createTestDatabase({ migrated: false });
    cleanups.push(() => db.drop());
    await expect(startTestApp({ url: db.url, migrations: [] })).rejects.toMatchObject({
      code: 'SCHEMA_MISSING',
      message: expect.stringContaining('authMigrations'),
    });
    await expect(startTestApp({ url: db.url, migrations: [authMigrations[0]!] })).rejects.toMatchObject({
      code: 'SCHEMA_MISSING',
    });
  });
});
