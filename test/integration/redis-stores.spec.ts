import { describe, expect, it } from '@jest/globals';
import { SessionService } from 'nestjs-latchkey';
import { EphemeralTokenStore, RateLimitStore } from 'nestjs-latchkey/engine';
import { userKey } from '../../src/invalidation/user-key.js';
import { ephemeralTokenStoreContract } from '../contract/ephemeral-token-store.contract.js';
import { rateLimitStoreContract } from '../contract/rate-limit-store.contract.js';
import { sessionStoreContract } from '../contract/session-store.contract.js';
import { createUser, startTestApp } from '../support/app.js';
import { createTestDatabase } from '../support/database.js';
import { engineFor, lookInto, prefixFor } from '../support/redis-engine.js';
import { DEPLOYMENTS, type RedisServers } from '../support/redis-server.js';
import { sessionStoreOf } from '../support/session-stores.js';

async function start(startServers: () => Promise<RedisServers>) {
  const [db, servers] = await Promise.all([createTestDatabase(), startServers()]);
  const t = await startTestApp({ url: db.url, auth: { engine: engineFor(db.url, servers.urls) } });
  const eyes = await lookInto(servers.urls, prefixFor(db.url));
  /** Nothing is kept without an expiry, whatever was done. */
  const close = async () => {
    expect((await eyes.ttls()).filter(([, ttl]) => ttl < 0)).toEqual([]);
    await t.close();
    eyes.close();
    await Promise.all([db.drop(), servers.stop()]);
  };
  return { t, eyes, close };
}

describe.each(DEPLOYMENTS)('%s', (name, servers) => {
  sessionStoreContract(name, async () => {
    const { t, eyes, close } = await start(servers);
    const count = async (userId: string, isMeant: (rotatedAt: string) => boolean) => {
      const [hash] = await eyes.hashes(`u:${userKey(userId)}`);
      return Object.values(hash?.[1] ?? {}).filter((row) => isMeant(row.split('\n')[0]!.split(' ')[6]!)).length;
    };
    return {
      ...(await sessionStoreOf(t)),
      count: (userId) => count(userId, (rotatedAt) => rotatedAt === '~'),
      countRotated: (userId) => count(userId, (rotatedAt) => rotatedAt !== '~'),
      close,
    };
  });

  it('a row of the version before, which knows of no choice to be remembered, is found and rotated', async () => {
    const { t, eyes, close } = await start(servers);
    const { id } = await createUser(t.app);
    const sessions = t.app.get(SessionService);
    const { token, session } = await sessions.create(id);
    const rowsOfUser = `u:${userKey(id)}`;
    await eyes.rewrite(rowsOfUser, (row) => row.replace(/^(\S+(?: \S+){7}) \S+\n/, '$1\n'));
    const [hash] = await eyes.hashes(rowsOfUser);
    expect(Object.values(hash![1]).map((row) => row.split('\n')[0]!.split(' ').length)).toEqual([8]);
    expect((await sessions.lookup(token))!.session).toEqual(session);
    const rotated = (await sessions.rotate(session, id))!;
    expect(rotated.session.handle).toBe(session.handle);
    expect(rotated.session).not.toHaveProperty('remembered');
    await close();
  });

  it('a row of the version before, which knows of no proofs, has one factor; what a process of that version rotates too', async () => {
    const { t, eyes, close } = await start(servers);
    const { id } = await createUser(t.app);
    const sessions = t.app.get(SessionService);
    const { token, session } = await sessions.create(id, { aal: 2, amr: ['password', 'totp'] });
    expect((await sessions.lookup(token))!.session).toMatchObject({ aal: 2, amr: ['password', 'totp'] });
    const rotated = (await sessions.rotate(session, id))!;
    expect(rotated.session).toMatchObject({ aal: 2, amr: ['password', 'totp'] });
    await eyes.rewrite(`u:${userKey(id)}`, (row) => row.replace(/,2,\["password","totp"\]\]/, ']'));
    expect((await sessions.lookup(rotated.token))!.session).toMatchObject({ aal: 1, amr: [] });
    expect((await sessions.rotate(rotated.session, id))!.session).toMatchObject({ aal: 1, amr: [] });
    await close();
  });

  ephemeralTokenStoreContract(name, async () => {
    const { t, eyes, close } = await start(servers);
    return {
      store: t.app.get(EphemeralTokenStore),
      count: async () => (await eyes.hashes('a:')).reduce((sum, [, rows]) => sum + Object.keys(rows).length, 0),
      clear: () => eyes.clear(),
      close,
    };
  });

  rateLimitStoreContract(name, async () => {
    const { t, eyes, close } = await start(servers);
    return {
      store: t.app.get(RateLimitStore),
      clear: () => eyes.clear(),
      close,
    };
  });
});
