import { createHash } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { days, SessionService, type IssuedSession } from 'nestjs-latchkey';
import { DataSource } from 'typeorm';
import { createUser, startTestApp, type TestApp } from '../support/app.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { randomFrom } from '../support/random.js';

describe('R18: revoke against concurrent lookup, extend, rotate and login', () => {
  let db: TestDatabase;
  let t: TestApp;
  let sessions: SessionService;
  beforeAll(async () => {
    db = await createTestDatabase();
    t = await startTestApp({ url: db.url });
    sessions = t.app.get(SessionService);
  });
  afterAll(async () => {
    await t?.close();
    await db?.drop();
  });

  /**
   * Runs the operations on one session at once, in a random order and with random pauses, and reports every token that
   * authenticates although a revocation of it, or of all, had been answered before the lookup was sent.
   */
  async function interleave(seed: number, extend: (issued: IssuedSession) => Promise<unknown>): Promise<string[]> {
    const random = randomFrom(seed);
    const user = await createUser(t.app, `user${seed}-${extend === honest}@example.com`);
    const issued = await sessions.create(user.id);
    await db.query('UPDATE sessions SET expires_at = to_timestamp($2) WHERE id = $1', [
      issued.session.id,
      (t.clock.now() + days(1)) / 1000,
    ]);
    const session = { ...issued.session, expiresAt: t.clock.now() + days(1) };
    const violations: string[] = [];
    const successors: string[] = [];
    let revoked = false;
    let allRevoked = false;

    const look = async (token: string, dead: boolean, what: string) => {
      if ((await sessions.lookup(token)) && dead) violations.push(`${what} (seed ${seed})`);
    };
    const revokeAll = random() < 0.5;
    const operations = [
      async () => {
        if (revokeAll) await sessions.revokeAllForUser(user.id);
        else await sessions.revoke(issued.session.id);
        revoked = true;
        allRevoked = revokeAll;
      },
      ...Array.from({ length: 3 }, () => () => look(issued.token, revoked, 'a lookup after the revocation')),
      ...Array.from({ length: 3 }, () => () => extend({ ...issued, session })),
      ...Array.from({ length: 2 }, () => async () => {
        // A rotation that is asked for after the revocation was answered must find nothing to rotate.
        const [sentAfter, sentAfterAll] = [revoked, allRevoked];
        const rotated = await sessions.rotate(session, user.id);
        if (rotated && (sentAfter || sentAfterAll)) violations.push(`a rotation after the revocation (seed ${seed})`);
        if (rotated) successors.push(rotated.token);
      }),
      async () => void (await sessions.create(user.id)),
    ];
    await Promise.all(
      operations
        .map((operation) => ({ operation, order: random() }))
        .toSorted((a, b) => a.order - b.order)
        .map(async ({ operation }) => {
          for (let pauses = Math.floor(random() * 12); pauses > 0; pauses--) await setImmediate();
          await operation();
        }),
    );
    await look(issued.token, true, 'the revoked token at the end');
    if (revokeAll && successors.length > 0) {
      // Rotated before revokeAll: dead with it. Rotated after: impossible, there was nothing left to rotate.
      await look(successors[0]!, true, 'the successor of a session that revokeAll had ended');
    }
    return violations;
  }

  const honest = ({ session }: IssuedSession) => sessions.maybeExtend(session);

  it('200 random interleavings on real PostgreSQL never leave a revoked token valid', async () => {
    const violations: string[] = [];
    for (let seed = 1; seed <= 200; seed += 4) {
      violations.push(...(await Promise.all([0, 1, 2, 3].map((i) => interleave(seed + i, honest)))).flat());
    }
    expect(violations).toEqual([]);
  }, 60_000);

  it('the same checker catches a store that saves what it read (negative control)', async () => {
    const writesBack = async ({ token, session }: IssuedSession) => {
      const id = createHash('sha256').update(Buffer.from(token, 'base64url')).digest('hex');
      const pool = t.app.get(DataSource);
      const [row] = await pool.query<{ created_at: Date }[]>('SELECT * FROM sessions WHERE id = $1', [id]);
      if (!row) return;
      for (let handler = 0; handler < 200; handler++) await setImmediate(); // a request between reading and saving
      await pool.query(
        `INSERT INTO sessions (id, user_id, created_at, expires_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (id) DO UPDATE SET expires_at = excluded.expires_at`,
        [id, session.userId, row.created_at, new Date(t.clock.now() + days(30))],
      );
    };
    const violations: string[] = [];
    for (let seed = 1001; seed <= 1100 && violations.length === 0; seed++) {
      violations.push(...(await interleave(seed, writesBack)));
    }
    expect(violations.length).toBeGreaterThan(0);
  }, 60_000);
});
