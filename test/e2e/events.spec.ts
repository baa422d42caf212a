import { Injectable } from '@nestjs/common';
import { EventEmitter2, EventEmitterModule, OnEvent } from '@nestjs/event-emitter';
import { beforeAll, describe, expect, it } from '@jest/globals';
import {
  AuthEvents,
  AuthTransaction,
  days,
  EphemeralTokenService,
  RateLimitService,
  seconds,
  SessionService,
  PostgresUserDirectory,
  type AuthEvent,
  type AuthUser,
} from 'nestjs-latchkey';
import { AuditLog } from 'nestjs-latchkey/engine';
import request from 'supertest';
import { createUser, PASSWORD } from '../support/app.js';
import { sharedTestApp } from '../support/shared-app.js';
import { cookieOf, tokenOf } from '../support/cookies.js';

@Injectable()
class Audience {
  readonly heard: AuthEvent[] = [];

  @OnEvent('auth.session.revoked')
  listen(event: AuthEvent) {
    this.heard.push(event);
  }
}

const t = sharedTestApp({
  auth: { audit: { enabled: true }, session: { maxPerUser: 3 } },
  imports: [EventEmitterModule.forRoot()],
  providers: [Audience],
});
let sessions: SessionService;
let tokens: EphemeralTokenService;
const everything: AuthEvent[] = [];
/** What may be in no event, and in no row of the audit table. */
const secrets: string[] = [PASSWORD, 'a wrong password', 'another good password'];

beforeAll(() => {
  sessions = t.app.get(SessionService);
  tokens = t.app.get(EphemeralTokenService);
  t.app.get(AuthEvents).on((event) => void everything.push(event));
});

const account = () => createUser(t.app);
/** What `work` tells, without the time. */
async function during(work: () => Promise<unknown>): Promise<object[]> {
  const from = everything.length;
  await work();
  return everything.slice(from).map(({ at, ...event }) => {
    expect(at).toBeLessThanOrEqual(t.clock.now());
    return event;
  });
}
const server = () => t.app.getHttpServer() as Parameters<typeof request>[0];
const logIn = (email: string, password = PASSWORD, cookie = '') =>
  request(server()).post('/auth/login').set('Cookie', cookie).send({ email, password });
const open = async ({ id }: AuthUser, context?: Parameters<SessionService['create']>[1]) => {
  const issued = await sessions.create(id, context);
  secrets.push(issued.token, issued.session.id);
  return issued;
};
const revoked = (userId: string, handle: string | null, reason: string, count: number | null = 1) => ({
  type: 'session.revoked',
  userId,
  handle,
  reason,
  count,
});

describe('login and logout', () => {
  it('L1: every attempt, with the name in its one spelling, the address, the factor and why it failed', async () => {
    const { id, email } = await account();
    const attempt = { login: email, ip: '127.0.0.1', factors: ['password'] };
    const heard = await during(async () => {
      await logIn(email.toUpperCase()).expect(200);
      await logIn(email, 'a wrong password').expect(401);
      await logIn('nobody@example.com', 'a wrong password').expect(401);
    });
    expect(heard).toEqual([
      { type: 'session.created', userId: id, handle: expect.any(String), ip: '127.0.0.1' },
      { type: 'login.succeeded', userId: id, ...attempt },
      { type: 'login.failed', reason: 'INVALID_CREDENTIALS', ...attempt },
      { type: 'login.failed', reason: 'INVALID_CREDENTIALS', ...attempt, login: 'nobody@example.com' },
    ]);
  });

  it('the session that a login replaces, and the one that a logout ends; a second logout ends nothing', async () => {
    const { id, email } = await account();
    const first = await logIn(email);
    const { handle } = (await sessions.listForUser(id))[0]!;
    let cookie = '';
    const login = await during(async () => {
      const second = await logIn(email, PASSWORD, cookieOf(first)).expect(200);
      cookie = cookieOf(second);
      secrets.push(tokenOf(first), tokenOf(second));
    });
    expect(login.slice(0, 2)).toEqual([
      revoked(id, handle, 'replaced_by_login'),
      { type: 'session.created', userId: id, handle: expect.any(String), ip: '127.0.0.1' },
    ]);
    const [current] = await sessions.listForUser(id);
    const logout = await during(async () => {
      for (let i = 0; i < 2; i++) await request(server()).post('/auth/logout').set('Cookie', cookie).expect(200);
    });
    expect(logout).toEqual([
      revoked(id, current!.handle, 'logout'),
      { type: 'logout', userId: id, handle: current!.handle, ip: '127.0.0.1' },
    ]);
  });

  it('"log out everywhere" is one event of the sessions and one of the logout', async () => {
    const user = await account();
    await open(user);
    const cookie = cookieOf(await logIn(user.email));
    const heard = await during(() => request(server()).post('/auth/logout-all').set('Cookie', cookie).expect(200));
    expect(heard).toEqual([
      revoked(user.id, null, 'revoked_all', 2),
      { type: 'logout', userId: user.id, handle: null, ip: '127.0.0.1' },
    ]);
  });
});

