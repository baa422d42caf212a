import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { AuthEvents, seconds } from 'nestjs-latchkey';
import { AuditLog } from 'nestjs-latchkey/engine';
import { AuditStore } from '../../src/audit/audit.store.js';
import request from 'supertest';
import { createUser, startTestApp, type TestApp } from '../support/app.js';
import { createProxiedDatabase, type ProxiedDatabase } from '../support/tcp-proxy.js';
import { withClient } from '../support/test-server.js';

const QUEUE = 6;
const REFUSED = 'no \0 in a text';

describe('AuditLog', () => {
  let database: ProxiedDatabase;
  let t: TestApp;
  beforeEach(async () => {
    database = await createProxiedDatabase();
    t = await startTestApp({ url: database.url, auth: { audit: { enabled: true, queue: QUEUE } } });
  });
  afterEach(async () => {
    jest.restoreAllMocks();
    await t?.close();
    await database?.drop();
  });
  const log = () => t.app.get(AuditLog);

  const emit = (...logins: string[]) => {
    for (const login of logins) {
      const facts = { ip: null, factors: ['password'], reason: 'INVALID_CREDENTIALS' } as const;
      t.app.get(AuthEvents).emit({ type: 'login.failed', at: t.clock.now(), login, ...facts });
    }
  };
  const written = async () =>
    (await database.db.query<{ login: string }>('SELECT login FROM auth_audit_events ORDER BY id')).map(
      ({ login }) => login,
    );

  /** The database goes away before this row of a batch that is written row by row, and takes no connection. */
  const goesAwayBeforeRow = (row: number, meanwhile = () => {}) => {
    const store = t.app.get(AuditStore);
    const insert = store.insert.bind(store);
    let rows = 0;
    jest.spyOn(store, 'insert').mockImplementation(async (events) => {
      if (events.length === 1 && ++rows === row) {
        await allowConnections(false);
        database.proxy.reset();
        meanwhile();
      }
      return insert(events);
    });
  };
  const allowConnections = (allowed: boolean) =>
    withClient(process.env['LATCHKEY_TEST_SERVER']!, (client) =>
      client.query(`ALTER DATABASE ${new URL(database.db.url).pathname.slice(1)} ALLOW_CONNECTIONS ${allowed}`),
    );
  const back = async () => {
    await allowConnections(true);
    await log().flush();
  };

  it('H35: attempts over the limit are no rows: each limit says once that it is reached', async () => {
    const other = await startTestApp({ url: database.db.url, auth: { audit: { enabled: true }, rateLimits: {} } });
    await createUser(other.app, 'ada@example.com');
    const guess = () =>
      request(other.url).post('/auth/login').send({ email: 'ada@example.com', password: 'a wrong password' });
    const statuses: number[] = [];
    for (let i = 0; i < 60; i++) {
      // Past the back-off, but for every third.
      if (i % 3 > 0) other.clock.advance(seconds(6));
      statuses.push((await guess()).status);
    }
    await other.app.get(AuditLog).flush();
    const judged = statuses.filter((status) => status === 401).length;
    expect(new Set(statuses)).toEqual(new Set([401, 429]));
    expect(judged).toBeLessThan(30);
    const rows = await database.db.query<{ type: string; n: number }>(
      'SELECT type, count(*)::int n FROM auth_audit_events GROUP BY type ORDER BY type',
    );
    expect(rows).toEqual([
      { type: 'login.failed', n: judged },
      { type: 'rate_limit.reached', n: 1 },
    ]);
    await other.close();
  });

  it('one event that PostgreSQL refuses does not take the others of its batch with it', async () => {
    emit('ada', REFUSED, 'grace');
    await log().flush();
    expect(await written()).toEqual(['ada', 'grace']);
    expect(log().dropped).toBe(1);
  });

  it.each([1, 2, 3, 4])(
    'an outage before row %i of a refused batch loses nothing and writes nothing twice',
    async (row) => {
      goesAwayBeforeRow(row);
      emit('ada', REFUSED, 'grace', 'edsger');
      await log().flush();
      const refused = row > 2 ? 1 : 0;
      expect(log().dropped).toBe(refused);
      await back();
      expect(await written()).toEqual(['ada', 'grace', 'edsger']);
      expect(log().dropped).toBe(1);
    },
  );

  it('what is put back counts for the queue, and is the first to be written', async () => {
    goesAwayBeforeRow(3, () => emit('1', '2', '3', '4', '5'));
    emit('ada', REFUSED, 'grace', 'edsger');
    await log().flush();
    expect(log().dropped).toBe(2);
    await back();
    expect(await written()).toEqual(['ada', 'grace', 'edsger', '1', '2', '3', '4']);
  });
});
