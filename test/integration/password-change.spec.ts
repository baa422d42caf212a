import { Injectable } from '@nestjs/common';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import {
  AuthError,
  AuthEvents,
  authSchemaFor,
  JwtCodecService,
  PasswordHasher,
  PostgresUserDirectory,
  SessionService,
  TokenRevocationService,
  UserDirectory,
  type AuthEvent,
  type AuthUser,
} from 'nestjs-latchkey';
import { AuditLog } from 'nestjs-latchkey/engine';
import { PasswordChangeService } from 'nestjs-latchkey/flows';
import { Client } from 'pg';
import request from 'supertest';
import { createUser, NO_LOGIN_LIMITS, PASSWORD, startTestApp, type TestApp } from '../support/app.js';
import { createTestDatabase } from '../support/database.js';
import { until } from '../support/heard.js';

const NEXT = 'a better passphrase';
const WRONG = 'not the passphrase';
const LIMITS = { ...NO_LOGIN_LIMITS, policies: { ...NO_LOGIN_LIMITS?.policies, password_change: { limit: 5 } } };

/** `ok`, or the code of the error. */
const outcome = (change: Promise<unknown>): Promise<string> =>
  change.then(
    () => 'ok',
    (error: unknown) => (error instanceof AuthError ? error.code : Promise.reject(error as Error)),
  );