describe('L2: the life of a session', () => {
  it('rotated, extended, ended by id, by handle, by a login too many', async () => {
    const user = await account();
    const { id } = user;
    const { session } = await open(user);
    const { handle } = session;
    const of = { userId: id, handle };
    const heard = await during(async () => {
      const rotated = (await sessions.rotate(session, id, { ip: '192.0.2.7' }))!;
      secrets.push(rotated.token, rotated.session.id);
      t.clock.advance(days(29));
      await sessions.maybeExtend(rotated.session);
      await sessions.maybeExtend(rotated.session); // somebody else has done it
      await sessions.revoke(rotated.session.id);
      await sessions.revoke(rotated.session.id);
    });
    expect(heard).toEqual([
      { type: 'session.rotated', ...of, ip: '192.0.2.7' },
      { type: 'session.extended', ...of, expiresAt: t.clock.now() + days(30) },
      revoked(id, handle, 'revoked'),
    ]);
    const issued = [];
    for (let i = 0; i < 3; i++, t.clock.advance(1)) issued.push(await open(user));
    const oldest = issued[0]!.session.handle;
    expect(await during(() => open(user))).toEqual([
      revoked(id, oldest, 'cap'),
      { type: 'session.created', userId: id, handle: expect.any(String), ip: null },
    ]);
    const last = issued[2]!.session.handle;
    const byHandle = await during(async () => {
      await sessions.revokeByHandle(id, last.toUpperCase());
      await sessions.revokeByHandle(id, last);
    });
    expect(byHandle).toEqual([revoked(id, last, 'revoked_by_handle')]);
  });

  it('reuse, a new password, a disabled account', async () => {
    const user = await account();
    const { id } = user;
    const users = t.app.get(PostgresUserDirectory);
    const { token, session } = await open(user);
    const rotated = (await sessions.rotate(session, id))!;
    secrets.push(rotated.token, rotated.session.id);
    t.clock.advance(seconds(30));
    const heard = await during(async () => {
      for (let i = 0; i < 2; i++) await sessions.lookup(token);
      await users.setPassword(id, 'another good password');
      await users.disable(id);
    });
    expect(heard).toEqual([
      { type: 'session.reuse_detected', userId: id, handle: session.handle },
      revoked(id, session.handle, 'reuse'),
      revoked(id, null, 'password_changed', null),
      revoked(id, null, 'disabled', null),
    ]);
  });
});

