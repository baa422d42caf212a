import { Controller, Get } from '@nestjs/common';
import { beforeEach, describe, expect, it } from '@jest/globals';
import {
  AuthEvents,
  CurrentSession,
  JwtCodecService,
  PostgresUserDirectory,
  SessionConnections,
  TokenRevocationService,
  type AuthUser,
  type Session,
} from 'nestjs-latchkey';
import { AuthConfig, CleanupService, JwtSessionService } from 'nestjs-latchkey/engine';
import { AdminService } from 'nestjs-latchkey/flows';
import { signInAs } from 'nestjs-latchkey/testing';
import { Client } from 'pg';
import request from 'supertest';
import { createUser, PASSWORD, PLATFORMS, startTestApp } from '../support/app.js';
import { sharedTestApp } from '../support/shared-app.js';
import { until } from '../support/heard.js';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const auth = { jwt: { sessions: true, registry: true }, cache: { enabled: true } };

@Controller()
class MeController {
  @Get('me')
  me(@CurrentSession() session: Session) {
    return { handle: session.handle };
  }
}

describe.each(PLATFORMS)('listed session JWTs on %s', (platform) => {
  const t = sharedTestApp({
    platform,
    controllers: [MeController],
    auth: { jwt: auth.jwt, flows: { admin: { routes: false } } },
  });
  const codec = () => t.app.get(JwtCodecService);
  const jwts = () => t.app.get(JwtSessionService);
  let ada: AuthUser;

  beforeEach(async () => {
    ada = await createUser(t.app);
    t.clock.advance(1000);
  });

  const bearer = (token: string) => ({ Authorization: `Bearer ${token}` });
  const me = (token: string, at = t) => request(at.url).get('/me').set(bearer(token));
  const logIn = async (presented?: string, of = ada) => {
    const ask = request(t.url).post('/auth/token').set('User-Agent', 'a phone');
    if (presented) void ask.set(bearer(presented));
    return (await ask.send({ email: of.email, password: PASSWORD }).expect(200)).body.token as string;
  };
  const list = async (token: string) => {
    const { body } = await request(t.url).get('/auth/sessions').set(bearer(token)).expect(200);
    return body as { handle: string; kind: string; current: boolean; userAgent: string | null }[];
  };
  const end = (token: string, handle: string) => request(t.url).delete(`/auth/sessions/${handle}`).set(bearer(token));
  const handleOf = (token: string) => jwts().handleOf(codec().decode(token).jti);

  it('an operator ends one of them by its handle, once, and no other', async () => {
    const [ended, other] = [await logIn(), await logIn()];
    const admin = t.app.get(AdminService);
    const { sessions } = await admin.findUser(ada.id);
    expect(sessions.map(({ handle }) => handle)).toEqual(expect.arrayContaining([ended, other].map(handleOf)));
    const of = { id: 'an-operator', ip: null };
    const bob = await createUser(t.app);
    await expect(admin.endSession(bob.id, handleOf(ended), of)).rejects.toMatchObject({ code: 'SESSION_NOT_FOUND' });
    await me(ended).expect(200);
    const answers = await Promise.allSettled([1, 2, 3].map(() => admin.endSession(ada.id, handleOf(ended), of)));
    expect(answers.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    await me(ended).expect(401);
    await me(other).expect(200);
  });

  it('H47: JWTs are listed beside stored sessions, by public handles, without jti or token', async () => {
    const first = await logIn();
    const cookie = await signInAs(t.app, ada.id);
    t.clock.advance(1000);
    const token = await logIn();
    const sessions = await list(token);
    expect(sessions.map(({ kind, current }) => [kind, current])).toEqual([
      ['jwt', true],
      ['database', false],
      ['jwt', false],
    ]);
    for (const { handle } of sessions) expect(handle).toMatch(UUID);
    expect(sessions[0]).toMatchObject({ handle: handleOf(token), userAgent: 'a phone' });
    const text = JSON.stringify(sessions);
    for (const one of [first, token]) {
      expect(text).not.toContain(one);
      expect(text).not.toContain(codec().decode(one).jti);
    }
    const seen = await request(t.url).get('/auth/sessions').set('Cookie', cookie).expect(200);
    expect(seen.body.map(({ kind, current }: { kind: string; current: boolean }) => [kind, current])).toEqual([
      ['jwt', false],
      ['database', true],
      ['jwt', false],
    ]);
  });

  it('H47: exactly the one ends; another user’s and one that ended are not found', async () => {
    const [one, two] = [await logIn(), await logIn()];
    const eve = await createUser(t.app);
    await end(await logIn(undefined, eve), handleOf(one)).expect(404);
    await me(one).expect(200);
    await end(two, handleOf(one)).expect(200);
    expect((await me(one).expect(401)).body.code).toBe('TOKEN_REVOKED');
    await me(two).expect(200);
    await end(two, handleOf(one)).expect(404);
    await end(two, codec().decode(two).jti).expect(404);
    await end(two, handleOf(two)).expect(200);
    await me(two).expect(401);
  });

  it('H47: of 50 that end one at the same time, one does', async () => {
    const [one, two] = [await logIn(), await logIn()];
    const answers = await Promise.all(Array.from({ length: 50 }, () => end(two, handleOf(one))));
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([
      200,
      ...Array.from({ length: 49 }, () => 404),
    ]);
    await me(one).expect(401);
  });

  it('H47: a request costs the one statement that it costs without the registry', async () => {
    const token = await logIn();
    t.queries.reset();
    expect((await me(token).expect(200)).body).toEqual({ handle: handleOf(token) });
    expect(t.queries.statements).toHaveLength(1);
    expect(t.queries.writes).toEqual([]);
  });

  it('H47: logout, a cutoff, a disabled account, revoke and expiry take it from the list; the cleanup deletes it', async () => {
    const listed = async () => (await jwts().listForUser(ada.id)).length;
    const token = await logIn();
    expect(await listed()).toBe(1);
    await request(t.url).post('/auth/logout').set(bearer(token)).expect(200);
    expect(await listed()).toBe(0);
    const { jti, exp } = codec().decode(await logIn());
    await t.app.get(TokenRevocationService).revoke(jti, exp);
    expect(await listed()).toBe(0);
    const last = await logIn();
    expect(await listed()).toBe(1);
    await request(t.url).post('/auth/logout-all').set(bearer(last)).expect(200);
    expect(await listed()).toBe(0);
    t.clock.advance(1);
    await logIn();
    expect(await listed()).toBe(1);
    const users = t.app.get(PostgresUserDirectory);
    await users.disable(ada.id);
    expect(await listed()).toBe(0);
    await users.enable(ada.id);
    t.clock.advance(1);
    const kept = await logIn();
    t.clock.set(codec().decode(kept).exp);
    expect(await listed()).toBe(0);
    t.clock.advance(t.app.get(AuthConfig).cleanup.leeway);
    expect((await t.app.get(CleanupService).runOnce()).jwtSessions).toBeGreaterThan(0);
    expect(await t.db.query('SELECT 1 FROM auth_jwt_sessions WHERE user_id = $1', [ada.id])).toEqual([]);
  });

  it('H47: a new password ends and hides them; a deleted account leaves no row', async () => {
    await logIn();
    await t.app.get(PostgresUserDirectory).setPassword(ada.id, PASSWORD);
    expect(await jwts().listForUser(ada.id)).toEqual([]);
    await t.db.query('DELETE FROM users WHERE id = $1', [ada.id]);
    expect(await t.db.query('SELECT 1 FROM auth_jwt_sessions WHERE user_id = $1', [ada.id])).toEqual([]);
  });

  it('H47: a login with a JWT at hand replaces that one', async () => {
    const one = await logIn();
    const two = await logIn(one);
    expect((await list(two)).map(({ handle }) => handle)).toEqual([handleOf(two)]);
    await me(one).expect(401);
  });

  it('H47: 40 logins at once leave 25, and the others are refused', async () => {
    const tokens = await Promise.all(Array.from({ length: 40 }, () => logIn()));
    expect(await jwts().listForUser(ada.id)).toHaveLength(25);
    const statuses = await Promise.all(tokens.map(async (token) => (await me(token)).status));
    expect(statuses.filter((status) => status === 200)).toHaveLength(25);
  });

  it('H47: a login removes the rows of what has ended', async () => {
    for (let n = 0; n < 30; n++) await logIn();
    const [row] = await t.db.query<{ n: string }>('SELECT count(*) AS n FROM auth_jwt_sessions WHERE user_id = $1', [
      ada.id,
    ]);
    expect(Number(row!.n)).toBe(26); // the last one has ended the 26th
  });

  it('H47: logins that wait for the lock of one user hold up no other', async () => {
    const eve = await createUser(t.app);
    const holder = new Client({ connectionString: t.db.url });
    await holder.connect();
    await holder.query('BEGIN');
    await holder.query(`SELECT pg_advisory_xact_lock(hashtextextended('nestjs-latchkey:jwt-sessions:' || $1, 0))`, [
      ada.id,
    ]);
    const waiting = Array.from({ length: 8 }, () => logIn());
    // Other databases of the server are those of other specs.
    const blocked = `SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database
      WHERE NOT l.granted AND l.locktype = 'advisory' AND d.datname = current_database()`;
    await until(async () => (await t.db.query(blocked)).length === 2);
    await logIn(undefined, eve);
    expect(await t.db.query(blocked)).toHaveLength(2);
    await holder.query('COMMIT');
    await holder.end();
    expect(await Promise.all(waiting)).toHaveLength(8);
  });

  it('H47: what is issued while the user signs out everywhere is listed exactly if it is valid', async () => {
    const leaving = await logIn();
    const [tokens] = await Promise.all([
      Promise.all(
        Array.from({ length: 10 }, async () => {
          const body = { email: ada.email, password: PASSWORD };
          const answer = await request(t.url).post('/auth/token').send(body);
          return answer.body.token as string | undefined;
        }),
      ),
      request(t.url).post('/auth/logout-all').set(bearer(leaving)).expect(200),
    ]);
    const listed = (await jwts().listForUser(ada.id)).map(({ handle }) => handle);
    const valid: string[] = [];
    for (const token of tokens) if (token && (await me(token)).status === 200) valid.push(handleOf(token));
    expect(listed.toSorted()).toEqual(valid.toSorted());
  });

  it('H47: one that is ended is refused by three instances with a cache, and its connections close', async () => {
    const start = () => startTestApp({ url: t.db.url, platform, controllers: [MeController], auth });
    const others = [await start(), await start(), await start()];
    for (const other of others) other.clock.set(t.clock.now());
    const [one, two] = [await logIn(), await logIn()];
    const closed: Promise<void>[] = [];
    for (const other of others) {
      await me(one, other).expect(200);
      const connections = other.app.get(SessionConnections);
      const found = await connections.authenticate({ headers: { authorization: `Bearer ${one}` } });
      closed.push(new Promise((resolve) => connections.closeWhenRevoked(resolve, found.session)));
    }
    await request(others[0]!.url)
      .delete(`/auth/sessions/${handleOf(one)}`)
      .set(bearer(two))
      .expect(200);
    await Promise.all(closed);
    for (const other of others) {
      await me(one, other).expect(401);
      await me(two, other).expect(200);
      await other.close();
    }
  });

  it('H47: without the option nothing is recorded, and the handle stays the jti', async () => {
    const plain = await startTestApp({
      auth: { jwt: { sessions: true } },
      controllers: [MeController],
      platform,
      url: t.db.url,
    });
    plain.clock.set(t.clock.now());
    const body = { email: ada.email, password: PASSWORD };
    const { token } = (await request(plain.url).post('/auth/token').send(body).expect(200)).body;
    expect((await me(token, plain).expect(200)).body).toEqual({ handle: codec().decode(token).jti });
    expect(await t.db.query('SELECT 1 FROM auth_jwt_sessions WHERE user_id = $1', [ada.id])).toEqual([]);
    expect(await plain.app.get(JwtSessionService).listForUser(ada.id)).toEqual([]);
    await plain.close();
  });

  it('H47: events name the public handle only', async () => {
    const seen: { type: string; handle?: string | null; reason?: string }[] = [];
    t.app.get(AuthEvents).on((event) => void seen.push(event));
    const [one, two] = [await logIn(), await logIn()];
    await end(two, handleOf(one)).expect(200);
    expect(seen.filter(({ type }) => type.startsWith('session.'))).toEqual([
      expect.objectContaining({ type: 'session.created', handle: handleOf(one) }),
      expect.objectContaining({ type: 'session.created', handle: handleOf(two) }),
      expect.objectContaining({ type: 'session.revoked', handle: handleOf(one), reason: 'revoked_by_handle' }),
    ]);
  });
});