describe.each([false, true])('F39: changePassword, caches on: %p', (enabled) => {
  const heard: AuthEvent[] = [];
  let t: TestApp, user: AuthUser;
  let passwords: PasswordChangeService, sessions: SessionService;
  beforeAll(async () => {
    t = await startTestApp({
      auth: { cache: { enabled }, audit: { enabled: true }, jwt: { sessions: true }, rateLimits: LIMITS },
    });
    passwords = t.app.get(PasswordChangeService);
    sessions = t.app.get(SessionService);
    t.app.get(AuthEvents).on((event) => void heard.push(event));
  });
  afterAll(() => t?.close());
  beforeEach(async () => {
    t.clock.advance(60_000);
    user = await createUser(t.app);
    heard.length = 0;
  });
  afterEach(() => {
    jest.restoreAllMocks();
  });

  const open = () => sessions.create(user.id);
  const logIn = (password: string) => request(t.url).post('/auth/login').send({ email: user.email, password });
  const isAlive = async (token: string) => (await sessions.lookup(token)) !== null;
  /** Whether the password is still the old one and these sessions live. */
  const isUnchanged = async (...tokens: string[]) => {
    for (const token of tokens) if (!(await isAlive(token))) return false;
    return (await logIn(PASSWORD)).status === 200;
  };

  it('F39: the kept session gets a new token; its old one, other sessions and JWTs end', async () => {
    const [own, other] = [await open(), await open()];
    const codec = t.app.get(JwtCodecService);
    const payload = codec.decode(codec.encode(user.id).token);
    for (const { token } of [own, other]) expect(await isAlive(token)).toBe(true);
    const changed = await passwords.changePassword(user.id, PASSWORD, NEXT, { keep: own.session, ip: '192.0.2.7' });
    const kept = await sessions.lookup(changed.credential!.value);
    expect(kept?.session).toMatchObject({ userId: user.id, ip: '192.0.2.7' });
    for (const { token } of [own, other]) expect(await isAlive(token)).toBe(false);
    await expect(t.app.get(TokenRevocationService).userOf(payload)).rejects.toMatchObject({
      code: 'TOKENS_INVALIDATED',
    });
    expect(await sessions.listForUser(user.id)).toHaveLength(1);
    await logIn(PASSWORD).expect(401);
    await logIn(NEXT).expect(200);
  });

  it('F39: without keep every session ends; one event and one audit row, without a secret', async () => {
    const { token } = await open();
    heard.length = 0;
    expect((await passwords.changePassword(user.id, PASSWORD, NEXT, { ip: '192.0.2.7' })).credential).toBeNull();
    expect(await isAlive(token)).toBe(false);
    expect(heard.map(({ type }) => type)).toEqual(['session.revoked', 'password.changed']);
    expect(heard[1]).toEqual({ type: 'password.changed', at: t.clock.now(), userId: user.id, ip: '192.0.2.7' });
    await t.app.get(AuditLog).flush();
    const rows = await t.db.query(
      `SELECT ip, facts FROM auth_audit_events WHERE type = 'password.changed' AND user_id = '${user.id}'`,
    );
    expect(rows).toEqual([{ ip: '192.0.2.7', facts: {} }]);
  });

  it('F39: of 4 changes at once exactly one wins, and its session alone is left', async () => {
    const own = await Promise.all(Array.from({ length: 4 }, open));
    const changes = own.map(({ session }, i) =>
      passwords.changePassword(user.id, PASSWORD, `${NEXT} ${i}`, { keep: session }),
    );
    const settled = await Promise.allSettled(changes);
    const won = settled.flatMap((one, i) => (one.status === 'fulfilled' ? [{ i, ...one.value }] : []));
    expect(won).toHaveLength(1);
    expect(await isAlive(won[0]!.credential!.value)).toBe(true);
    expect(await sessions.listForUser(user.id)).toHaveLength(1);
    await logIn(`${NEXT} ${won[0]!.i}`).expect(200);
  });

  it('F39: of 4 changes at once without a session to keep exactly one wins, and the others say wrong password', async () => {
    const changes = [0, 1, 2, 3].map((i) => outcome(passwords.changePassword(user.id, PASSWORD, `${NEXT} ${i}`)));
    const outcomes = await Promise.all(changes);
    expect(outcomes.toSorted()).toEqual([...Array<string>(3).fill('INVALID_CREDENTIALS'), 'ok']);
    await logIn(`${NEXT} ${outcomes.indexOf('ok')}`).expect(200);
  });

  it('F39: a password that is set while the current one is verified is kept', async () => {
    const hasher = t.app.get(PasswordHasher);
    const hash = hasher.hash.bind(hasher);
    jest.spyOn(hasher, 'hash').mockImplementationOnce(async (...args) => {
      await t.app.get(PostgresUserDirectory).setPassword(user.id, 'set by the owner');
      return hash(...args);
    });
    expect(await outcome(passwords.changePassword(user.id, PASSWORD, NEXT))).toBe('INVALID_CREDENTIALS');
    await logIn('set by the owner').expect(200);
  });

  it('F39: a session that is ended while the change is under way is not kept, and changes nothing', async () => {
    const own = await open();
    const hasher = t.app.get(PasswordHasher);
    const hash = hasher.hash.bind(hasher);
    jest.spyOn(hasher, 'hash').mockImplementationOnce(async (...args) => {
      await sessions.revoke(own.session.id);
      return hash(...args);
    });
    const change = passwords.changePassword(user.id, PASSWORD, NEXT, { keep: own.session });
    expect(await outcome(change)).toBe('SESSION_NOT_FOUND');
    expect(await isUnchanged()).toBe(true);
  });

  it('F39: a JWT whose user signs out everywhere while the change is under way is not kept, and changes nothing', async () => {
    const keep = await jwtSession();
    const hasher = t.app.get(PasswordHasher);
    const hash = hasher.hash.bind(hasher);
    jest.spyOn(hasher, 'hash').mockImplementationOnce(async (...args) => {
      await t.app.get(TokenRevocationService).revokeAllForUser(user.id);
      return hash(...args);
    });
    const change = passwords.changePassword(user.id, PASSWORD, NEXT, { keep, transport: 'bearer' });
    expect(await outcome(change)).toBe('SESSION_NOT_FOUND');
    expect(await isUnchanged()).toBe(true);
  });

  it('F39: nor one that waits for the lock of the statement by which its user signs out', async () => {
    const keep = await jwtSession();
    const held = new Client({ connectionString: t.db.url });
    await held.connect();
    try {
      await held.query('BEGIN');
      const at = (t.clock.now() + 1) / 1000;
      await held.query('SELECT latchkey_end_access($1, to_timestamp($2), NULL, false)', [user.id, at]);
      const change = outcome(passwords.changePassword(user.id, PASSWORD, NEXT, { keep, transport: 'bearer' }));
      const waits = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
      await until(async () => (await t.db.query(waits)).length > 0);
      await held.query('COMMIT');
      expect(await change).toBe('SESSION_NOT_FOUND');
    } finally {
      await held.end();
    }
    expect(await isUnchanged()).toBe(true);
  });

  it.each([undefined, null, 5, ['x'], { length: 9 }])(
    'F39: a current password that is not a string counts nothing: %j',
    async (current) => {
      const change = passwords.changePassword(user.id, current as string, NEXT);
      const fields = { currentPassword: 'must be a string' };
      await expect(change).rejects.toMatchObject({ code: 'INVALID_INPUT', facts: { fields } });
      expect(await t.db.query(`SELECT 1 FROM auth_password_attempts WHERE user_id = '${user.id}'`)).toEqual([]);
    },
  );

  it('F39: a wrong password, an unknown and a disabled account look the same', async () => {
    const disabled = await createUser(t.app);
    await t.app.get(PostgresUserDirectory).disable(disabled.id);
    const errors = [];
    for (const id of [user.id, disabled.id, '00000000-0000-4000-8000-000000000000', 'nobody']) {
      const current = id === user.id ? WRONG : PASSWORD;
      errors.push(await passwords.changePassword(id, current, NEXT).catch((error: unknown) => error));
    }
    const { message } = errors[0] as AuthError;
    for (const error of errors) expect(error).toMatchObject({ code: 'INVALID_CREDENTIALS', message, facts: {} });
    expect(await isUnchanged()).toBe(true);
  });

  it('F39: 5 wrong ones, then 429 for the right one too', async () => {
    for (let i = 0; i < 5; i++) {
      expect(await outcome(passwords.changePassword(user.id, WRONG, NEXT))).toBe('INVALID_CREDENTIALS');
    }
    expect(await outcome(passwords.changePassword(user.id, PASSWORD, NEXT))).toBe('RATE_LIMITED');
    expect(await isUnchanged()).toBe(true);
  });

  it('F39: a wrong password counts like one of a login: after 100 in a row the right one is refused', async () => {
    await t.db.query(`UPDATE auth_password_attempts SET failures = 99 WHERE user_id = '${user.id}'`);
    await t.db.query(
      `INSERT INTO auth_password_attempts (user_id, failures) VALUES ('${user.id}', 99) ON CONFLICT DO NOTHING`,
    );
    expect(await outcome(passwords.changePassword(user.id, WRONG, NEXT))).toBe('INVALID_CREDENTIALS');
    expect(heard.map(({ type }) => type)).toContain('password.disabled');
    expect(await outcome(passwords.changePassword(user.id, PASSWORD, NEXT))).toBe('INVALID_CREDENTIALS');
  });

  it('F39: the session of another user and one that has ended are refused before a password is looked at', async () => {
    const other = await createUser(t.app);
    const foreign = await sessions.create(other.id);
    const ended = await open();
    await sessions.revoke(ended.session.id);
    const forged = { ...foreign.session, userId: user.id };
    for (const keep of [foreign.session, forged, ended.session]) {
      const change = passwords.changePassword(user.id, PASSWORD, NEXT, { keep });
      expect(await outcome(change)).toBe('SESSION_NOT_FOUND');
    }
    expect(await isAlive(foreign.token)).toBe(true);
    expect(await isUnchanged()).toBe(true);
  });

  it.each([
    ['', 'too_short', 'must have at least 15 characters'],
    ['short', 'too_short', 'must have at least 15 characters'],
    ['x'.repeat(1025), 'too_long', 'must have at most 1024 characters'],
  ])('F39: a new password of the wrong length counts nothing: %j', async (next, rule, expected) => {
    for (let i = 0; i < 6; i++) {
      const change = passwords.changePassword(user.id, PASSWORD, next);
      const facts = { fields: { newPassword: expected }, rules: [rule] };
      await expect(change).rejects.toMatchObject({ code: 'WEAK_PASSWORD', facts });
    }
    expect(await isUnchanged()).toBe(true);
  });

  it('F39: if the new session cannot be written nothing is changed, and nobody is told', async () => {
    const [own, other] = [await open(), await open()];
    await t.db.query(`CREATE FUNCTION refuse_session() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '57014'; END $$`);
    await t.db.query('CREATE TRIGGER refuse BEFORE INSERT ON sessions EXECUTE FUNCTION refuse_session()');
    heard.length = 0;
    try {
      const change = passwords.changePassword(user.id, PASSWORD, NEXT, { keep: own.session });
      expect(await outcome(change)).toBe('STORE_UNAVAILABLE');
    } finally {
      await t.db.query('DROP FUNCTION refuse_session CASCADE');
    }
    expect(heard).toEqual([]);
    expect(await isUnchanged(own.token, other.token)).toBe(true);
  });

  it('F39: a kept JWT is replaced by a new one', async () => {
    const keep = await jwtSession();
    const { credential } = await passwords.changePassword(user.id, PASSWORD, NEXT, { keep, transport: 'bearer' });
    const me = (token: string) => request(t.url).get('/auth/session').set('Authorization', `Bearer ${token}`);
    await me(credential!.value).expect(200);
    const again = passwords.changePassword(user.id, NEXT, PASSWORD, { keep, transport: 'bearer' });
    expect(await outcome(again)).toBe('SESSION_NOT_FOUND');
  });

  const jwtSession = async () => {
    const {
      sub: userId,
      jti,
      iat,
      exp,
    } = t.app.get(JwtCodecService).decode(t.app.get(JwtCodecService).encode(user.id).token);
    const at = { createdAt: iat, authenticatedAt: iat, lastSeenAt: iat, expiresAt: exp, absoluteExpiresAt: exp };
    return { id: jti, handle: jti, userId, ...at, ip: null, userAgent: null, aal: 1 as const, amr: [], data: {} };
  };
});

