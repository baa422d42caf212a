import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { SessionService, type AuthUser } from 'nestjs-latchkey';
import { SessionStore } from 'nestjs-latchkey/engine';
import request from 'supertest';
import { createUser, PASSWORD, startTestApp, type TestApp } from '../support/app.js';
import { cookieOf, tokenOf } from '../support/cookies.js';
import { plantSession, storedText } from '../support/stored.js';

const vectors = JSON.parse(readFileSync('test/vectors/bangui-token.json', 'utf8')) as {
  previous_secret: string;
  valid: { secret: string; signed_token: string; signed_with_previous: string; db_token_hash: string }[];
  invalid: { name: string; value: string }[];
};
const { secret } = vectors.valid[0]!;

describe("session: { tokenFormat: 'signed' } (T: 5.3, rotation)", () => {
  let t: TestApp;
  let ada: AuthUser;
  beforeAll(async () => {
    t = await start([secret, vectors.previous_secret]);
    ada = await createUser(t.app, 'ada@example.com');
    for (const { db_token_hash } of vectors.valid) {
      await plantSession(t.app, t.db, db_token_hash, ada.id);
    }
  });
  afterAll(() => t?.close());

  const start = (secrets: string[], url?: string) =>
    startTestApp({
      url,
      auth: { secrets, session: { tokenFormat: 'signed' }, cookie: { name: 'bangui_session', hostPrefix: false } },
    });
  const session = (app: TestApp, token: string) =>
    request(app.url).get('/auth/session').set('Cookie', `bangui_session=${token}`);

  it('a row and a token of the source system are a session here', async () => {
    for (const { signed_token } of vectors.valid) await session(t, signed_token).expect(200);
  });

  it('T: a token of the previous secret is accepted while it is set, refused after, and a third one never', async () => {
    const { signed_with_previous } = vectors.valid[1]!;
    await session(t, signed_with_previous).expect(200);
    const rotated = await start([secret], t.db.url);
    await session(rotated, signed_with_previous).expect(401);
    await rotated.close();
    const third = await start(['a third secret that is long enough: 0123456'], t.db.url);
    await session(third, signed_with_previous).expect(401);
    await third.close();
  });

  it.each(vectors.invalid)('T: refused without a query: $name', async ({ value }) => {
    t.queries.reset();
    await session(t, value).expect(401);
    expect(t.queries.statements).toEqual([]);
  });

  it('T: logout with a token of the previous secret deletes the row', async () => {
    const { signed_with_previous, db_token_hash } = vectors.valid[2]!;
    await request(t.url).post('/auth/logout').set('Cookie', `bangui_session=${signed_with_previous}`).expect(200);
    expect(await t.app.get(SessionStore).find(db_token_hash)).toBeNull();
  });

  it('T: new logins are signed with the new secret; the raw token is not in the row', async () => {
    const answer = await request(t.url)
      .post('/auth/login')
      .send({ email: 'ada@example.com', password: PASSWORD })
      .expect(200);
    expect(cookieOf(answer)).toMatch(/^bangui_session=[0-9a-f]{64}\.[0-9a-f]{64}$/);
    const current = await start([secret], t.db.url);
    await session(current, tokenOf(answer)).expect(200);
    await current.close();
    const rows = await storedText(t.db, 'sessions');
    expect(rows).toContain(t.app.get(SessionService).idOf(tokenOf(answer)));
    expect(rows).not.toContain(tokenOf(answer).slice(0, 64));
  });

  it('R33: the hash and the raw text are no tokens', async () => {
    const { token, session: opened } = await t.app.get(SessionService).create(ada.id);
    for (const value of [opened.id, token.slice(0, 64), `${opened.id}.${token.slice(65)}`])
      await session(t, value).expect(401);
    await session(t, token).expect(200);
  });
});
