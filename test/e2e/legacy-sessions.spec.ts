import { createRequire } from 'node:module';
import { Controller, Get } from '@nestjs/common';
import { describe, expect, it } from '@jest/globals';
import { days, hours, SessionService } from 'nestjs-latchkey';
import { expressSessions } from 'nestjs-latchkey/engine';
import request from 'supertest';
import { createUser, PLATFORMS, startTestApp, type Platform, type TestAppOptions } from '../support/app.js';
import { cleanupsAfterEach } from '../support/cleanups.js';
import { createTestDatabase } from '../support/database.js';
import { enrol, TWO_FACTOR } from '../support/two-factor.js';

/** What express-session signs with. */
const { sign } = createRequire(import.meta.url)('cookie-signature') as {
  readonly sign: (text: string, secret: string) => string;
};
const T0 = Date.UTC(2025, 0, 1);

@Controller()
class NotesController {
  @Get('guarded')
  guarded() {
    return { in: true };
  }
}

const cleanups = cleanupsAfterEach();

/** Sessions of express-session in the table `session`, one of which is Ada's. */
async function movedIn(platform: Platform, auth: TestAppOptions['auth'] = {}) {
  const db = await createTestDatabase();
  await db.query('CREATE TABLE session (sid varchar PRIMARY KEY, sess json NOT NULL, expire timestamp(6) NOT NULL)');
  const userId = (session: { readonly userId?: unknown }) => session.userId as string;
  const source = expressSessions({ secret: 'old', userId, authenticatedAt: () => T0 - days(3) });
  const t = await startTestApp({
    url: db.url,
    platform,
    controllers: [NotesController],
    auth: { legacySessions: { sources: [source], until: new Date(T0 + days(30)) }, ...auth },
  });
  cleanups.push(() => db.drop());
  cleanups.push(() => t.close());
  const ada = await createUser(t.app);
  await db.query(`INSERT INTO session VALUES ('sid', $1, to_timestamp($2))`, [
    JSON.stringify({ cookie: {}, userId: ada.id }),
    (T0 + hours(1)) / 1000,
  ]);
  return { t, db, ada, cookie: oldCookie('sid') };
}

const oldCookie = (sid: string) => `connect.sid=${encodeURIComponent(`s:${sign(sid, 'old')}`)}`;

// With the old libraries themselves, and every other source: `test/tools/legacy-sessions.spec.ts`.
describe.each(PLATFORMS)('sessions of another system, on %s', (platform) => {
  it('of 50 requests at once exactly one session is opened; it has the age of the old one, and the old one is gone', async () => {
    const { t, db, ada, cookie } = await movedIn(platform);
    const get = () => request(t.url).get('/guarded').set('Cookie', cookie);
    const answers = await Promise.all(Array.from({ length: 50 }, () => get()));
    const sessions = await t.app.get(SessionService).listForUser(ada.id);
    expect(sessions).toEqual([expect.objectContaining({ authenticatedAt: T0 - days(3) })]);
    expect(new Set(answers.flatMap((answer) => answer.get('Set-Cookie')?.[0] ?? [])).size).toBe(1);
    expect(answers.some(({ status }) => status === 200)).toBe(true);
    expect(await db.query('SELECT sid FROM session')).toEqual([]);
    await get().expect(401);
  });

  it('F11: that of a user who has a second factor opens nothing, and stays where it is', async () => {
    const { t, db, ada, cookie } = await movedIn(platform, TWO_FACTOR);
    const get = () => request(t.url).get('/guarded').set('Cookie', cookie);
    await enrol(t, ada);
    await t.app.get(SessionService).revokeAllForUser(ada.id);
    const answer = await get().expect(401);
    expect(answer.get('Set-Cookie') ?? []).not.toContainEqual(expect.stringMatching(/^__Host-session=./));
    expect(await t.app.get(SessionService).listForUser(ada.id)).toEqual([]);
    expect(await db.query('SELECT sid FROM session')).toEqual([{ sid: 'sid' }]);
    // Control: it was good but for that.
    await t.db.query('DELETE FROM auth_totp');
    await t.db.query('DELETE FROM auth_backup_codes');
    await get().expect(200);
  });

  it('what a foreign page embeds or fetches takes nothing over: the browser would not keep our cookie', async () => {
    const { t, db, ada, cookie } = await movedIn(platform);
    const get = (headers: Record<string, string>) =>
      request(t.url)
        .get('/guarded')
        .set({ Cookie: cookie, ...headers });
    const from = (mode: string, dest: string) => ({
      'Sec-Fetch-Site': 'cross-site',
      'Sec-Fetch-Mode': mode,
      'Sec-Fetch-Dest': dest,
    });
    for (const headers of [from('no-cors', 'image'), from('cors', 'empty'), from('navigate', 'iframe')]) {
      const refused = await get(headers).expect(401);
      expect(refused.get('Set-Cookie')).toBeUndefined();
    }
    expect(await db.query('SELECT sid FROM session')).toHaveLength(1);
    expect(await t.app.get(SessionService).listForUser(ada.id)).toEqual([]);
    // Negative control: a link on a foreign page, after which a Lax cookie stays.
    await get(from('navigate', 'document')).expect(200);
    expect(await db.query('SELECT sid FROM session')).toEqual([]);
  });

  it('a logout with many copies of an old cookie asks for a few', async () => {
    const { t, db, cookie } = await movedIn(platform);
    const many = Array.from({ length: 40 }, (_, i) => oldCookie(`other${i}`));
    const logout = (cookies: string[]) => request(t.url).post('/auth/logout').set('Cookie', cookies.join('; '));
    t.queries.reset();
    await logout(Array.from({ length: 40 }, () => cookie)).expect(200);
    expect(t.queries.statements.filter((text) => /DELETE/.test(text))).toHaveLength(1);
    expect(await db.query('SELECT sid FROM session')).toEqual([]);
    t.queries.reset();
    await logout(many).expect(200);
    expect(t.queries.statements.filter((text) => /DELETE/.test(text)).length).toBeLessThanOrEqual(5);
  });
});
