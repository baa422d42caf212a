import { Logger } from '@nestjs/common';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { seconds, SessionService, type AuthUser } from 'nestjs-latchkey';
import { AuthConfig, InvalidationChannel } from 'nestjs-latchkey/engine';
import { startEmbeddedPostgres, type EmbeddedPostgres } from 'nestjs-latchkey/testing';
import { PreparedStatements } from '../../src/postgres/prepared-statements.js';
import { PostgresInvalidationChannel } from '../../src/engines/postgres/postgres-invalidation-channel.js';
import { SchemaNames } from '../../src/schema/schema-names.js';
import { createUser, startTestApp, type TestApp } from '../support/app.js';
import { sharedTestApp } from '../support/shared-app.js';
import { until } from '../support/heard.js';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.js';
import { SETTINGS } from '../support/test-server.js';

class Impatient extends PostgresInvalidationChannel {
  protected override readonly connectTimeout = 200;
}

const MAX_STALENESS = 400;

describe('PostgresInvalidationChannel', () => {
  const t = sharedTestApp({ auth: { cache: { enabled: true, ttl: seconds(3600) } } });
  let sessions: SessionService;
  let ada: AuthUser;

  beforeAll(() => {
    sessions = t.app.get(SessionService);
  });
  beforeEach(async () => {
    ada = await createUser(t.app);
  });
  afterEach(() => void jest.restoreAllMocks());

  describe('through a network that breaks', () => {
    let proxy: TcpProxy;
    let far: TestApp;
    beforeAll(async () => {
      proxy = await startTcpProxy(Number(new URL(t.db.url).port));
      far = await startTestApp({
        url: t.db.url,
        auth: { cache: { enabled: true, url: proxy.url(t.db.url), maxStaleness: MAX_STALENESS, ttl: seconds(3600) } },
      });
    });
    afterAll(async () => {
      await far?.close();
      await proxy?.close();
    });
    const farChannel = () => far.app.get(InvalidationChannel);

    it('a silent cut: memory answers no longer than maxStaleness, and never what was ended before', async () => {
      const { token } = await sessions.create(ada.id);
      const find = () => far.app.get(SessionService).lookup(token);
      await until(() => farChannel().isCurrent);
      expect(await find()).not.toBeNull();
      proxy.cut();
      const cutAt = performance.now();
      await sessions.revokeAllForUser(ada.id);
      while ((await find()) !== null) await new Promise((next) => setImmediate(next));
      expect(performance.now() - cutAt).toBeLessThan(MAX_STALENESS + 1_000); // one that never expired would hang here
      expect(farChannel().isCurrent).toBe(false);
      proxy.heal();
      await until(() => farChannel().isCurrent);
      expect(await find()).toBeNull();
    });

    it('a reset: back by itself', async () => {
      await until(() => farChannel().isCurrent);
      proxy.reset();
      await until(() => !farChannel().isCurrent);
      await until(() => farChannel().isCurrent);
    });

    it('a pooler that swallows notifications is found out: nothing from memory, and the log names the remedy', async () => {
      const warn = jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
      await until(() => farChannel().isCurrent);
      proxy.swallowNotifications(true);
      await until(() => !farChannel().isCurrent);
      await until(() => warn.mock.calls.length > 0);
      expect(String(warn.mock.calls[0]![0])).toMatch(/pooler in transaction mode set cache\.url/);
      const { token } = await sessions.create(ada.id);
      expect(await far.app.get(SessionService).lookup(token)).not.toBeNull();
      await sessions.revokeAllForUser(ada.id);
      expect(await far.app.get(SessionService).lookup(token)).toBeNull();
      proxy.swallowNotifications(false);
      await until(() => farChannel().isCurrent);
    });
  });

  it('a listener that never gets through: the application starts, and reads the database', async () => {
    jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
    const proxy = await startTcpProxy(1);
    const lost = await startTestApp({ url: t.db.url, auth: { cache: { enabled: true, url: proxy.url(t.db.url) } } });
    expect(lost.app.get(InvalidationChannel).isCurrent).toBe(false);
    const { token } = await lost.app.get(SessionService).create(ada.id);
    expect(await lost.app.get(SessionService).lookup(token)).not.toBeNull();
    await lost.close();
    await proxy.close();
  });

  it.each<[string, (url: string) => string]>([
    ['another database of the server', (url) => Object.assign(new URL(url), { pathname: '/postgres' }).href],
    ['another server', () => otherServer.url],
  ])('a listener at %s is found out: nothing from memory', async (_, elsewhere) => {
    jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
    const cache = { enabled: true, url: elsewhere(t.db.url), maxStaleness: MAX_STALENESS };
    const astray = await startTestApp({ url: t.db.url, auth: { cache } });
    expect(astray.app.get(InvalidationChannel).isCurrent).toBe(false);
    await astray.close();
  });
  let otherServer: EmbeddedPostgres;
  beforeAll(async () => {
    otherServer = await startEmbeddedPostgres({ settings: SETTINGS });
  });
  afterAll(() => otherServer?.stop());

  it('a black hole: the application starts, gives up on each attempt, and hears as soon as it is gone', async () => {
    jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
    const proxy = await startTcpProxy(Number(new URL(t.db.url).port));
    proxy.cut();
    const lost = await startTestApp({
      url: t.db.url,
      auth: { cache: { enabled: true, url: proxy.url(t.db.url) } },
      override: (builder) =>
        builder.overrideProvider(InvalidationChannel).useFactory({
          factory: (statements: PreparedStatements, config: AuthConfig, names: SchemaNames) =>
            new Impatient(statements, config, names),
          inject: [PreparedStatements, AuthConfig, SchemaNames],
        }),
    });
    expect(lost.app.get(InvalidationChannel).isCurrent).toBe(false);
    proxy.heal();
    await until(() => lost.app.get(InvalidationChannel).isCurrent);
    await lost.close();
    await proxy.close();
  });
});
