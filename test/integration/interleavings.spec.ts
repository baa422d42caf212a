import { createHash } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { days, seconds, SessionService, type AuthEvent, type IssuedSession } from 'nestjs-latchkey';
import { DataSource } from 'typeorm';
import { createUser } from '../support/app.js';
import { sharedTestApp } from '../support/shared-app.js';
import { reusesHeard } from '../support/heard.js';
import { RACES } from '../support/long.js';
import { randomFrom } from '../support/random.js';

describe('R18: revoke against concurrent lookup, extend, rotate and login', () => {
  const t = sharedTestApp();
  let sessions: SessionService;
  let heard: AuthEvent[];
  beforeAll(() => {
    sessions = t.app.get(SessionService);
    heard = reusesHeard(t.app);
  });

  /**
   * Runs the operations on one session at once, in a random order and with random pauses, and reports every token that
   * authenticates although a revocation of it, or of all, had been answered before the lookup was sent.
   */
  async function interleave(seed: number, extend: (issued: IssuedSession) => Promise<unknown>): Promise<string[]> {
    const random = randomFrom(seed);
    const user = await createUser(t.app, `user${seed}-${extend === honest}@example.com`);
    const issued = await sessions.create(user.id);
    await t.db.query('UPDATE sessions SET expires_at = to_timestamp($2) WHERE id = $1', [
      issued.session.id,
      (t.clock.now() + days(1)) / 1000,
    ]);
    const session = { ...issued.session, expiresAt: t.clock.now() + days(1) };
    const violations: string[] = [];
    /** Every token that the session ever had: the model of it is that they all live, or all are dead. */
    const tokens = [issued.token];
    const learn = (token: string | undefined) => {
      if (token !== undefined && !tokens.includes(token)) tokens.push(token);
    };
    let revoked = false;

    const look = async (token: string, dead: boolean, what: string) => {
      const found = await sessions.lookup(token);
      if (found && dead) violations.push(`${what} (seed ${seed})`);
      learn(found?.successor);
      return found;
    };
    const oneOf = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!;
    const revocations = [
      () => sessions.revokeAllForUser(user.id),
      () => sessions.revoke(issued.session.id),
      () => sessions.revokeByHandle(user.id, issued.session.handle),
      () => sessions.revokeTokens([issued.token]), // the logout of a tab, whichever of the tokens it has
      () => sessions.revokeTokens([oneOf(tokens)]),
    ];
    const revoke = oneOf(revocations);
    const operations = [
      async () => {
        await revoke();
        revoked = true;
      },
      ...Array.from({ length: 3 }, () => () => look(issued.token, revoked, 'a lookup after the revocation')),
      ...Array.from({ length: 3 }, () => async () => {
        const found = await look(oneOf(tokens), revoked, 'a lookup of any of its tokens after the revocation');
        if (found) await sessions.maybeExtend(found.session);
      }),
      ...Array.from({ length: 3 }, () => () => extend({ ...issued, session })),
      ...Array.from({ length: 3 }, (_, i) => async () => {
        // A rotation that is asked for after the revocation was answered must find nothing to rotate.
        const sentAfter = revoked;
        const found = i === 0 ? { session } : await look(oneOf(tokens), revoked, 'a lookup before a rotation');
        const rotated = found && (await sessions.rotate(found.session, user.id));
        if (rotated && sentAfter) violations.push(`a rotation after the revocation (seed ${seed})`);
        learn(rotated?.token);
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
    // Rotated before the revocation: dead with it. Rotated after: impossible, there was nothing left to rotate.
    for (const token of tokens) await look(token, true, 'a token of the revoked session at the end');
    rotations += tokens.length - 1;
    return violations;
  }

  let rotations = 0;
  const honest = ({ session }: IssuedSession) => sessions.maybeExtend(session);

  it('random interleavings on real PostgreSQL never leave a revoked token valid', async () => {
    const violations: string[] = [];
    for (let seed = 1; seed <= 2 * RACES; seed += 4) {
      violations.push(...(await Promise.all([0, 1, 2, 3].map((i) => interleave(seed + i, honest)))).flat());
    }
    expect(violations).toEqual([]);
    expect(rotations).toBeGreaterThan(RACES);
    expect(heard).toEqual([]);
  }, 60_000);

  it('without a revocation every tab stays logged in, by whichever of the tokens (negative control)', async () => {
    const random = randomFrom(7);
    for (let run = 0; run < 20; run++) {
      const user = await createUser(t.app, `tabs${run}@example.com`);
      const first = await sessions.create(user.id);
      const tabs = Array.from({ length: 6 }, () => first.token);
      for (let step = 0; step < 5; step++) {
        t.clock.advance(seconds(random() * 2));
        await Promise.all(
          tabs.map(async (token, tab) => {
            for (let pauses = Math.floor(random() * 12); pauses > 0; pauses--) await setImmediate();
            const found = await sessions.lookup(token);
            expect(found).not.toBeNull();
            const rotated = random() < 0.5 ? await sessions.rotate(found!.session, user.id) : null;
            tabs[tab] = rotated?.token ?? found!.successor ?? token;
          }),
        );
      }
      expect(await sessions.listForUser(user.id)).toHaveLength(1);
    }
    expect(heard).toEqual([]);
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
