import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, describe, expect, it } from '@jest/globals';
import { SessionService } from 'nestjs-latchkey';
import { redisEngine } from 'nestjs-latchkey/redis';
import { createUser, startTestApp } from '../support/app.js';
import { configFile, latchkeyProcess } from '../support/command.js';
import { createTestDatabase } from '../support/database.js';
import { engineFor, prefixFor } from '../support/redis-engine.js';

const undo: (() => unknown)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).toReversed()) await step();
});

async function cleanupWith(redisUrl: string, { migrated }: { migrated: boolean }) {
  const db = await createTestDatabase({ migrated });
  undo.push(() => db.drop());
  const redis = pathToFileURL(resolve('src/engines/redis/index.ts')).href;
  const config = configFile(
    `{ secrets: ['x'.repeat(40)], engine: (await import('${redis}')).redisEngine({ url: '${redisUrl}' }) }`,
  );
  undo.push(config.remove);
  return latchkeyProcess(['cleanup', '--config', config.path], { DATABASE_URL: db.url });
}

describe('the command, with the Redis engine', () => {
  it('Redis away: one line with its address and the remedy, no secret, exit 1', async () => {
    const { status, err } = await cleanupWith('redis://me:topsecret@127.0.0.1:1', { migrated: true });
    expect(err.trim().split('\n')).toHaveLength(1);
    expect(err).toContain('Redis at 127.0.0.1:1 did not answer. Is it running');
    expect(err).not.toContain('topsecret');
    expect(status).toBe(1);
  }, 40_000);

  it('ends also when the boot has failed beside a Redis that answers', async () => {
    const { status } = await cleanupWith(process.env['LATCHKEY_TEST_REDIS']!, { migrated: false });
    expect(status).toBe(1);
  }, 40_000);

  it("sessions revoke and cleanup end by themselves beside the host's own client, which stays open", async () => {
    const url = process.env['LATCHKEY_TEST_REDIS']!;
    const db = await createTestDatabase();
    undo.push(() => db.drop());
    const t = await startTestApp({ url: db.url, auth: { engine: engineFor(db.url, [url]) } });
    undo.push(() => t.close());
    t.clock.set(Date.now());
    const { id, email } = await createUser(t.app, 'ada@example.com');
    const { token } = await t.app.get(SessionService).create(id);
    const nodeRedis = pathToFileURL(createRequire(import.meta.url).resolve('redis')).href;
    const config = configFile(`async () => {
      const { createClient } = (await import('${nodeRedis}')).default;
      const { redisEngine } = await import('${pathToFileURL(resolve('src/engines/redis/index.ts')).href}');
      const client = await createClient({ url: '${url}' }).connect();
      return { secrets: ['x'.repeat(40)], engine: redisEngine(client, { prefix: '${prefixFor(db.url)}' }) };
    }`);
    undo.push(config.remove);
    const args = ['--config', config.path, '--database-url', db.url];
    const [revoked, cleaned] = await Promise.all([
      latchkeyProcess(['sessions', 'revoke', '--user', email, ...args]),
      latchkeyProcess(['cleanup', ...args]),
    ]);
    expect(revoked).toEqual({ status: 0, out: '1 session ended.\n', err: '' });
    expect(cleaned).toMatchObject({ status: 0, err: '' });
    expect(await t.app.get(SessionService).lookup(token)).toBeNull();
  }, 40_000);

  it.each([{ useReplicas: true }, { readonly: true }])('refuses %j, which reads what may be out of date', (option) => {
    const { useFactory } = redisEngine({ rootNodes: [{ url: 'redis://127.0.0.1:1' }], ...option }).providers[0] as {
      useFactory: () => unknown;
    };
    expect(useFactory).toThrow(expect.objectContaining({ code: 'INVALID_CONFIG' }));
  });
});
