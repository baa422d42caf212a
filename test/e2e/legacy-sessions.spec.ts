import { createRequire } from 'node:module';
import { Controller, Get } from '@nestjs/common';
import { describe, expect, it } from '@jest/globals';
import { days, hours, SessionService } from 'nestjs-latchkey';
import { expressSessions } from 'nestjs-latchkey/engine';
import request from 'supertest';
import { createUser, PLATFORMS, startTestApp } from '../support/app.js';
import { cleanupsAfterEach } from '../support/cleanups.js';
import { createTestDatabase } from '../support/database.js';

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

// With the old libraries themselves, and every other source: `test/tools/legacy-sessions.spec.ts`.
describe.each(PLATFORMS)('sessions of another system, on %s', (platform) => {
  it('of 50 requests at once exactly one session is opened; it has the age of the old one, and the old one is gone', async () => {
    const db = await createTestDatabase();
    await db.query('CREATE TABLE session (sid varchar PRIMARY KEY, sess json NOT NULL, expire timestamp(6) NOT NULL)');
    const userId = (session: { readonly userId?: unknown }) => session.userId as string;
    const source = expressSessions({ secret: 'old', userId, authenticatedAt: () => T0 - days(3) });
    const t = await startTestApp({
      url: db.url,
      platform,
      controllers: [NotesController],
      auth: { legacySessions: { sources: [source], until: new Date(T0 + days(30)) } },
    });
    cleanups.push(() => db.drop());
    cleanups.push(() => t.close());
    const ada = await createUser(t.app);
    await db.query(`INSERT INTO session VALUES ('sid', $1, to_timestamp($2))`, [
      JSON.stringify({ cookie: {}, userId: ada.id }),
      (T0 + hours(1)) / 1000,
    ]);
    const cookie = `connect.sid=${encodeURIComponent(`s:${sign('sid', 'old')}`)}`;
    const get = () => request(t.url).get('/guarded').set('Cookie', cookie);
    const answers = await Promise.all(Array.from({ length: 50 }, () => get()));
    const sessions = await t.app.get(SessionService).listForUser(ada.id);
    expect(sessions).toEqual([expect.objectContaining({ authenticatedAt: T0 - days(3) })]);
    expect(new Set(answers.flatMap((answer) => answer.get('Set-Cookie')?.[0] ?? [])).size).toBe(1);
    expect(answers.some(({ status }) => status === 200)).toBe(true);
    expect(await db.query('SELECT sid FROM session')).toEqual([]);
    await get().expect(401);
  });
});
