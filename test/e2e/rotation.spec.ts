import { Controller, Get, Post, Res } from '@nestjs/common';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import {
  AuthError,
  CurrentSession,
  CurrentUser,
  days,
  seconds,
  SessionService,
  type AuthEvent,
  type AuthUser,
  type Session,
} from 'nestjs-latchkey';
import { CookieWriter } from 'nestjs-latchkey/engine';
import { signInAs } from 'nestjs-latchkey/testing';
import request, { type Response } from 'supertest';
import { createUser, PASSWORD, PLATFORMS } from '../support/app.js';
import { sharedTestApp } from '../support/shared-app.js';
import { cookieOf, tokenOf } from '../support/cookies.js';
import { reusesHeard } from '../support/heard.js';
import { expireSessionsAt, hideSessions } from '../support/stored.js';

/** A host that rotates at a change of privilege, as the README says. */
@Controller('admin')
class AdminController {
  constructor(
    private readonly sessions: SessionService,
    private readonly writer: CookieWriter,
  ) {}

  @Post('enter')
  async enter(
    @CurrentSession() current: Session,
    @CurrentUser('id') userId: string,
    @Res({ passthrough: true }) response: object,
  ) {
    const rotated = await this.sessions.rotate(current, userId);
    if (!rotated) throw new AuthError('UNAUTHENTICATED', 'Logged out meanwhile.', {});
    this.writer.set(response, { value: rotated.token, expiresAt: rotated.session.expiresAt });
    return { handle: rotated.session.handle };
  }

  @Get()
  look(@CurrentSession() { handle }: Session) {
    return { handle };
  }
}

