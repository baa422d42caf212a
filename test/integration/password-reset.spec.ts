import { Injectable } from '@nestjs/common';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import {
  AuthEvents,
  authSchemaFor,
  EphemeralTokenService,
  PasswordHasher,
  SessionService,
  UserDirectory,
  type AuthEvent,
  type AuthUser,
} from 'nestjs-latchkey';
import { NO_PASSWORD } from 'nestjs-latchkey/engine';
import { PasswordLogin, PasswordResetService } from 'nestjs-latchkey/flows';
import { MemoryMailer } from 'nestjs-latchkey/testing';
import { createUser, PASSWORD, startTestApp, type TestApp } from '../support/app.js';
import { sharedTestApp } from '../support/shared-app.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

const NEXT = 'a better passphrase';
const FLOW = {
  baseUrl: 'https://app.example.com',
  mailer: MemoryMailer,
  mail: { pages: { password_reset: '/reset-password' } },
  flows: { passwordReset: {} },
};

async function mailedToken(t: TestApp, email: string): Promise<string> {
  t.app.get(PasswordResetService).request(email);
  return (await MemoryMailer.of(t.app)).last('password_reset').token;
}

describe('PasswordResetService', () => {
  const t = sharedTestApp({ auth: FLOW });
  let resets: PasswordResetService;
  beforeAll(() => {
    resets = t.app.get(PasswordResetService);
  });

  it('returns the account as it is afterwards', async () => {
    const user = await createUser(t.app);
    const changed = await resets.reset(await mailedToken(t, user.email), NEXT);
    expect(changed).toMatchObject({ id: user.id, email: user.email });
    expect(changed.tokensInvalidatedAfter).toBeGreaterThanOrEqual(t.clock.now());
  });

  it.each([undefined, null, 5, ['x'], {}, '', 'x'])('a token that is none is INVALID_LINK: %j', async (token) => {
    await expect(resets.reset(token as string, NEXT)).rejects.toMatchObject({ code: 'INVALID_LINK', facts: {} });
  });

  it.each([
    [undefined, 'INVALID_INPUT'],
    [null, 'INVALID_INPUT'],
    [5, 'INVALID_INPUT'],
    ['', 'WEAK_PASSWORD'],
    ['short', 'WEAK_PASSWORD'],
  ])('a password that is none spends nothing: %j is %s', async (password, code) => {
    const user = await createUser(t.app);
    const token = await mailedToken(t, user.email);
    await expect(resets.reset(token, password as string)).rejects.toMatchObject({ code });
    await resets.reset(token, NEXT);
  });

  it('a token of another type is none, and is not spent (F10)', async () => {
    const tokens = t.app.get(EphemeralTokenService);
    const { email } = await createUser(t.app);
    const exchange = await tokens.issue('oidc_exchange', { username: email });
    await expect(resets.reset(exchange, NEXT)).rejects.toMatchObject({ code: 'INVALID_LINK' });
    expect(await tokens.peek('oidc_exchange', exchange)).not.toBeNull();
  });

  it('F16: the account of another program has one link and one quota in either spelling of its domain', async () => {
    const { id } = await createUser(t.app);
    await t.db.query(`UPDATE users SET email = 'ada@пример.рф' WHERE id = '${id}'`);
    const spellings = ['ada@xn--e1afmkfd.xn--p1ai', 'ada@пример.рф'];
    const links = [];
    for (const spelling of spellings) links.push(await mailedToken(t, spelling));
    await expect(resets.reset(links[0]!, NEXT)).rejects.toMatchObject({ code: 'INVALID_LINK' });
    const mails = await MemoryMailer.of(t.app);
    mails.sent.length = 0;
    for (const spelling of spellings) resets.request(spelling);
    expect((await MemoryMailer.of(t.app)).sent).toHaveLength(1);
    await resets.reset(mails.last('password_reset').token, NEXT);
  });
});

