import { beforeEach, describe, expect, it } from '@jest/globals';
import { AuthTransaction, PostgresUserDirectory } from 'nestjs-latchkey';
import { PasswordAttemptStore } from 'nestjs-latchkey/engine';
import { createUser } from '../support/app.js';
import { sharedTestApp } from '../support/shared-app.js';

const LIMITS = { limit: 100, reserved: 10 };
const HOME = { digests: ['home'], isKnownDevice: false };
const ELSEWHERE = { digests: ['elsewhere'], isKnownDevice: false };
const DEVICE = { digests: [], isKnownDevice: true };

describe('PostgresPasswordAttemptStore', () => {
  const t = sharedTestApp();
  const store = () => t.app.get(PasswordAttemptStore);
  let subject: string;
  beforeEach(async () => void (subject = (await createUser(t.app)).id));

  const count = (place = ELSEWHERE) => store().count(subject, place, LIMITS);
  const counted = async (times: number, place = ELSEWHERE) => {
    for (let i = 0; i < times; i++) await count(place);
  };
  const places = async () => {
    const rows = await t.db.query<{ known_places: string[] }>(
      'SELECT known_places FROM auth_password_attempts WHERE user_id = $1',
      [subject],
    );
    return rows[0]?.known_places;
  };

  it('H14: of 300 attempts at once, exactly as many as the limit are judged', async () => {
    const all = await Promise.all(Array.from({ length: 300 }, () => count()));
    expect(all.filter(({ isJudged }) => isJudged)).toHaveLength(100);
    expect(all.filter(({ isJudged, failures }) => isJudged && failures === 100)).toHaveLength(1);
  });

  it('H14: with a known place, of 300 strangers at once 90 are judged, and of 30 from there 10', async () => {
    await store().reset(subject, HOME);
    const judged = async (places: object[]) => {
      const all = await Promise.all(places.map((place) => count(place as typeof HOME)));
      return all.filter(({ isJudged }) => isJudged).length;
    };
    expect(await judged(Array.from({ length: 300 }, () => ELSEWHERE))).toBe(90);
    expect(await judged(Array.from({ length: 30 }, (_, i) => (i % 2 ? HOME : DEVICE)))).toBe(10);
    expect(await judged([HOME, DEVICE, ELSEWHERE])).toBe(0);
  });

  it('H14: also where the address of the login was unknown', async () => {
    await store().reset(subject, { digests: [], isKnownDevice: false });
    await counted(95);
    expect(await count()).toEqual({ isJudged: false, failures: 90, limit: 90 });
    expect(await count(DEVICE)).toEqual({ isJudged: true, failures: 91, limit: 100 });
  });

  it('H14: what is taken back can be used once more, and never becomes credit', async () => {
    await counted(100);
    await store().refund(subject);
    expect((await Promise.all([count(), count()])).filter(({ isJudged }) => isJudged)).toHaveLength(1);
    await store().reset(subject, HOME);
    await store().refund(subject);
    expect(await count(HOME)).toMatchObject({ failures: 1 });
  });

  it('H14: the latest ten places are known, each once, under the current key', async () => {
    for (let i = 0; i < 12; i++) await store().reset(subject, { digests: [`place ${i}`], isKnownDevice: false });
    await store().reset(subject, { digests: ['new key', 'place 5'], isKnownDevice: false });
    expect(await places()).toEqual(['new key', ...[11, 10, 9, 8, 7, 6, 4, 3, 2].map((i) => `place ${i}`)]);
    await store().reset(subject, { digests: ['place 6'], isKnownDevice: false });
    expect((await places())!.slice(0, 3)).toEqual(['place 6', 'new key', 'place 11']);
    expect(await places()).toHaveLength(10);
  });

  it('H14: a new password and the end of the account forget them, whoever is behind it; other changes do not', async () => {
    await counted(100);
    await t.db.query(`CREATE ROLE latchkey_other_program_${subject.slice(0, 8)}`);
    try {
      const role = `latchkey_other_program_${subject.slice(0, 8)}`;
      await t.db.query(`GRANT SELECT, UPDATE ON users TO ${role}`);
      await t.db.query(`UPDATE users SET password_hash = password_hash, email = 'x' || email WHERE id = $1`, [subject]);
      expect(await count()).toMatchObject({ isJudged: false });
      await t.db.query(`SET ROLE ${role}; UPDATE users SET password_hash = 'new' WHERE id = '${subject}'; RESET ROLE`);
      expect(await count()).toMatchObject({ isJudged: true, failures: 1 });
    } finally {
      await t.db.query(`DROP OWNED BY latchkey_other_program_${subject.slice(0, 8)}`);
      await t.db.query(`DROP ROLE latchkey_other_program_${subject.slice(0, 8)}`);
    }
    await t.db.query('DELETE FROM users WHERE id = $1', [subject]);
    expect(await t.db.query('SELECT * FROM auth_password_attempts WHERE user_id = $1', [subject])).toEqual([]);
  });

  it('H14: a new password that is rolled back forgets nothing, and a count survives a rollback', async () => {
    const transactions = t.app.get(AuthTransaction);
    const undone = new Error('undone');
    await counted(99);
    await transactions
      .run(async () => {
        await count();
        throw undone;
      })
      .catch((error: unknown) => expect(error).toBe(undone));
    expect(await count()).toMatchObject({ isJudged: false });
    await transactions
      .run(async () => {
        await t.app.get(PostgresUserDirectory).setPassword(subject, 'another good password');
        throw undone;
      })
      .catch((error: unknown) => expect(error).toBe(undone));
    expect(await count()).toMatchObject({ isJudged: false });
  });

  it('H14: forgets on request', async () => {
    await counted(3);
    expect(await store().forget(subject)).toBe(true);
    expect(await store().forget(subject)).toBe(false);
  });
});