describe('tokens, limits and transactions', () => {
  it('a token is consumed once and refused after that; the token itself is not told', async () => {
    const { id, email } = await account();
    const token = await tokens.issue('password_reset', { username: email });
    secrets.push(token);
    const heard = await during(async () => {
      for (let i = 0; i < 2; i++) await tokens.consume('password_reset', token);
      await tokens.consume('password_reset', 'garbage');
    });
    const refused = { type: 'token.refused', tokenType: 'password_reset' };
    expect(heard).toEqual([{ type: 'token.consumed', tokenType: 'password_reset', userId: id }, refused, refused]);
  });

  it('a limit is told once while it refuses, however often it is asked', async () => {
    const limits = t.app.get(RateLimitService);
    const ask = async (times: number) => {
      for (let i = 0; i < times; i++) await limits.consume('email_send', 'Grace@example.com');
    };
    const until = t.clock.now() + seconds(600);
    const reached = { type: 'rate_limit.reached', event: 'email_send', subject: 'grace@example.com', until };
    expect(await during(() => ask(3))).toEqual([]);
    expect(await during(() => ask(20))).toEqual([reached]);
    t.clock.advance(seconds(2)); // what is remembered of the refusal is asked for again
    expect(await during(() => ask(3))).toEqual([]);
    t.clock.set(until);
    await ask(3);
    expect(await during(() => ask(2))).toHaveLength(1);
  });

  it('what a transaction does is told at its end, and not at all when it is undone; a refusal is', async () => {
    const user = await account();
    const transaction = t.app.get(AuthTransaction);
    const users = t.app.get(PostgresUserDirectory);
    await open(user);
    const undone = await during(() =>
      transaction
        .run(async () => {
          await users.disable(user.id);
          await tokens.consume('oidc_exchange', 'garbage');
          throw new Error('undone');
        })
        .catch(() => undefined),
    );
    expect(undone).toEqual([{ type: 'token.refused', tokenType: 'oidc_exchange' }]);
    const done = await during(() =>
      transaction.run(async () => {
        const from = everything.length;
        await users.disable(user.id);
        expect(everything.length).toBe(from);
      }),
    );
    expect(done).toEqual([revoked(user.id, null, 'disabled', null)]);
  });
});

describe('who else hears of it', () => {
  it("Nest's event emitter, by `auth.` and the type; one that throws there harms nobody", async () => {
    const user = await account();
    const { session } = await open(user);
    t.app.get(EventEmitter2).on('auth.session.revoked', () => {
      throw new Error('a listener of the host');
    });
    const rejects = () => Promise.reject(new Error('a listener that waits'));
    t.app.get(EventEmitter2).on('auth.session.revoked', rejects as () => void);
    await sessions.revoke(session.id);
    expect(t.app.get(Audience).heard.at(-1)).toMatchObject(revoked(user.id, session.handle, 'revoked'));
  });

  it('the audit table, with every event and no secret', async () => {
    await t.app.get(AuditLog).flush();
    const rows = await t.db.query(
      `SELECT type, date_part('epoch', at) * 1000 AS at, user_id, login, ip, handle, facts
       FROM auth_audit_events ORDER BY id`,
    );
    expect(rows).toHaveLength(everything.length);
    rows.forEach(({ type, at, user_id, login, ip, handle, facts }, i) => {
      const written = { type, userId: user_id, login, ip, handle, ...(facts as object) };
      const { at: told, ...event } = everything[i]!;
      expect(written).toMatchObject(event);
      expect(at).toBeCloseTo(told, 2);
    });
    const kinds = 'login.failed login.succeeded logout rate_limit.reached session.created session.extended '.concat(
      'session.reuse_detected session.revoked session.rotated token.consumed token.refused',
    );
    expect([...new Set(everything.map(({ type }) => type))].toSorted().join(' ')).toBe(kinds);

    const hashes = await t.db.query<{ hash: string }>(
      'SELECT password_hash AS hash FROM users UNION ALL SELECT token FROM auth_ephemeral_tokens UNION ALL SELECT id FROM sessions',
    );
    expect(secrets.length).toBeGreaterThan(15);
    const told = JSON.stringify([everything, rows]);
    for (const secret of [...secrets, ...hashes.map(({ hash }) => hash)]) expect(told).not.toContain(secret);
  });
});
