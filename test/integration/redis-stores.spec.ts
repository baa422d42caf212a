import { describe, expect } from '@jest/globals';
import { EphemeralTokenStore, RateLimitStore, SessionStore } from 'nestjs-latchkey/engine';
import { userKey } from '../../src/invalidation/user-key.js';
import { ephemeralTokenStoreContract } from '../contract/ephemeral-token-store.contract.js';
import { rateLimitStoreContract } from '../contract/rate-limit-store.contract.js';
import { sessionStoreContract } from '../contract/session-store.contract.js';
import { createUser, startTestApp } from '../support/app.js';
import { createTestDatabase } from '../support/database.js';
import { engineFor, lookInto, prefixFor } from '../support/redis-engine.js';
import { startRedis, startRedisCluster } from '../support/redis-server.js';

async function start(startServers: () => Promise<{ urls: readonly string[]; stop(): Promise<void> }>) {
  const [db, servers] = await Promise.all([createTestDatabase(), startServers()]);
  const t = await startTestApp({ url: db.url, auth: { engine: engineFor(db.url, servers.urls) } });
  const eyes = await lookInto(servers.urls, prefixFor(db.url));
  const close = async () => {
    await t.close();
    eyes.close();
    await Promise.all([db.drop(), servers.stop()]);
  };
  return { db, t, eyes, close };
}

const SERVERS: [string, () => Promise<{ urls: readonly string[]; stop(): Promise<void> }>][] = [
  [
    'one Redis',
    async () => {
      const server = await startRedis();
      return { urls: [server.url], stop: () => server.stop() };
    },
  ],
  ['a cluster of three', () => startRedisCluster()],
];

describe.each(SERVERS)('%s', (name, servers) => {
  sessionStoreContract(name, async () => {
    const { t, eyes, close } = await start(servers);
    const [ada, bob] = [await createUser(t.app, 'ada@example.com'), await createUser(t.app, 'bob@example.com')];
    const count = async (userId: string, isMeant: (rotatedAt: string) => boolean) => {
      const [hash] = await eyes.hashes(`u:${userKey(userId)}`);
      return Object.values(hash?.[1] ?? {}).filter((row) => isMeant(row.split('\n')[0]!.split(' ')[6]!)).length;
    };
    return {
      store: t.app.get(SessionStore),
      ada: ada.id,
      bob: bob.id,
      unknownUser: '00000000-0000-4000-8000-00000000dead',
      count: (userId) => count(userId, (rotatedAt) => rotatedAt === '~'),
      countRotated: (userId) => count(userId, (rotatedAt) => rotatedAt !== '~'),
      close: async () => {
        expect((await eyes.ttls()).filter(([, ttl]) => ttl < 0)).toEqual([]);
        await close();
      },
    };
  });

  ephemeralTokenStoreContract(name, async () => {
    const { t, eyes, close } = await start(servers);
    return {
      store: t.app.get(EphemeralTokenStore),
      count: async () => (await eyes.hashes('a:')).reduce((sum, [, rows]) => sum + Object.keys(rows).length, 0),
      clear: () => eyes.clear(),
      close: async () => {
        expect((await eyes.ttls()).filter(([, ttl]) => ttl < 0)).toEqual([]);
        await close();
      },
    };
  });

  rateLimitStoreContract(name, async () => {
    const { t, eyes, close } = await start(servers);
    return {
      store: t.app.get(RateLimitStore),
      clear: () => eyes.clear(),
      close: async () => {
        expect((await eyes.ttls()).filter(([, ttl]) => ttl < 0)).toEqual([]);
        await close();
      },
    };
  });
});
