import { describe, expect, it } from '@jest/globals';
import { days, minutes } from 'nestjs-latchkey';
import { ada, bob, sessions, t, useSessions } from '../../support/session-service.js';

useSessions();

it('an id that no user can have has no sessions', async () => {
  expect(await sessions.listForUser('nope')).toEqual([]);
  expect(await sessions.revokeAllForUser('nope')).toBe(0);
});

describe('revoke (T: 4.3)', () => {
  it('then not found; again, no error', async () => {
    const { token, session } = await sessions.create(ada.id);
    expect(await sessions.revoke(session.id)).toBe(true);
    expect(await sessions.lookup(token)).toBeNull();
    expect(await sessions.revoke(session.id)).toBe(false);
  });

  it('R3: an opaque session that was revoked is never accepted again', async () => {
    const { token, session } = await sessions.create(ada.id);
    expect(await sessions.revokeTokens([token, 'garbage', ''])).toEqual([{ userId: ada.id, handle: session.handle }]);
    for (const later of [0, minutes(1), days(29)]) {
      t.clock.advance(later);
      expect(await sessions.lookup(token)).toBeNull();
    }
  });

  it('malformed tokens cost no query', async () => {
    expect(await sessions.revokeTokens(['garbage', ''])).toEqual([]);
    expect(t.queries.statements).toEqual([]);
  });

  it("R16: by handle, the owner's only; a malformed handle costs no query", async () => {
    const { token, session } = await sessions.create(ada.id);
    expect(await sessions.revokeByHandle(bob.id, session.handle)).toBe(false);
    expect(await sessions.lookup(token)).not.toBeNull();
    t.queries.reset();
    expect(await sessions.revokeByHandle(ada.id, "' OR 1=1")).toBe(false);
    expect(t.queries.statements).toEqual([]);
    expect(await sessions.revokeByHandle(ada.id, session.handle.toUpperCase())).toBe(true);
    expect(await sessions.lookup(token)).toBeNull();
  });

  it('all of a user in one statement, but one where asked, and nobody else', async () => {
    const [kept, other] = [await sessions.create(ada.id), await sessions.create(ada.id)];
    const bobs = await sessions.create(bob.id);
    t.queries.reset();
    expect(await sessions.revokeAllForUser(ada.id, { except: kept.session })).toBe(1);
    expect(t.queries.statements).toHaveLength(1);
    expect(await sessions.lookup(other.token)).toBeNull();
    expect(await sessions.lookup(kept.token)).not.toBeNull();
    expect(await sessions.revokeAllForUser(ada.id)).toBe(1);
    expect(await sessions.revokeAllForUser(ada.id)).toBe(0);
    expect(await sessions.lookup(kept.token)).toBeNull();
    expect(await sessions.lookup(bobs.token)).not.toBeNull();
  });
});

describe('listForUser', () => {
  it('L5: shows no id, no token, no hash, and no dead session', async () => {
    const { token, session } = await sessions.create(ada.id, { ip: '203.0.113.7', userAgent: 'test' });
    await sessions.create(ada.id);
    await t.db.query(`UPDATE sessions SET expires_at = to_timestamp($2) WHERE user_id = $1 AND id <> $3`, [
      ada.id,
      t.clock.now() / 1000,
      session.id,
    ]);
    const listed = await sessions.listForUser(ada.id);
    expect(listed).toEqual([
      {
        handle: session.handle,
        createdAt: session.createdAt,
        lastSeenAt: session.lastSeenAt,
        authenticatedAt: session.authenticatedAt,
        aal: 1,
        amr: [],
        expiresAt: session.expiresAt,
        absoluteExpiresAt: session.absoluteExpiresAt,
        ip: '203.0.113.7',
        userAgent: 'test',
      },
    ]);
    expect(JSON.stringify(listed)).not.toContain(session.id);
    expect(JSON.stringify(listed)).not.toContain(token);
  });
});