describe.each(PLATFORMS)('pain 3: a rotation in one tab and the requests of the others, on %s', (platform) => {
  const t = sharedTestApp({ platform, controllers: [AdminController] });
  let ada: AuthUser;
  let cookie: string;
  let start: number;
  let heard: AuthEvent[];

  beforeAll(async () => {
    ada = await createUser(t.app, 'ada@example.com');
    heard = reusesHeard(t.app);
    start = t.clock.now();
  });
  beforeEach(async () => {
    cookie = await signInAs(t.app, ada.id);
    heard.length = 0;
  });
  afterEach(async () => {
    t.clock.set(start);
    await t.app.get(SessionService).revokeAllForUser(ada.id);
  });

  const enter = (sent = cookie) => request(t.url).post('/admin/enter').set('Cookie', sent);
  const look = (sent = cookie) => request(t.url).get('/admin').set('Cookie', sent);
  const isCleared = (answer: Response) => (answer.get('Set-Cookie') ?? []).some((header) => /Max-Age=0/.test(header));
  /** The value that the browser has after this answer: of several cookies the last. */
  const lastCookieOf = (answer: Response) => answer.get('Set-Cookie')!.at(-1)!.split(';')[0]!;

  it('of parallel rotations and requests with one cookie all succeed, and every cookie that they set works', async () => {
    const [rotations, looks] = await Promise.all([
      Promise.all(Array.from({ length: 10 }, () => enter())),
      Promise.all(Array.from({ length: 10 }, () => look())),
    ]);
    expect([...rotations, ...looks].map(({ status }) => status)).toEqual([
      ...rotations.map(() => 201),
      ...looks.map(() => 200),
    ]);
    const answers = [...rotations, ...looks].filter((answer) => answer.get('Set-Cookie'));
    // One that came in when the rotation was done has rotated once more.
    for (const answer of answers) {
      expect(isCleared(answer)).toBe(false);
      await look(lastCookieOf(answer)).expect(200);
    }
    expect(await t.app.get(SessionService).listForUser(ada.id)).toHaveLength(1);
    expect(heard).toEqual([]);
  });

  it('in its grace the old cookie is answered with the new one, every time, until the browser has it', async () => {
    const winner = cookieOf(await enter().expect(201));
    expect(winner).not.toBe(cookie);
    for (let i = 0; i < 3; i++) {
      const late = await look().expect(200);
      expect(late.get('Set-Cookie')).toHaveLength(1);
      expect(cookieOf(late)).toBe(winner);
      expect(late.get('Set-Cookie')![0]).toMatch(/; Max-Age=2592000; Path=\/; HttpOnly; Secure; SameSite=Lax$/);
    }
    const settled = await look(winner).expect(200);
    expect(settled.get('Set-Cookie')).toBeUndefined();
  });

  it('a rotation with the old cookie rotates the successor, and its cookie is the last one set', async () => {
    const winner = cookieOf(await enter().expect(201));
    const again = await enter().expect(201);
    const next = lastCookieOf(again);
    expect([cookie, winner]).not.toContain(next);
    for (const old of [cookie, winner]) expect(cookieOf(await look(old).expect(200))).toBe(next);
  });

  it('when the successor is due for an extension, it is the one that is extended and sent', async () => {
    t.clock.advance(days(10));
    const winner = cookieOf(await enter().expect(201));
    await expireSessionsAt(t.db, t.clock.now() + days(1));
    const late = await look().expect(200);
    expect(cookieOf(late)).toBe(winner);
    expect(late.get('Set-Cookie')![0]).toContain('Max-Age=2592000');
    expect((await look(winner).expect(200)).get('Set-Cookie')).toBeUndefined();
  });

  it('R14: after its grace the old cookie ends the session: 401 for both, no cookie cleared, one event', async () => {
    const entered = await enter().expect(201);
    const winner = cookieOf(entered);
    t.clock.advance(seconds(30) - 0.001);
    await look().expect(200);
    t.clock.advance(0.001);
    for (const sent of [cookie, winner, cookie]) {
      const answer = await look(sent).expect(401);
      expect(answer.get('Set-Cookie')).toBeUndefined();
    }
    expect(heard).toEqual([
      { type: 'session.reuse_detected', at: t.clock.now(), userId: ada.id, handle: entered.body.handle },
    ]);
  });

  it('R18: a logout with the old cookie ends the successor, in its grace and after it', async () => {
    for (const later of [0, seconds(31)]) {
      const old = await signInAs(t.app, ada.id);
      const winner = cookieOf(await enter(old).expect(201));
      t.clock.advance(later);
      const logout = await request(t.url).post('/auth/logout').set('Cookie', old).expect(200);
      expect(isCleared(logout)).toBe(true);
      await look(winner).expect(401);
      await look(old).expect(401);
    }
    expect(heard).toEqual([]);
  });

  it('R18: a logout and a rotation at once leave no cookie that works', async () => {
    for (let i = 0; i < 20; i++) {
      const old = await signInAs(t.app, ada.id);
      const [rotation] = await Promise.all([enter(old), request(t.url).post('/auth/logout').set('Cookie', old)]);
      expect([201, 401]).toContain(rotation.status);
      if (rotation.status === 201) await look(lastCookieOf(rotation)).expect(401);
      await look(old).expect(401);
    }
  });

  it('R1: a login with the old cookie, in its grace, ends it and its successor at once', async () => {
    const winner = cookieOf(await enter().expect(201));
    const login = await request(t.url)
      .post('/auth/login')
      .set('Cookie', cookie)
      .send({ email: ada.email, password: PASSWORD })
      .expect(200);
    await look(cookie).expect(401);
    await look(winner).expect(401);
    await look(cookieOf(login)).expect(200);
    expect(heard).toEqual([]);
  });

  it('the list shows one session, as the current one, also to a tab with the old cookie', async () => {
    const { body } = await enter().expect(201);
    const list = await request(t.url).get('/auth/sessions').set('Cookie', cookie).expect(200);
    expect(list.body).toEqual([expect.objectContaining({ handle: body.handle, current: true })]);
    const ended = await request(t.url).delete(`/auth/sessions/${body.handle}`).set('Cookie', cookie).expect(200);
    expect(lastCookieOf(ended)).toMatch(/=$/);
    await look().expect(401);
  });

  it('a bearer token is good for its grace, gets no cookie, and is reuse after it', async () => {
    const sessions = t.app.get(SessionService);
    const { token, session } = await sessions.create(ada.id);
    const rotated = (await sessions.rotate(session, ada.id))!;
    const bearer = () => request(t.url).get('/admin').set('Authorization', `Bearer ${token}`);
    const answer = await bearer().expect(200);
    expect(answer.body).toEqual({ handle: rotated.session.handle });
    expect(answer.get('Set-Cookie')).toBeUndefined();
    t.clock.advance(seconds(30));
    await bearer().expect(401);
    expect(await sessions.lookup(rotated.token)).toBeNull();
    expect(heard).toHaveLength(1);
  });

  it('a database that is away while the successor is looked up: 503, and the cookies stay', async () => {
    const answer = await enter().expect(201);
    const showSessions = await hideSessions(t.db);
    const away = await look().expect(503);
    expect(away.get('Set-Cookie')).toBeUndefined();
    await showSessions();
    expect(tokenOf(await look().expect(200))).toBe(tokenOf(answer));
  });
});
