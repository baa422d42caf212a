import { randomBytes } from 'node:crypto';
import { Controller, Get, Post, Res } from '@nestjs/common';
import { beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import {
  CurrentSession,
  CurrentUser,
  days,
  minutes,
  OptionalAuth,
  Public,
  SessionService,
  PostgresUserDirectory,
  type AuthUser,
  type Session,
} from 'nestjs-latchkey';
import { AuthConfig } from 'nestjs-latchkey/engine';
import { signInAs } from 'nestjs-latchkey/testing';
import request from 'supertest';
import { createUser, PASSWORD, PLATFORMS, startTestApp } from '../support/app.js';
import { sharedTestApp } from '../support/shared-app.js';
import { cookieOf, tokenOf } from '../support/cookies.js';
import { sendAll } from '../support/raw-http.js';
import { hideSessions } from '../support/stored.js';

@Controller('things')
class ThingsController {
  @Get()
  guarded(@CurrentUser() user: AuthUser, @CurrentUser('email') email: string, @CurrentSession() session: Session) {
    return { id: user.id, email, handle: session.handle };
  }

  @Public()
  @Get('public')
  open(@CurrentUser() user: AuthUser | null, @CurrentSession() session: Session | null) {
    return { user, session };
  }

  @OptionalAuth()
  @Get('optional')
  optional(@CurrentUser('email') email: string | null) {
    return { email };
  }

  @Get('stream')
  stream(@Res() response: { raw?: NodeJS.WritableStream } & NodeJS.WritableStream & { hijack?: () => void }) {
    response.hijack?.();
    const raw = (response.raw ?? response) as unknown as import('node:http').ServerResponse;
    const headers = (response as unknown as { getHeaders(): Record<string, string> }).getHeaders();
    raw.writeHead(200, headers);
    raw.write('one,');
    raw.end('two');
  }

  @Post('change')
  change(@CurrentUser('id') id: string) {
    return { id };
  }
}

@Public()
@Controller('shop/auth')
class ShopController {
  @Post(['login', 'logout'])
  act() {
    return { done: true };
  }
}

describe.each(PLATFORMS)('routes and guard on %s', (platform) => {
  const t = sharedTestApp({ platform, controllers: [ThingsController, ShopController] });
  let ada: AuthUser;
  let bob: AuthUser;

  beforeAll(async () => {
    ada = await createUser(t.app, 'ada@example.com');
    bob = await createUser(t.app, 'bob@example.com');
  });
  beforeEach(() => t.queries.reset());

  const http = () => request(t.url);
  const login = (email = 'ada@example.com', password: unknown = PASSWORD) =>
    http().post('/auth/login').send({ email, password });

  describe('login', () => {
    it('T: right password: 200, the cookie, and no token in the body', async () => {
      const answer = await login().expect(200);
      const setCookie = answer.get('Set-Cookie')!;
      expect(setCookie).toHaveLength(2);
      expect(setCookie[1]).toMatch(
        /^__Host-session-device=[\w.-]{70,90}; Max-Age=15552000; Path=\/; HttpOnly; Secure; SameSite=Lax$/,
      );
      expect(setCookie[0]).toMatch(
        /^__Host-session=[A-Za-z0-9_-]{43}; Max-Age=2592000; Path=\/; HttpOnly; Secure; SameSite=Lax$/,
      );
      expect(answer.body).toEqual({
        status: 'authenticated',
        user: { id: ada.id, email: 'ada@example.com' },
        expiresAt: '2025-01-31T00:00:00.000Z',
      });
      expect(answer.text).not.toContain(tokenOf(answer));
      expect(answer.headers['cache-control']).toBe('no-store');
    });

    it('R21: knows the account in any spelling of its address', async () => {
      await login('  ＡDA@Example.COM ').expect(200);
    });

    it('T: wrong password 401; R37: unknown and disabled account the same to the letter', async () => {
      const carol = await createUser(t.app, `carol-${platform}@example.com`);
      await t.app.get(PostgresUserDirectory).disable(carol.id);
      const wrong = await login('ada@example.com', 'wrong').expect(401);
      const unknown = await login('nobody@example.com').expect(401);
      const disabled = await login(carol.email).expect(401);
      expect(wrong.body).toEqual({
        statusCode: 401,
        code: 'INVALID_CREDENTIALS',
        message: 'Wrong e-mail address or password.',
      });
      for (const other of [unknown, disabled]) {
        expect(other.body).toEqual(wrong.body);
        expect(Object.keys(other.headers)).toEqual(Object.keys(wrong.headers));
      }
      expect(wrong.headers['www-authenticate']).toBe('Bearer');
      expect(wrong.headers['set-cookie']).toBeUndefined();
    });

    it('R37: the same statements for a known and an unknown account', async () => {
      await login('ada@example.com', 'wrong').expect(401);
      const known = [...t.queries.statements];
      t.queries.reset();
      await login('nobody@example.com').expect(401);
      expect(t.queries.statements).toEqual(known);
    });

    it.each<[string, unknown, string[]]>([
      ['T: no password', { email: 'ada@example.com' }, ['password']],
      ['nothing', undefined, ['email', 'password']],
      ['an empty object', {}, ['email', 'password']],
      ['numbers', { email: 1, password: 2 }, ['email', 'password']],
      ['a list as password', { email: 'ada@example.com', password: ['hunter2'] }, ['password']],
      ['an empty password', { email: 'ada@example.com', password: '' }, ['password']],
      ['a password of 1025 characters', { email: 'ada@example.com', password: 'hunter2'.repeat(147) }, ['password']],
      ['a NUL in the address', { email: 'a\u0000da@example.com', password: 'hunter2' }, ['email']],
      ['an address of 321 characters', { email: `${'a'.repeat(309)}@example.com`, password: 'hunter2' }, ['email']],
      ['blanks as address', { email: '   ', password: 'hunter2' }, ['email']],
      ['a list', [], ['body']],
      ['H19: an invisible character in the name', { email: 'ada\u200b@example.com', password: PASSWORD }, ['email']],
    ])('422 naming the field, the password never echoed: %s', async (_, body, fields) => {
      const answer = await http()
        .post('/auth/login')
        .send(body as object)
        .expect(422);
      expect(answer.body).toMatchObject({ statusCode: 422, code: 'INVALID_INPUT' });
      expect(Object.keys(answer.body.fields)).toEqual(fields);
      expect(answer.text).not.toContain('hunter2');
      expect(t.queries.statements).toEqual([]);
    });

    it('a body that is not JSON is refused without quoting it', async () => {
      for (const body of [
        '{"email":"a@b.c","password":hunter2secret}',
        '{"password":"hunter2',
        'hunter2',
        '"hunter2"',
        'null',
        '5',
      ]) {
        const answer = await http().post('/auth/login').set('Content-Type', 'application/json').send(body);
        expect(answer.text).not.toContain('hunter');
        expect(answer.status).toBe(422);
        expect(answer.body).toMatchObject({ code: 'INVALID_INPUT' });
        if (body.includes('hunter')) expect(answer.body.fields).toEqual({ body: 'must be a JSON object' });
      }
    });

    it.each(['login', 'token'])(
      'H28: POST %s with a body that does not parse, whatever its type: 422',
      async (route) => {
        for (const [type, body] of [
          ['application/json', ''],
          ['application/json', '{'],
          ['application/json; charset=x-unknown', '{}'],
          ['text/plain', 'hunter2'],
          ['application/xml', '<a/>'],
        ]) {
          const answer = await http().post(`/auth/${route}`).set('Content-Type', type!).send(body);
          expect({ type, status: answer.status }).toEqual({ type, status: 422 });
          expect(answer.body).toMatchObject({ statusCode: 422, code: 'INVALID_INPUT' });
          expect(answer.text).not.toContain('hunter');
        }
      },
    );

    it('a path of the application that ends like one of ours keeps its own answer', async () => {
      const send = (path: string) => http().post(path).set('Content-Type', 'application/json').send('{"a":');
      await send('/auth/login').expect(422);
      await send('/auth/logout').expect(200);
      await send('/shop/auth/login').expect(400);
      // Its handler is not called without the body that it needs.
      await send('/shop/auth/logout').expect(400);
    });

    it('… however the path is spelled', async () => {
      const answer = await http()
        .post('/auth/logi%6e')
        .set('Content-Type', 'application/json')
        .send('{"password":hunter2');
      expect(answer.text).not.toContain('hunter');
    });

    it('… and where the target of the request is a whole URL or has a fragment (RFC 9112 3.2.2)', async () => {
      const body = Buffer.from('Content-Type: application/json\r\nContent-Length: 19\r\n\r\n{"password":hunter2');
      for (const path of ['http://x/auth/login', '/auth/login#x', 'HTTP://x/auth/login?x']) {
        const [answer] = await sendAll(t.url, [body], `POST ${path}`);
        expect({ path, status: answer!.status }).toEqual({ path, status: 422 });
        expect(answer!.body).not.toContain('hunter');
      }
      const cookie = await signInAs(t.app, ada.id);
      const withCookie = Buffer.concat([Buffer.from(`Cookie: ${cookie}\r\n`), body]);
      const [answer] = await sendAll(t.url, [withCookie], 'POST http://x/auth/logout');
      expect(answer!.status).toBe(200);
      await http().get('/things').set('Cookie', cookie).expect(401);
    });

    it('a cookie that came twice: both sessions end', async () => {
      const [a, b] = [await signInAs(t.app, ada.id), await signInAs(t.app, ada.id)];
      const answer = await login().set('Cookie', `${a}; ${b}`).expect(200);
      for (const old of [a, b]) await http().get('/things').set('Cookie', old).expect(401);
      await http().get('/things').set('Cookie', cookieOf(answer)).expect(200);
    });

    it('an account that is deleted or changed while its password is checked: 401 like any other', async () => {
      const users = t.app.get(PostgresUserDirectory);
      const verify = users.verifyCredentials.bind(users);
      for (const meanwhile of [
        (id: string) => users.setPassword(id, 'another password'),
        (id: string) => users.disable(id),
        (id: string) => t.db.query('DELETE FROM users WHERE id = $1', [id]),
      ]) {
        const account = await createUser(t.app, `race-${randomBytes(4).toString('hex')}@example.com`);
        users.verifyCredentials = async (email, password) => {
          const user = await verify(email, password);
          await meanwhile(account.id);
          return user;
        };
        const answer = await login(account.email).expect(401);
        expect(answer.body.code).toBe('INVALID_CREDENTIALS');
        expect(answer.headers['set-cookie']).toBeUndefined();
      }
      users.verifyCredentials = verify;
    });

    it('1024 characters are a password, whatever they are', async () => {
      const long = '😀'.repeat(1024);
      const account = await t.app.get(PostgresUserDirectory).create(`long-${platform}@example.com`, long);
      await login(account.email, long).expect(200);
      await login(account.email, '😀'.repeat(1023)).expect(401);
    });

    it('R1: ends the session of the cookie that came along: the same user', async () => {
      const before = await login().expect(200);
      const after = await login().set('Cookie', cookieOf(before)).expect(200);
      expect(tokenOf(after)).not.toBe(tokenOf(before));
      await http().get('/things').set('Cookie', cookieOf(before)).expect(401);
      await http().get('/things').set('Cookie', cookieOf(after)).expect(200);
    });

    it("R1: … another user's", async () => {
      const before = await login('bob@example.com').expect(200);
      const after = await login().set('Cookie', cookieOf(before)).expect(200);
      await http().get('/things').set('Cookie', cookieOf(before)).expect(401);
      await http().get('/things').set('Cookie', cookieOf(after)).expect(200);
    });

    it('R1: … and never adopts a value that was made up', async () => {
      const planted = `__Host-session=${randomBytes(32).toString('base64url')}`;
      const answer = await login().set('Cookie', planted).expect(200);
      expect(cookieOf(answer)).not.toBe(planted);
      await http().get('/things').set('Cookie', planted).expect(401);
    });

    it('a refused login ends nothing', async () => {
      const cookie = await signInAs(t.app, ada.id);
      await login('ada@example.com', 'wrong').set('Cookie', cookie).expect(401);
      await http().get('/things').set('Cookie', cookie).expect(200);
    });
  });

  describe('token', () => {
    it('gives a bearer token in the body, and no cookie', async () => {
      const answer = await http()
        .post('/auth/token')
        .send({ email: 'ada@example.com', password: PASSWORD })
        .expect(200);
      expect(answer.headers['set-cookie']).toBeUndefined();
      expect(answer.body).toEqual({
        status: 'authenticated',
        token: expect.stringMatching(/^[A-Za-z0-9_-]{43}$/),
        tokenType: 'Bearer',
        user: { id: ada.id, email: 'ada@example.com' },
        expiresAt: '2025-01-31T00:00:00.000Z',
      });
      await http().get('/things').set('Authorization', `Bearer ${answer.body.token}`).expect(200);
      await http().get('/things').set('Authorization', `bearer ${answer.body.token}`).expect(200);
    });

    it('wrong password 401, wrong body 422', async () => {
      await http().post('/auth/token').send({ email: 'ada@example.com', password: 'wrong' }).expect(401);
      await http().post('/auth/token').send({}).expect(422);
    });
  });

  describe('the guard', () => {
    it('without credentials: 401, a stable code, no query', async () => {
      const answer = await http().get('/things').expect(401);
      expect(answer.body).toEqual({ statusCode: 401, code: 'UNAUTHENTICATED', message: 'Authentication required.' });
      expect(answer.headers['www-authenticate']).toBe('Bearer');
      expect(answer.headers['cache-control']).toBe('no-store');
      expect(t.queries.statements).toEqual([]);
    });

    it('with a session: the user and the session, one statement, no write, no-store', async () => {
      const cookie = await signInAs(t.app, ada.id);
      t.queries.reset();
      const answer = await http().get('/things').set('Cookie', cookie).expect(200);
      expect(answer.body).toEqual({ id: ada.id, email: 'ada@example.com', handle: expect.any(String) });
      expect(answer.headers['cache-control']).toBe('no-store');
      expect(answer.headers['set-cookie']).toBeUndefined();
      expect(t.queries.statements).toHaveLength(1);
      expect(t.queries.writes).toEqual([]);
    });

    it('a public route runs no query and knows nobody, session or not', async () => {
      const cookie = await signInAs(t.app, ada.id);
      t.queries.reset();
      const answer = await http().get('/things/public').set('Cookie', cookie).expect(200);
      expect(answer.body).toEqual({ user: null, session: null });
      expect(t.queries.statements).toEqual([]);
    });

    it('@OptionalAuth knows who is logged in, and lets everybody else through', async () => {
      const cookie = await signInAs(t.app, ada.id);
      expect((await http().get('/things/optional').set('Cookie', cookie).expect(200)).body).toEqual({
        email: 'ada@example.com',
      });
      expect((await http().get('/things/optional').expect(200)).body).toEqual({ email: null });
      expect((await http().get('/things/optional').set('Cookie', '__Host-session=x').expect(200)).body).toEqual({
        email: null,
      });
    });

    it('a live cookie wins over the header (seed 004)', async () => {
      const { token } = await t.app.get(SessionService).create(ada.id);
      const bobs = await signInAs(t.app, bob.id);
      const both = await http().get('/things').set('Cookie', bobs).set('Authorization', `Bearer ${token}`).expect(200);
      expect(both.body.email).toBe('bob@example.com');
      expect(both.get('Set-Cookie')).toBeUndefined();
    });

    it.each([
      ['of no session', () => randomBytes(32).toString('base64url')],
      ['that is no token', () => 'x'],
    ])('H29: a cookie %s beside a live bearer token: the token counts, and the cookie is cleared', async (_, dead) => {
      const { token } = await t.app.get(SessionService).create(ada.id);
      const send = (bearer: string) =>
        http().get('/things').set('Cookie', `__Host-session=${dead()}`).set('Authorization', `Bearer ${bearer}`);
      const answer = await send(token).expect(200);
      expect(answer.body.email).toBe('ada@example.com');
      expect(answer.get('Set-Cookie')).toEqual([expect.stringMatching(/^__Host-session=; Max-Age=0; Path=\/;/)]);
      const refused = await send(randomBytes(32).toString('base64url')).expect(401);
      expect(refused.get('Set-Cookie')).toBeUndefined();
    });

    it('H29: while the database is away the token is not asked instead of the cookie', async () => {
      const { token } = await t.app.get(SessionService).create(ada.id);
      const restore = await hideSessions(t.db);
      const cookie = `__Host-session=${randomBytes(32).toString('base64url')}`;
      const answer = await http().get('/things').set('Cookie', cookie).set('Authorization', `Bearer ${token}`);
      await restore();
      expect(answer.status).toBe(503);
      expect(answer.get('Set-Cookie')).toBeUndefined();
    });

    it('H29: a foreign page does not get through with a dead cookie and a bearer token of its own', async () => {
      const { token } = await t.app.get(SessionService).create(ada.id);
      await http()
        .post('/auth/logout-all')
        .set('Cookie', '__Host-session=x')
        .set('Authorization', `Bearer ${token}`)
        .set('Origin', 'https://evil.example')
        .expect(403);
    });

    it('R30: two cookies of our name: refused without a query', async () => {
      const [a, b] = [await signInAs(t.app, ada.id), await signInAs(t.app, ada.id)];
      t.queries.reset();
      await http().get('/things').set('Cookie', `${a}; ${b}`).expect(401);
      await http().get('/things').set('Cookie', `${a}; ${a}`).expect(401);
      expect(t.queries.statements).toEqual([]);
    });

    it('R30: an unprefixed cookie is not accepted while the prefix is on', async () => {
      const cookie = await signInAs(t.app, ada.id);
      await http().get('/things').set('Cookie', cookie.replace('__Host-', '')).expect(401);
    });

    it('R33: the stored hash is refused, as cookie and as bearer', async () => {
      const { session } = await t.app.get(SessionService).create(ada.id);
      await http().get('/things').set('Cookie', `__Host-session=${session.id}`).expect(401);
      await http().get('/things').set('Authorization', `Bearer ${session.id}`).expect(401);
    });

    it('expires at the exact instant, 401 and the cookie stays', async () => {
      const start = t.clock.now();
      const cookie = await signInAs(t.app, ada.id);
      t.clock.set(start + days(30) - 0.001);
      const last = await http().get('/things').set('Cookie', cookie).expect(200);
      expect(last.headers['set-cookie']).toHaveLength(1);
      t.clock.set(start);

      const other = await signInAs(t.app, ada.id);
      t.clock.set(start + days(30));
      const answer = await http().get('/things').set('Cookie', other).expect(401);
      expect(answer.headers['set-cookie']).toBeUndefined();
      t.clock.set(start);
    });

    it('sends the cookie again when, and only when, the expiry moved', async () => {
      const start = t.clock.now();
      const cookie = await signInAs(t.app, ada.id);
      const { token } = await t.app.get(SessionService).create(ada.id);
      t.clock.set(start + days(23));
      expect((await http().get('/things').set('Cookie', cookie).expect(200)).headers['set-cookie']).toBeUndefined();
      t.clock.advance(1);
      const extended = await http().get('/things').set('Cookie', cookie).expect(200);
      expect(extended.get('Set-Cookie')).toEqual([
        `${cookie}; Max-Age=2592000; Path=/; HttpOnly; Secure; SameSite=Lax`,
      ]);
      t.clock.advance(minutes(5));
      expect((await http().get('/things').set('Cookie', cookie).expect(200)).headers['set-cookie']).toBeUndefined();
      const bearer = await http().get('/things').set('Authorization', `Bearer ${token}`).expect(200);
      expect(bearer.headers['set-cookie']).toBeUndefined();
      t.clock.set(start);
    });

    it('R40: a streamed answer carries the extended cookie', async () => {
      const start = t.clock.now();
      const cookie = await signInAs(t.app, ada.id);
      t.clock.advance(days(24));
      const answer = await http().get('/things/stream').set('Cookie', cookie).expect(200);
      expect(answer.text).toBe('one,two');
      expect(answer.get('Set-Cookie')).toHaveLength(1);
      t.clock.set(start);
    });
  });

  describe('logout', () => {
    it('T: revokes, clears the cookie with the same attributes, then 401 at once', async () => {
      const cookie = await signInAs(t.app, ada.id);
      const answer = await http().post('/auth/logout').set('Cookie', cookie).expect(200);
      expect(answer.get('Set-Cookie')).toEqual(['__Host-session=; Max-Age=0; Path=/; HttpOnly; Secure; SameSite=Lax']);
      await http().get('/things').set('Cookie', cookie).expect(401);
    });

    it.each([
      ['T: without a token', {}],
      ['T: with a garbage token', { Cookie: '__Host-session=garbage' }],
      ['with a garbage bearer', { Authorization: 'Bearer garbage' }],
      ['with a Basic header', { Authorization: 'Basic YTpi' }],
    ])('%s: 200 and the cookie is cleared', async (_, headers) => {
      const answer = await http().post('/auth/logout').set(headers).expect(200);
      expect(answer.get('Set-Cookie')?.[0]).toContain('Max-Age=0');
    });

    it('T: twice: 200 both times', async () => {
      const cookie = await signInAs(t.app, ada.id);
      await http().post('/auth/logout').set('Cookie', cookie).expect(200);
      await http().post('/auth/logout').set('Cookie', cookie).expect(200);
    });

    it.each([
      ['JSON and no body', 'application/json', undefined, undefined],
      ['JSON and an empty chunked body', 'application/json', '', undefined],
      ['a body that is not JSON', 'application/json', '{"a', undefined],
      ['a body of another type', 'application/xml', '<a/>', undefined],
      ['a body', 'application/json', '{"a":1}', undefined],
      ['a body that is not compressed as it says', 'application/json', '{}', 'gzip'],
    ])(
      'H28: logout, logout-all and ending one session with %s: 200, and the session ends',
      async (_, type, body, encoding) => {
        for (const route of ['logout', 'logout-all', 'sessions'] as const) {
          const { token, session } = await t.app.get(SessionService).create(ada.id);
          const request =
            route === 'sessions' ? http().delete(`/auth/sessions/${session.handle}`) : http().post(`/auth/${route}`);
          request.set('Cookie', `__Host-session=${token}`).set('Content-Type', type);
          if (body === '') request.set('Transfer-Encoding', 'chunked');
          if (encoding) request.set('Content-Encoding', encoding);
          const answer = await request.send(body);
          expect({ route, status: answer.status }).toEqual({ route, status: 200 });
          expect(await t.app.get(SessionService).lookup(token)).toBeNull();
          t.clock.advance(1); // "sign out everywhere" ends what begins in the same microsecond
        }
      },
    );

    it('R5: without the cookie, the bearer token is revoked; with both, both are', async () => {
      const sessions = t.app.get(SessionService);
      const [a, b] = [await sessions.create(ada.id), await sessions.create(ada.id)];
      await http().post('/auth/logout').set('Authorization', `Bearer ${a.token}`).expect(200);
      expect(await sessions.lookup(a.token)).toBeNull();
      const cookie = await signInAs(t.app, bob.id);
      await http().post('/auth/logout').set('Cookie', cookie).set('Authorization', `Bearer ${b.token}`).expect(200);
      expect(await sessions.lookup(b.token)).toBeNull();
      await http().get('/things').set('Cookie', cookie).expect(401);
    });

    it('R5: with the cookie twice, both sessions end', async () => {
      const [a, b] = [await signInAs(t.app, ada.id), await signInAs(t.app, ada.id)];
      await http().post('/auth/logout').set('Cookie', `${a}; ${b}`).expect(200);
      await http().get('/things').set('Cookie', a).expect(401);
      await http().get('/things').set('Cookie', b).expect(401);
    });

    it('a GET does not log out', async () => {
      const cookie = await signInAs(t.app, ada.id);
      await http().get('/auth/logout').set('Cookie', cookie).expect(404);
      await http().get('/things').set('Cookie', cookie).expect(200);
    });
  });

  describe('own sessions', () => {
    it('T: GET session: 401 without a token, 200 valid with cookie or bearer', async () => {
      await http().get('/auth/session').expect(401);
      const { token, session } = await t.app.get(SessionService).create(ada.id);
      const name = t.app.get(AuthConfig).cookieName;
      for (const headers of [{ Cookie: `${name}=${token}` }, { Authorization: `Bearer ${token}` }]) {
        const answer = await http().get('/auth/session').set(headers).expect(200);
        expect(answer.body).toMatchObject({
          valid: true,
          user: { id: ada.id, email: 'ada@example.com' },
          session: { handle: session.handle, current: true, expiresAt: new Date(session.expiresAt).toISOString() },
        });
        expect(answer.text).not.toContain(session.id);
        expect(answer.text).not.toContain(token);
        expect(answer.headers['cache-control']).toBe('no-store');
      }
    });

    it('GET sessions: own ones only, this one marked, no ids and no tokens', async () => {
      await t.app.get(SessionService).revokeAllForUser(ada.id);
      const mine = await login().set('User-Agent', 'Firefox').expect(200);
      const others = await t.app.get(SessionService).create(ada.id, { userAgent: 'curl' });
      await t.app.get(SessionService).create(bob.id);
      const answer = await http().get('/auth/sessions').set('Cookie', cookieOf(mine)).expect(200);
      expect(answer.body).toHaveLength(2);
      expect(answer.body).toEqual(
        expect.arrayContaining([
          expect.objectContaining({ current: true, userAgent: 'Firefox', ip: '127.0.0.1' }),
          expect.objectContaining({ current: false, handle: others.session.handle }),
        ]),
      );
      for (const secret of [tokenOf(mine), others.token, others.session.id]) expect(answer.text).not.toContain(secret);
    });

    it("R16: DELETE sessions/:handle ends one's own; a foreign or unknown one is 404 without effect", async () => {
      const cookie = await signInAs(t.app, ada.id);
      const own = await t.app.get(SessionService).create(ada.id);
      const bobs = await t.app.get(SessionService).create(bob.id);
      const foreign = await http().delete(`/auth/sessions/${bobs.session.handle}`).set('Cookie', cookie).expect(404);
      const unknown = await http().delete('/auth/sessions/nonsense').set('Cookie', cookie).expect(404);
      expect(foreign.body).toEqual(unknown.body);
      expect(await t.app.get(SessionService).lookup(bobs.token)).not.toBeNull();

      const answer = await http().delete(`/auth/sessions/${own.session.handle}`).set('Cookie', cookie).expect(200);
      expect(answer.headers['set-cookie']).toBeUndefined();
      expect(await t.app.get(SessionService).lookup(own.token)).toBeNull();
      await http().delete(`/auth/sessions/${own.session.handle}`).expect(401);
    });

    it('ending the session one is in clears the cookie too', async () => {
      const cookie = await signInAs(t.app, ada.id);
      const { body } = await http().get('/auth/session').set('Cookie', cookie).expect(200);
      const answer = await http().delete(`/auth/sessions/${body.session.handle}`).set('Cookie', cookie).expect(200);
      expect(answer.get('Set-Cookie')?.[0]).toContain('Max-Age=0');
      await http().get('/things').set('Cookie', cookie).expect(401);
    });

    it('POST logout-all ends every session of the user and of nobody else', async () => {
      const [cookie, other, bobs] = [
        await signInAs(t.app, ada.id),
        await signInAs(t.app, ada.id),
        await signInAs(t.app, bob.id),
      ];
      const answer = await http().post('/auth/logout-all').set('Cookie', cookie).expect(200);
      expect(answer.get('Set-Cookie')?.[0]).toContain('Max-Age=0');
      for (const gone of [cookie, other]) await http().get('/things').set('Cookie', gone).expect(401);
      await http().get('/things').set('Cookie', bobs).expect(200);
      t.clock.advance(1);
    });
  });

  describe('R29: requests from a foreign page', () => {
    const evil = { Origin: 'https://evil.example', 'Sec-Fetch-Site': 'cross-site' };

    it('login, without any cookie: 403 before the password is looked at', async () => {
      const answer = await login().set(evil).expect(403);
      expect(answer.body).toMatchObject({ code: 'CROSS_ORIGIN_REQUEST' });
      expect(answer.text).not.toContain('evil');
      expect(t.queries.statements).toEqual([]);
    });

    it.each(['/auth/token', '/auth/logout', '/auth/logout-all', '/things/change'])('POST %s: 403', async (path) => {
      const cookie = await signInAs(t.app, ada.id);
      await http().post(path).set('Cookie', cookie).set(evil).expect(403);
      await http().get('/things').set('Cookie', cookie).expect(200);
    });

    it('same origin passes', async () => {
      await login().set('Origin', t.url).set('Sec-Fetch-Site', 'same-origin').expect(200);
      await login().set('Origin', t.url).expect(200);
    });
  });
});

it.each(PLATFORMS)('503 "setup not complete" while there is no account, on %s', async (platform) => {
  const t = await startTestApp({ platform });
  const attempt = () => request(t.url).post('/auth/login').send({ email: 'ada@example.com', password: PASSWORD });
  const answer = await attempt().expect(503);
  expect(answer.body).toMatchObject({
    code: 'SETUP_INCOMPLETE',
    message: expect.stringContaining('Setup not complete'),
  });
  await createUser(t.app, 'bob@example.com');
  await attempt().expect(401);
  await t.db.query('DELETE FROM users');
  t.queries.reset();
  await attempt().expect(401);
  expect(t.queries.statements.filter((text) => text.includes('EXISTS'))).toEqual([]);
  await t.close();
});
