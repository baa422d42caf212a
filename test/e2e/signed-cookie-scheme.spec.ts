import { createHash, createHmac } from 'node:crypto';
import { deflateSync } from 'node:zlib';
import { Controller, Get, Post, Res } from '@nestjs/common';
import { beforeEach, describe, expect, it } from '@jest/globals';
import {
  CurrentUser,
  days,
  hours,
  seconds,
  TokenRevocationService,
  PostgresUserDirectory,
  type AuthUser,
} from 'nestjs-latchkey';
import { SessionCookie, SignedCookieSession } from 'nestjs-latchkey/engine';
import { LoginService } from 'nestjs-latchkey/flows';
import { signInAs } from 'nestjs-latchkey/testing';
import request from 'supertest';
import { selfContainedLoginContract } from '../contract/self-contained-login.contract.js';
import { createUser, PASSWORD, PLATFORMS, SECRET } from '../support/app.js';
import { OpenHandlers } from '../support/open-handlers.js';
import { sharedTestApp } from '../support/shared-app.js';
import { cookieOf } from '../support/cookies.js';
import { storedText } from '../support/stored.js';

@Controller()
class PagesController extends OpenHandlers {
  constructor(private readonly cookie: SessionCookie) {
    super();
  }

  @Get('me')
  me(@CurrentUser('email') email: string) {
    return { email };
  }

  @Post('own-clear')
  ownClear(@Res({ passthrough: true }) response: { header(name: string, value: string): void }) {
    response.header('Set-Cookie', this.cookie.clear());
    return {};
  }

  @Post('own-logout')
  ownLogout(@Res({ passthrough: true }) response: { header(name: string, value: string): void }) {
    response.header('X-Auth-Cookie-Set', '1');
    return {};
  }
}

/** What the Python system (itsdangerous) would send: made here from the rules of the format alone. */
function pythonCookie(sub: string, issuedAt: number, ttl: number): string {
  const time = (instant: number) => new Date(instant).toISOString().replace('.000Z', 'Z');
  const json = JSON.stringify({
    sub,
    email: null,
    name: null,
    provider_id: 'basic',
    issued_at: time(issuedAt),
    expires_at: time(issuedAt + ttl),
  });
  const payload = `.${deflateSync(json).toString('base64url')}`;
  const timestamp = Buffer.alloc(4);
  timestamp.writeUInt32BE(Math.floor(issuedAt / 1000));
  const signed = `${payload}.${timestamp.toString('base64url')}`;
  const key = createHash('sha1').update('reflow-session-v1').update('signer').update(SECRET).digest();
  return `${signed}.${createHmac('sha1', key).update(signed).digest('base64url')}`;
}

