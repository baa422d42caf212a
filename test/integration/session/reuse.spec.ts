import { randomBytes } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { seconds, SessionService } from 'nestjs-latchkey';
import { startTestApp } from '../../support/app.js';
import { reusesDuring, reusesHeard } from '../../support/heard.js';
import { ada, rowOf, sessions, t, useSessions } from '../../support/session-service.js';

useSessions();

describe('R14: reuse of a rotated token after its grace', () => {
  const stolen = async () => {
    const old = await sessions.create(ada.id);
    const rotated = (await sessions.rotate(old.session, ada.id))!;
    t.clock.advance(seconds(30));
    return { old, rotated };
  };

  it('at the exact instant ends the session for everybody who has it, and tells of it', async () => {
    const { old, rotated } = await stolen();
    const other = await sessions.create(ada.id);
    const heard = await reusesDuring(t.app, async () => {
      expect(await sessions.lookup(old.token)).toBeNull();
      expect(await sessions.lookup(rotated.token)).toBeNull();
      expect(await sessions.lookup(old.token)).toBeNull();
    });
    expect(heard).toEqual([
      { type: 'session.reuse_detected', at: t.clock.now(), userId: ada.id, handle: old.session.handle },
    ]);
    expect(await sessions.lookup(other.token)).not.toBeNull();
    for (const secret of [old.token, rotated.token, old.session.id, rotated.session.id]) {
      expect(JSON.stringify(heard)).not.toContain(secret);
    }
  });

  it('of 20 that present it at once, in two processes, one tells', async () => {
    const { old } = await stolen();
    const other = await startTestApp({ url: t.db.url });
    other.clock.set(t.clock.now());
    const heard = reusesHeard(other.app);
    heard.push(
      ...(await reusesDuring(t.app, async () => {
        const services = [sessions, other.app.get(SessionService)];
        await Promise.all(Array.from({ length: 20 }, (_, i) => services[i % 2]!.lookup(old.token)));
      })),
    );
    expect(heard).toHaveLength(1);
    await other.close();
  });

  it('a token that was held since before is no reuse: refused, and the session lives on', async () => {
    const { old, rotated } = await stolen();
    const heard = await reusesDuring(t.app, async () => {
      expect(await sessions.lookup(old.token, { fromHandshake: true })).toBeNull();
    });
    expect(heard).toEqual([]);
    expect(await sessions.lookup(rotated.token)).not.toBeNull();
  });

  it('with rotationGrace 0 the old token is refused at once, and is reuse', async () => {
    const own = await startTestApp({ url: t.db.url, auth: { session: { rotationGrace: 0 } } });
    const service = own.app.get(SessionService);
    const heard = reusesHeard(own.app);
    const old = await service.create(ada.id);
    const results = await Promise.all(Array.from({ length: 5 }, () => service.rotate(old.session, ada.id)));
    expect(results.filter((result) => result !== null)).toHaveLength(1);
    expect((await rowOf(old.session.id))!['successor']).toBeNull();
    expect(heard).toEqual([]);
    expect(await service.lookup(old.token)).toBeNull();
    expect(heard).toHaveLength(1);
    expect(await service.listForUser(ada.id)).toEqual([]);
    await own.close();
  });

  it('a token that nobody ever rotated is no reuse (negative control)', async () => {
    const heard = await reusesDuring(t.app, async () => {
      const { token, session } = await sessions.create(ada.id);
      t.clock.set(session.expiresAt);
      expect(await sessions.lookup(token)).toBeNull();
      expect(await sessions.lookup(randomBytes(32).toString('base64url'))).toBeNull();
      t.clock.set(session.createdAt);
    });
    expect(heard).toEqual([]);
  });
});