@Injectable()
class PlainDirectory extends UserDirectory {
  override findById = async (id: string) => ({ id, email: 'ada@example.com' });
  override findByLogin = async (email: string) => ({ id: '1', email });
  override verifyCredentials = async () => null;
}

it('F39: a UserDirectory that cannot change passwords says what to override', async () => {
  const t = await startTestApp({ auth: { users: PlainDirectory } });
  try {
    const change = t.app.get(PasswordChangeService).changePassword('1', PASSWORD, NEXT);
    await expect(change).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      facts: { operation: 'findPasswordHash' },
      message: expect.stringMatching(/override findPasswordHash\(\) and setPasswordHash\(\)/),
    });
  } finally {
    await t.close();
  }
});

/** Users of the application's own, without cutoffs. */
@Injectable()
class OwnDirectory extends PlainDirectory {
  hash = '';
  override findPasswordHash = async () => this.hash;
  override setPasswordHash = async (_id: string, hash: string, { replaces }: { replaces?: string } = {}) => {
    if (replaces !== undefined && replaces !== this.hash) return false;
    this.hash = hash;
    return true;
  };
}

it('F39: in a UserDirectory of the application the other sessions end too, and say so', async () => {
  const schema = authSchemaFor({ userId: 'text' });
  const db = await createTestDatabase({ migrated: false });
  const t = await startTestApp({
    url: db.url,
    entities: [...schema.entities],
    migrations: [...schema.migrations],
    auth: { users: OwnDirectory },
  });
  try {
    const hasher = t.app.get(PasswordHasher);
    t.app.get(OwnDirectory).hash = await hasher.hash(PASSWORD);
    const sessions = t.app.get(SessionService);
    const [own, other] = [await sessions.create('1'), await sessions.create('1')];
    const heard: AuthEvent[] = [];
    t.app.get(AuthEvents).on((event) => void heard.push(event));
    const passwords = t.app.get(PasswordChangeService);
    expect(await outcome(passwords.changePassword('1', WRONG, NEXT))).toBe('INVALID_CREDENTIALS');
    const { credential } = await passwords.changePassword('1', PASSWORD, NEXT, { keep: own.session });
    expect(await sessions.lookup(credential!.value)).not.toBeNull();
    for (const { token } of [own, other]) expect(await sessions.lookup(token)).toBeNull();
    expect(await hasher.matches(t.app.get(OwnDirectory).hash, NEXT)).toBe(true);
    const revoked = { type: 'session.revoked', userId: '1', handle: null, reason: 'password_changed', count: 1 };
    expect(heard).toContainEqual({ ...revoked, at: t.clock.now() });
  } finally {
    await t.close();
    await db.drop();
  }
});