describe.each(PLATFORMS)("session: { scheme: 'signed-cookie' } on %s", (platform) => {
  const t = sharedTestApp({
    platform,
    controllers: [PagesController],
    auth: {
      session: { scheme: 'signed-cookie', ttl: hours(1), extendBelow: 0, absoluteLifetime: hours(3) },
      cookie: { name: 'reflow_session', hostPrefix: false },
    },
  });
  let ada: AuthUser;
  let accounts = 0;
  beforeEach(async () => {
    t.clock.set(Date.UTC(2025, 0, 1) + days(++accounts));
    ada = await createUser(t.app, `ada${accounts}@example.com`);
  });

  const get = (path: string, cookie: string) => request(t.url).get(path).set('Cookie', cookie);
  const login = () => request(t.url).post('/auth/login').send({ email: ada.email, password: PASSWORD }).expect(200);

  it('T: login ok: 200 and the cookie; me 200 after it, 401 without it; no row is written', async () => {
    const answer = await login();
    expect(answer.get('Set-Cookie')![0]).toMatch(
      /^reflow_session=\.[\w.-]+; Max-Age=3600; Path=\/; HttpOnly; Secure; SameSite=Lax$/,
    );
    expect(answer.headers['x-auth-cookie-set']).toBe('1');
    expect((await get('/me', cookieOf(answer)).expect(200)).body).toEqual({ email: ada.email });
    await request(t.url).get('/me').expect(401);
    expect(await storedText(t.db, 'sessions')).toBe('');
  });

  it('R18: a logout with a cookie that was rotated, once or often, ends the one in force; a second one changes nothing', async () => {
    for (const times of [1, 5]) {
      const old = await signInAs(t.app, ada.id);
      const other = await signInAs(t.app, ada.id);
      let current = old;
      for (let i = 0; i < times; i++) current = await rotated(current);
      await get('/me', current).expect(200);
      await request(t.url).post('/auth/logout').set('Cookie', old).expect(200);
      await get('/me', current).expect(401);
      await request(t.url).post('/auth/logout').set('Cookie', old).expect(200);
      const listed = await t.db.query('SELECT jti FROM revoked_tokens ORDER BY jti');
      await request(t.url).post('/auth/logout').set('Cookie', old).expect(200);
      expect(await t.db.query('SELECT jti FROM revoked_tokens ORDER BY jti')).toEqual(listed);
      await get('/me', other).expect(200);
    }
  });

  it('R18: a logout and a rotation of a signed cookie at once leave none that works', async () => {
    for (let i = 0; i < 20; i++) {
      const old = await signInAs(t.app, ada.id);
      const [rotation] = await Promise.all([
        t.app.get(LoginService).rotate(valueOf(old)),
        request(t.url).post('/auth/logout').set('Cookie', old).expect(200),
      ]);
      if (rotation) await get('/me', `reflow_session=${rotation.value}`).expect(401);
      await get('/me', old).expect(401);
    }
  });

  it('R1: a login with a cookie that was rotated ends the one in force', async () => {
    const old = await signInAs(t.app, ada.id);
    const current = await rotated(old);
    const answer = await login().set('Cookie', old);
    await get('/me', current).expect(401);
    await get('/me', cookieOf(answer)).expect(200);
  });

  const valueOf = (cookie: string) => cookie.slice(cookie.indexOf('=') + 1);
  const rotated = async (cookie: string) =>
    `reflow_session=${(await t.app.get(LoginService).rotate(valueOf(cookie)))!.value}`;

  it('T: wrong password 401; unknown user 401', async () => {
    await request(t.url).post('/auth/login').send({ email: ada.email, password: 'wrong' }).expect(401);
    await request(t.url).post('/auth/login').send({ email: 'nobody@example.com', password: PASSWORD }).expect(401);
  });

  it('T: aged 10 s: no Set-Cookie. T: aged 2000 s: the cookie is set', async () => {
    const cookie = await signInAs(t.app, ada.id);
    t.clock.advance(seconds(10));
    expect((await get('/me', cookie).expect(200)).headers['set-cookie']).toBeUndefined();
    t.clock.advance(seconds(1990));
    const answer = await get('/me', cookie).expect(200);
    expect(answer.get('Set-Cookie')).toHaveLength(1);
    expect(answer.headers['x-auth-cookie-set']).toBe('1');
    expect(cookieOf(answer)).not.toBe(cookie);
    await get('/me', cookieOf(answer)).expect(200);
  });

  it('exactly half of the life is not past the half-life', async () => {
    const cookie = await signInAs(t.app, ada.id);
    t.clock.advance(seconds(1800));
    expect((await get('/me', cookie).expect(200)).headers['set-cookie']).toBeUndefined();
    t.clock.advance(0.001);
    expect((await get('/me', cookie).expect(200)).get('Set-Cookie')).toHaveLength(1);
  });

  it('T: aged 2000 s and the handler sets X-Auth-Cookie-Set: no Set-Cookie', async () => {
    const cookie = await signInAs(t.app, ada.id);
    t.clock.advance(seconds(2000));
    const answer = await request(t.url).post('/own-logout').set('Cookie', cookie).expect(201);
    expect(answer.headers['set-cookie']).toBeUndefined();
  });

  it('a logout and a due re-issue in one answer: only the logout', async () => {
    const cookie = await signInAs(t.app, ada.id);
    t.clock.advance(seconds(2000));
    const answer = await request(t.url).post('/auth/logout-all').set('Cookie', cookie).expect(200);
    expect(answer.get('Set-Cookie')).toEqual(['reflow_session=; Max-Age=0; Path=/; HttpOnly; Secure; SameSite=Lax']);
  });

  it('T: a garbage cookie: 200 on a public route and no Set-Cookie; 401 and no query on a guarded one', async () => {
    expect((await get('/public', 'reflow_session=garbage').expect(200)).headers['set-cookie']).toBeUndefined();
    t.queries.reset();
    const answer = await get('/me', 'reflow_session=garbage').expect(401);
    expect(answer.headers['set-cookie']).toBeUndefined();
    expect(t.queries.statements).toEqual([]);
  });

  it('is valid through its last second, and not in the next', async () => {
    const cookie = await signInAs(t.app, ada.id);
    t.clock.advance(hours(1));
    await get('/me', cookie).expect(200);
    t.clock.advance(seconds(1));
    await get('/me', cookie).expect(401);
  });

  it('an absolute lifetime is carried through every re-issue', async () => {
    let cookie = await signInAs(t.app, ada.id);
    const start = t.clock.now();
    for (let age = 0; age < 179; age += 40) {
      t.clock.set(start + seconds(60 * age));
      const answer = await get('/me', cookie).expect(200);
      if (answer.headers['set-cookie']) cookie = cookieOf(answer);
    }
    t.clock.set(start + hours(3) - 0.001);
    await get('/me', cookie).expect(200);
    t.clock.set(start + hours(3));
    await get('/me', cookie).expect(401);
  });

  it('R3: after logout the same bytes are refused, and so is every re-issue of that login', async () => {
    const first = await signInAs(t.app, ada.id);
    t.clock.advance(seconds(2000));
    const second = cookieOf(await get('/me', first).expect(200));
    const other = await signInAs(t.app, ada.id);
    const answer = await request(t.url).post('/auth/logout').set('Cookie', second).expect(200);
    expect(answer.get('Set-Cookie')![0]).toContain('Max-Age=0');
    await get('/me', first).expect(401);
    await get('/me', second).expect(401);
    await get('/me', other).expect(200);
  });

  it('R3: after revokeAllForUser no cookie from before is accepted, however often it was re-issued', async () => {
    const cookies = [await signInAs(t.app, ada.id), await signInAs(t.app, ada.id)];
    t.clock.advance(seconds(2000));
    cookies.push(cookieOf(await get('/me', cookies[0]!).expect(200)));
    await t.app.get(TokenRevocationService).revokeAllForUser(ada.id);
    for (const cookie of cookies) await get('/me', cookie).expect(401);
    t.clock.advance(0.001);
    await get('/me', await signInAs(t.app, ada.id)).expect(200);
  });

  it('R17: a disabled and a deleted account, a new password', async () => {
    const cookie = await signInAs(t.app, ada.id);
    const users = t.app.get(PostgresUserDirectory);
    await users.disable(ada.id);
    await get('/me', cookie).expect(401);
    await users.enable(ada.id);
    await get('/me', cookie).expect(401);
    t.clock.advance(1);
    const next = await signInAs(t.app, ada.id);
    await get('/me', next).expect(200);
    await users.setPassword(ada.id, 'another password');
    await get('/me', next).expect(401);
  });

  const enter = async () => ({ Cookie: cookieOf(await login()) });

  selfContainedLoginContract({ path: '/auth/login', subject: () => ({ t, ada }), enter });

  it('a handler that clears the cookie by itself is not overridden by a re-issue', async () => {
    const cookie = await signInAs(t.app, ada.id);
    t.clock.advance(seconds(2000));
    const answer = await request(t.url).post('/own-clear').set('Cookie', cookie).expect(201);
    expect(answer.get('Set-Cookie')).toEqual([expect.stringContaining('Max-Age=0')]);
  });

  it('R1: a login ends the cookie that came along', async () => {
    const before = await signInAs(t.app, ada.id);
    const after = cookieOf(
      await request(t.url).post('/auth/login').set('Cookie', before).send({ email: ada.email, password: PASSWORD }),
    );
    await get('/me', before).expect(401);
    await get('/me', after).expect(200);
  });

  it('a cookie of the Python system logs its user in here, slides, and can be ended', async () => {
    const cookie = `reflow_session=${pythonCookie(ada.id, t.clock.now(), hours(1))}`;
    await get('/me', cookie).expect(200);
    t.clock.advance(seconds(2000));
    const ours = cookieOf(await get('/me', cookie).expect(200));
    await get('/me', ours).expect(200);
    await request(t.url).post('/auth/logout').set('Cookie', ours).expect(200);
    await get('/me', ours).expect(401);
    await get('/me', cookie).expect(401);
  });

  it('is read by the rules of the format: the signature from the raw parts, the six fields of the source', async () => {
    const value = (await signInAs(t.app, ada.id)).slice('reflow_session='.length);
    const [signed, signature] = [value.slice(0, value.lastIndexOf('.')), value.slice(value.lastIndexOf('.') + 1)];
    const key = createHash('sha1').update('reflow-session-v1').update('signer').update(SECRET).digest();
    expect(createHmac('sha1', key).update(signed).digest('base64url')).toBe(signature);
    expect(t.app.get(SignedCookieSession).decode(value)).toMatchObject({
      sub: ada.id,
      email: ada.email,
      providerId: 'basic',
    });
  });

  it('a guarded request is one statement', async () => {
    const cookie = await signInAs(t.app, ada.id);
    t.queries.reset();
    await get('/me', cookie).expect(200);
    expect(t.queries.statements).toHaveLength(1);
    expect(t.queries.writes).toEqual([]);
  });
});
