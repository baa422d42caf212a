import { Controller, Get } from '@nestjs/common';
import { afterEach, describe, expect, it } from '@jest/globals';
import { EphemeralTokenService, RateLimitService, SessionService } from 'nestjs-latchkey';
import { signInAs } from 'nestjs-latchkey/testing';
import request from 'supertest';
import { createUser, PASSWORD, PLATFORMS, startTestApp } from '../support/app.js';
import { createTestDatabase } from '../support/database.js';
import { until } from '../support/heard.js';
import { engineFor } from '../support/redis-engine.js';
import { startRedis, startRedisCluster } from '../support/redis-server.js';

@Controller()
class PagesController {
  @Get('guarded')
  guarded() {
    return { in: true };
  }
}

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

async function start(urls: readonly string[], platform = PLATFORMS[0], timeout?: number) {
  const db = await createTestDatabase();
  cleanups.push(() => db.drop());
  const t = await startTestApp({
    url: db.url,
    platform,
    controllers: [PagesController],
    auth: { engine: engineFor(db.url, urls, { timeout }) },
  });
  cleanups.push(() => t.close());
  return t;
}

describe.each(PLATFORMS)('an outage of Redis is not a logout, on %s', (platform) => {
  it.each([
    ['killed', 'SIGKILL'],
    ['frozen', 'SIGSTOP'],
  ])('%s: 503, promptly, and the cookie untouched; back: answers again without a restart', async (_, signal) => {
    const server = await startRedis({ appendonly: 'yes', appendfsync: 'always' });
    cleanups.push(() => server.stop());
    const t = await start([server.url], platform, 500);
    const ada = await createUser(t.app, 'ada@example.com');
    const [cookie, ended] = [await signInAs(t.app, ada.id), await signInAs(t.app, ada.id)];
    const get = (sent = cookie) => request(t.url).get('/guarded').set('Cookie', sent);
    await get().expect(200);
    await request(t.url).post('/auth/logout').set('Cookie', ended).expect(200);

    if (signal === 'SIGKILL') await server.kill();
    else process.kill(server.pid, signal);
    for (let i = 0; i < 3; i++) {
      const before = performance.now();
      const answer = await get().expect(503);
      expect(performance.now() - before).toBeLessThan(signal === 'SIGKILL' ? 400 : 1_000);
      expect(answer.body.code).toBe('STORE_UNAVAILABLE');
      expect(answer.headers['set-cookie']).toBeUndefined();
      expect(answer.headers['www-authenticate']).toBeUndefined();
    }
    await request(t.url).get('/guarded').expect(401);
    const login = request(t.url).post('/auth/login').send({ email: ada.email, password: PASSWORD });
    await login.expect(503);
    const logout = await request(t.url).post('/auth/logout').set('Cookie', cookie).expect(503);
    expect(logout.headers['set-cookie']).toBeUndefined();
    await expect(t.app.get(RateLimitService).consume('login_ip', '192.0.2.1')).rejects.toMatchObject({
      code: 'STORE_UNAVAILABLE',
    });
    const issue = t.app.get(EphemeralTokenService).issue('password_reset', { username: ada.email });
    await expect(issue).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });

    if (signal === 'SIGKILL') await server.restart();
    else process.kill(server.pid, 'SIGCONT');
    await until(async () => (await get()).status === 200);
    await get(ended).expect(401);
    await request(t.url).post('/auth/logout').set('Cookie', cookie).expect(200);
    await get().expect(401);
  });
});

describe('one of three masters dies under load', () => {
  it('no ended session is accepted, its slots are an outage, the others go on', async () => {
    const cluster = await startRedisCluster({ appendonly: 'yes', appendfsync: 'always' });
    cleanups.push(() => cluster.stop());
    const t = await start(cluster.urls);
    const sessions = t.app.get(SessionService);
    const users = await Promise.all(Array.from({ length: 24 }, (_, i) => createUser(t.app, `user${i}@example.com`)));
    const held: { token: string; id: string; userId: string; ending: boolean; over: boolean }[] = [];
    for (const { id: userId } of users) {
      for (let i = 0; i < 4; i++) {
        const { token, session } = await sessions.create(userId);
        held.push({ token, id: session.id, userId, ending: false, over: false });
      }
    }
    const seen = { live: 0, missing: 0, away: 0, wrong: [] as string[], slowest: 0 };
    const after = { live: 0, away: 0 };
    const state = { stops: false, killed: false };
    const reader = async () => {
      for (let i = 0; !state.stops; i++) {
        const one = held[(i * 7) % held.length]!;
        const wasOver = one.over;
        const before = performance.now();
        try {
          const found = await sessions.lookup(one.token);
          if (found && wasOver) seen.wrong.push('an ended session was accepted');
          if (!found && !one.ending) seen.wrong.push('a live session was answered as missing');
          seen[found ? 'live' : 'missing']++;
          if (state.killed && found) after.live++;
        } catch (error) {
          if ((error as { code?: string }).code !== 'STORE_UNAVAILABLE') seen.wrong.push(String(error));
          seen.away++;
          if (state.killed) after.away++;
        }
        seen.slowest = Math.max(seen.slowest, performance.now() - before);
      }
    };
    const ender = async () => {
      // Every second of them, with the kill in the middle.
      for (let i = 0; i < held.length; i += 2) {
        const one = held[i]!;
        one.ending = true;
        // Whether it was done is not known after a fault; then it counts as neither.
        const done = await sessions.revoke(one.id).then(
          () => true,
          () => null,
        );
        if (done) one.over = true;
        else held.splice(i--, 1);
        if (i > held.length / 2 && !state.killed) {
          state.killed = true;
          await cluster.servers[1]!.kill();
        }
        await new Promise((next) => setTimeout(next, 20));
      }
    };
    const readers = Array.from({ length: 8 }, reader);
    await ender();
    await until(() => after.live > 100 && after.away > 100);
    state.stops = true;
    await Promise.all(readers);
    expect(seen.wrong).toEqual([]);
    expect(seen.slowest).toBeLessThan(2_500);
    process.stderr.write(`one of three masters killed: ${JSON.stringify({ ...seen, after })}\n`);

    await cluster.servers[1]!.restart();
    await until(async () => {
      const answers = await Promise.allSettled(held.map(({ token }) => sessions.lookup(token)));
      return answers.every(({ status }) => status === 'fulfilled');
    });
    for (const { token, over } of held) expect((await sessions.lookup(token)) === null).toBe(over);
  });
});