/** Users of the application's own, without cutoffs. */
@Injectable()
class OwnDirectory extends UserDirectory {
  hash = '';
  constructor(private readonly hasher: PasswordHasher) {
    super();
  }
  private readonly ada: AuthUser = { id: '1', email: 'ada@example.com' };
  override async findById(id: string) {
    return id === '1' ? this.ada : null;
  }
  override async findByLogin(login: string) {
    return login === this.ada.email ? this.ada : null;
  }
  override async verifyCredentials(_login: string, password: string) {
    return (await this.hasher.matches(this.hash, password)) ? this.ada : null;
  }
  override async findPasswordHash(): Promise<string> {
    return this.hash;
  }
  override async setPasswordHash(_id: string, hash: string, { replaces }: { replaces?: string } = {}) {
    if (replaces !== undefined && replaces !== this.hash) return false;
    this.hash = hash;
    return true;
  }
}

describe('PasswordResetService with users of the application', () => {
  let db: TestDatabase;
  let t: TestApp;
  let users: OwnDirectory;
  const heard: AuthEvent[] = [];
  beforeAll(async () => {
    const schema = authSchemaFor({ userId: 'text' });
    db = await createTestDatabase({ migrated: false });
    const { entities, migrations } = schema;
    const auth = { ...FLOW, users: OwnDirectory };
    t = await startTestApp({ url: db.url, entities: [...entities], migrations: [...migrations], auth });
    users = t.app.get(OwnDirectory);
    t.app.get(AuthEvents).on((event) => void heard.push(event));
  });
  afterAll(async () => {
    await t?.close();
    await db?.drop();
  });
  beforeEach(async () => {
    t.clock.advance(1_000_000);
    users.hash = await t.app.get(PasswordHasher).hash(PASSWORD);
    heard.length = 0;
  });

  it('F35: their sessions end too, and say so', async () => {
    const sessions = t.app.get(SessionService);
    const { token } = await sessions.create('1');
    await t.app.get(PasswordResetService).reset(await mailedToken(t, 'ada@example.com'), NEXT);
    expect(await sessions.lookup(token)).toBeNull();
    const told = heard.filter(({ type }) => type === 'session.revoked' || type === 'password.reset');
    expect(told).toEqual([
      expect.objectContaining({ userId: '1', reason: 'password_changed', count: 1 }),
      { type: 'password.reset', at: t.clock.now(), userId: '1', ip: null },
    ]);
  });

  it('F41: a password that failures have disabled is revived', async () => {
    await t.db.query(`INSERT INTO auth_password_attempts (user_id, failures) VALUES ('1', 100)`);
    const verify = (password: string) => t.app.get(PasswordLogin).verify('ada@example.com', password);
    await expect(verify(PASSWORD)).rejects.toMatchObject({ code: 'INVALID_CREDENTIALS' });
    await t.app.get(PasswordResetService).reset(await mailedToken(t, 'ada@example.com'), NEXT);
    expect(await verify(NEXT)).toMatchObject({ id: '1' });
  });

  it('F25: a password that is written by somebody else meanwhile is kept', async () => {
    const token = await mailedToken(t, 'ada@example.com');
    const hasher = t.app.get(PasswordHasher);
    const hash = hasher.hash.bind(hasher);
    hasher.hash = async (...args) => {
      users.hash = 'the hash of another one';
      return hash(...args);
    };
    const reset = t.app.get(PasswordResetService).reset(token, NEXT);
    await expect(reset).rejects.toMatchObject({ code: 'INVALID_LINK' });
    hasher.hash = hash;
    expect(users.hash).toBe('the hash of another one');
  });

  it('F38: NO_PASSWORD as the hash says that there is none', async () => {
    users.hash = NO_PASSWORD;
    t.app.get(PasswordResetService).request('ada@example.com');
    expect((await MemoryMailer.of(t.app)).sent.at(-1)).toMatchObject({ kind: 'no_password' });
  });
});
