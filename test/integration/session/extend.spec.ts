import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { days, seconds } from 'nestjs-latchkey';
import { ada, rowOf, sessions, t, useSessions } from '../../support/session-service.js';

useSessions();

describe('maybeExtend (T: 4.3)', () => {
  let start: number;
  beforeEach(() => {
    start = t.clock.now();
  });
  afterEach(() => t.clock.set(start));

  it.each([
    ['7 d 0 s left: no write', days(7), false],
    ['6 d 23 h 59 m 59 s left: one write, expiry = now + 30 d', days(7) - seconds(1), true],
    ['29 d left: no write', days(29), false],
  ])('%s', async (_, left, extends_) => {
    const { session, token } = await sessions.create(ada.id);
    t.clock.set(session.expiresAt - left);
    const { session: found } = (await sessions.lookup(token))!;
    t.queries.reset();
    const extended = await sessions.maybeExtend(found);
    expect(t.queries.statements).toHaveLength(extends_ ? 1 : 0);
    expect(extended?.expiresAt).toBe(extends_ ? t.clock.now() + days(30) : undefined);
    expect((await sessions.lookup(token))?.session.expiresAt).toBe(extended?.expiresAt ?? session.expiresAt);
  });

  it('an active session ends with its absolute lifetime, at the exact instant', async () => {
    const { token, session } = await sessions.create(ada.id);
    for (let day = 1; day < 90; day++) {
      t.clock.set(session.createdAt + days(day));
      const found = await sessions.lookup(token);
      expect(found).not.toBeNull();
      await sessions.maybeExtend(found!.session);
    }
    t.clock.set(session.absoluteExpiresAt - 0.001);
    expect(await sessions.lookup(token)).not.toBeNull();
    t.clock.set(session.absoluteExpiresAt);
    expect(await sessions.lookup(token)).toBeNull();
  });

  it('near its absolute lifetime it does not write on every request', async () => {
    const { token, session } = await sessions.create(ada.id);
    await t.db.query('UPDATE sessions SET expires_at = absolute_expires_at WHERE id = $1', [session.id]);
    t.clock.set(session.createdAt + days(89));
    const found = await sessions.lookup(token);
    t.queries.reset();
    expect(await sessions.maybeExtend(found!.session)).toBeNull();
    expect(t.queries.statements).toEqual([]);
  });

  it('a session revoked since it was read is not brought back', async () => {
    const { session } = await sessions.create(ada.id);
    t.clock.advance(days(24));
    await sessions.revoke(session.id);
    expect(await sessions.maybeExtend(session)).toBeNull();
    expect(await rowOf(session.id)).toBeUndefined();
  });
});
