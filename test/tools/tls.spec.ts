import { readFileSync } from 'node:fs';
import { Logger } from '@nestjs/common';
import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { InvalidationChannel } from 'nestjs-latchkey/engine';
import { SessionService } from 'nestjs-latchkey';
import { createUser, startTestApp, type TestApp } from '../support/app.js';
import { heard, until } from '../support/heard.js';
import { startTlsPostgres, type TlsPostgres } from '../support/tls.js';
import { withClient } from '../support/test-server.js';

const LISTENERS = `SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
  WHERE application_name = 'nestjs-latchkey listener'`;

describe('A listener over TLS', () => {
  let postgres: TlsPostgres;
  let t: TestApp | undefined;
  beforeAll(async () => {
    postgres = await startTlsPostgres();
    await withClient(postgres.server.url, (client) => client.query('CREATE EXTENSION citext'));
  });
  afterAll(() => postgres?.remove());
  afterEach(async () => {
    await t?.close();
    t = undefined;
    jest.restoreAllMocks();
  });

  const withTls = (authority: string) => `${postgres.server.url}?sslmode=verify-full&sslrootcert=${authority}`;
  const inFields = () => {
    const { hostname, port, username, password, pathname } = new URL(postgres.server.url);
    return {
      url: undefined,
      host: hostname,
      port: Number(port),
      username: decodeURIComponent(username),
      password: decodeURIComponent(password),
      database: pathname.slice(1),
    };
  };
  const start = async (cache: { url: string | null }, dataSource?: object) => {
    t = await startTestApp({
      url: postgres.server.url,
      auth: { cache: { enabled: true, ...cache } },
      ...(dataSource && { dataSource }),
    });
    return t;
  };
  const encrypted = async () =>
    withClient(postgres.server.url, async (client) => (await client.query<{ ssl: boolean }>(LISTENERS)).rows);

  it.each([
    ['cache.url, the DataSource given by url', () => start({ url: withTls(postgres.authority) })],
    ['cache.url, the DataSource given by fields', () => start({ url: withTls(postgres.authority) }, inFields())],
    ['the DataSource, by url', () => start({ url: null }, { url: withTls(postgres.authority) })],
    [
      'the DataSource, by its option ssl',
      () => start({ url: null }, { ssl: { ca: readFileSync(postgres.authority) } }),
    ],
    [
      "the DataSource's option ssl, with a cache.url that says nothing of it",
      () => start({ url: postgres.server.url }, { ...inFields(), ssl: { ca: readFileSync(postgres.authority) } }),
    ],
  ])('H21: TLS as in %s: encrypted, and a revocation is heard on it', async (_, starting) => {
    const { app } = await starting();
    expect(await encrypted()).toEqual([{ ssl: true }]);
    const sessions = app.get(SessionService);
    const { token } = await sessions.create((await createUser(app)).id);
    expect(await sessions.lookup(token)).not.toBeNull();
    const told = heard(app);
    await withClient(postgres.server.url, (client) => client.query('DELETE FROM sessions'));
    await told;
    expect(await sessions.lookup(token)).toBeNull();
  });

  it('without TLS in any of them it is not encrypted (negative control)', async () => {
    await start({ url: postgres.server.url });
    expect(await encrypted()).toEqual([{ ssl: false }]);
  });

  it('H21: a certificate of another authority: nothing is sent, the log says why, and every request reads', async () => {
    const warn = jest.spyOn(Logger.prototype, 'warn').mockReturnValue();
    const error = jest.spyOn(Logger.prototype, 'error').mockReturnValue();
    const { app } = await start({ url: withTls(postgres.otherAuthority) }, inFields());
    await until(() => [...warn.mock.calls, ...error.mock.calls].some(([text]) => /certificate/.test(String(text))));
    expect(await encrypted()).toEqual([]);
    expect(app.get(InvalidationChannel).isCurrent).toBe(false);
    const sessions = app.get(SessionService);
    const { token } = await sessions.create((await createUser(app)).id);
    expect(await sessions.lookup(token)).not.toBeNull();
    await withClient(postgres.server.url, (client) => client.query('DELETE FROM sessions'));
    expect(await sessions.lookup(token)).toBeNull();
  });
});
