import { beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import {
  AuthError,
  EphemeralTokenService,
  hours,
  minutes,
  PasswordHasher,
  PostgresUserDirectory,
  type AuthUser,
  type EphemeralTokenType,
} from 'nestjs-latchkey';
import { CleanupService } from 'nestjs-latchkey/engine';
import { AuthConfig, EphemeralTokenStore } from 'nestjs-latchkey/engine';
import { sha256Hex } from '../../src/crypto/hash.js';
import { createUser } from '../support/app.js';
import { sharedTestApp } from '../support/shared-app.js';
import { ADA, BUILT_IN, twoResets, type Example } from '../support/token-types.js';

declare module 'nestjs-latchkey' {
  interface EphemeralTokenFields {
    team_invite: { username: string; teamId: string; roles?: string[] };
    team_link: { teamId: string };
  }
}

const TYPES: { [Type in EphemeralTokenType]: Example<Type> } = {
  ...BUILT_IN,
  team_invite: [{ username: ADA, teamId: 'blue', roles: ['reader'] }, 'blue', hours(1)],
  team_link: [{ teamId: 'x'.repeat(500) }, undefined, hours(2)],
};
const EVERY_TYPE = Object.entries(TYPES).map(([type, rest]) => [type as EphemeralTokenType, ...rest] as const);

const t = sharedTestApp({
  auth: {
    ephemeralTokens: {
      team_invite: { ttl: hours(1), onePerUser: true, binding: 'teamId' },
      team_link: { ttl: hours(2) },
    },
  },
});
let tokens: EphemeralTokenService;
let users: PostgresUserDirectory;
let ada: AuthUser;
beforeAll(async () => {
  tokens = t.app.get(EphemeralTokenService);
  users = t.app.get(PostgresUserDirectory);
  t.clock.set(Date.now());
  ada = await createUser(t.app, ADA);
});
beforeEach(async () => {
  t.clock.set(Date.now());
  await t.db.query('DELETE FROM auth_ephemeral_tokens');
  await t.db.query('UPDATE users SET disabled_at = NULL, tokens_invalidated_after = NULL');
  t.queries.reset();
});

const rows = () => t.db.query('SELECT * FROM auth_ephemeral_tokens ORDER BY id');
const issue = (type: EphemeralTokenType) => tokens.issue(type, TYPES[type][0]);
const consume = (type: EphemeralTokenType, token: string, binding: string | null = TYPES[type][1] ?? null) =>
  tokens.consume(type as 'pre_auth', token, binding);
const peek = (type: EphemeralTokenType, token: string, binding: string | null = TYPES[type][1] ?? null) =>
  tokens.peek(type as 'pre_auth', token, binding);

it.each<[string, EphemeralTokenType, object]>([
  [
    'F46: the id of an account whose letters are of either case',
    'email_revert',
    { account: 'V1StGXR8_Z5jd', from: ADA },
  ],
  ['an address longer than the column', 'register', { email: `ada@${'long.'.repeat(40)}example` }],
])('%s comes back as it is', async (_, type, own) => {
  const fields = { ...TYPES[type][0], ...own };
  const token = await tokens.issue(type, fields);
  expect(await tokens.consume(type as 'register', token)).toEqual(fields);
});

describe.each(EVERY_TYPE)('%s', (type, fields, binding, ttl) => {
  it('gives its fields once', async () => {
    const token = await issue(type);
    expect(await peek(type, token)).toEqual(fields);
    expect(await consume(type, token)).toEqual(fields);
    expect(await consume(type, token)).toBeNull();
    expect(await peek(type, token)).toBeNull();
    expect(await rows()).toEqual([]);
  });

  it('R8: of 50 parallel consumers of one token exactly one wins', async () => {
    const token = await issue(type);
    const results = await Promise.all(Array.from({ length: 50 }, () => consume(type, token)));
    expect(results.filter((result) => result !== null)).toEqual([fields]);
  });

  it('is over at the exact instant, and the expired row stays until it is purged', async () => {
    const token = await issue(type);
    t.clock.advance(ttl - 0.01);
    expect(await peek(type, token)).toEqual(fields);
    t.clock.advance(0.01);
    expect(await peek(type, token)).toBeNull();
    expect(await consume(type, token)).toBeNull();
    expect(await rows()).toHaveLength(1);
    expect(await t.app.get(EphemeralTokenStore).deleteExpired(t.clock.now(), 10)).toBe(1);
    expect(await rows()).toEqual([]);
  });

  it('is not burnt by a wrong type', async () => {
    const token = await issue(type);
    for (const other of Object.keys(TYPES) as EphemeralTokenType[]) {
      if (other !== type) expect(await consume(other, token)).toBeNull();
    }
    expect(await consume(type, token)).toEqual(fields);
  });

  if (binding !== undefined) {
    it.each([
      ['another', 'archive:6'],
      ['none', null],
      ['an empty one', ''],
      ['one with NUL', 'a\0b'],
      ['one that is too long', 'a'.repeat(5000)],
    ])('is not burnt by a wrong binding: %s', async (_, wrong) => {
      const token = await issue(type);
      expect(await tokens.peek(type as 'pre_auth', token, wrong)).toBeNull();
      expect(await tokens.consume(type as 'pre_auth', token, wrong)).toBeNull();
      expect(await consume(type, token)).toEqual(fields);
    });
  }

  it('R33: the stored hash is no token, and the token is nowhere in the row', async () => {
    const token = await issue(type);
    const [row] = await rows();
    expect(row!['token']).toBe(sha256Hex(Buffer.from(token, 'base64url')));
    expect(JSON.stringify(row)).not.toContain(token);
    expect(await consume(type, row!['token'] as string)).toBeNull();
    expect(await consume(type, Buffer.from(row!['token'] as string, 'hex').toString('base64url'))).toBeNull();
    expect(await consume(type, token)).toEqual(fields);
  });
});

describe('what a token looks like', () => {
  it('has 43 characters, and the 32 of the seed for downloads', async () => {
    expect(await tokens.issue('oidc_state', { providerId: 1, nonce: 'n', codeVerifier: 'v' })).toMatch(/^[\w-]{43}$/);
    expect(await tokens.issue('slicer_download', { resource: 'library:99' })).toMatch(/^[\w-]{32}$/);
  });

  it.each([
    ['nothing', ''],
    ['bogus', 'bogus'],
    ['200 characters', 'a'.repeat(200)],
    ['a million characters', 'a'.repeat(1_000_000)],
    ['another alphabet', '+'.repeat(43)],
    ['spare bits that are set', `${'A'.repeat(42)}B`],
    ['padding', `${'A'.repeat(43)}=`],
    ['a line feed', `${'A'.repeat(43)}\n`],
    ['NUL', `${'A'.repeat(42)}\0`],
    ['a number', 5],
    ['an object', { $ne: null }],
    ['a list', ['A'.repeat(43)]],
    ['null', null],
    ['undefined', undefined],
  ])('%s is null, without a query', async (_, token) => {
    expect(await tokens.consume('password_reset', token as string)).toBeNull();
    expect(await tokens.peek('slicer_download', token as string, 'archive:5')).toBeNull();
    expect(t.queries.statements).toEqual([]);
  });

  it('one statement consumes; the token of an account costs one more, which asks for the account', async () => {
    const download = await tokens.issue('slicer_download', { resource: 'archive:5' });
    const reset = await issue('password_reset');
    t.queries.reset();
    await tokens.consume('slicer_download', download, 'archive:5');
    expect(t.queries.statements).toHaveLength(1);
    await tokens.consume('password_reset', reset);
    expect(t.queries.statements).toHaveLength(3);
  });

  it('another lifetime where it is asked for', async () => {
    const token = await tokens.issue('password_reset', { username: ADA }, { ttl: minutes(1) });
    t.clock.advance(minutes(1));
    expect(await tokens.consume('password_reset', token)).toBeNull();
    await expect(tokens.issue('password_reset', { username: ADA }, { ttl: 0 })).rejects.toThrow(TypeError);
  });

  it('a token of an unknown type is an error that lists the known ones', async () => {
    await expect(tokens.issue('invoice' as 'pre_auth', { username: ADA })).rejects.toThrow(
      /There is no token type 'invoice'; known types: pre_auth, oidc_state, .*team_link/,
    );
    await expect(tokens.consume('constructor' as 'pre_auth', '')).rejects.toThrow(TypeError);
  });

  it.each<[string, EphemeralTokenType, object, string[]]>([
    ['a missing field', 'oidc_state', { nonce: 'n' }, ['codeVerifier', 'providerId']],
    ['a field that is no field', 'oidc_exchange', { username: ADA, admin: true }, ['admin']],
    [
      'a field that does not fit',
      'oidc_state',
      { providerId: 2 ** 31, nonce: 'n'.repeat(129), codeVerifier: '' },
      ['codeVerifier', 'nonce', 'providerId'],
    ],
    ['a resource without a type', 'slicer_download', { resource: '5' }, ['resource']],
    ['a login name with NUL', 'password_reset', { username: 'a\0' }, ['username']],
    ['no fields', 'password_reset', null as never, ['username']],
    ['text that jsonb refuses', 'team_link', { teamId: 'a\0b' }, ['teamId']],
    ["a host's type without its binding", 'team_invite', { username: ADA }, ['teamId']],
  ])('%s is refused by name', async (_, type, fields, expected) => {
    const refused = await tokens.issue(type, fields as never).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(AuthError);
    expect(refused).toMatchObject({ code: 'INVALID_INPUT' });
    expect(Object.keys((refused as AuthError<'INVALID_INPUT'>).facts.fields).toSorted()).toEqual(expected);
    expect(await rows()).toEqual([]);
  });

  it('a missing field is a compile error', () => {
    // Never called: the compiler is the test.
    const compiled = () => [
      // @ts-expect-error codeHash is missing
      tokens.issue('email_otp_setup', { username: ADA }),
      // @ts-expect-error no such type
      tokens.issue('invoice', { username: ADA }),
      // @ts-expect-error a download is bound to its resource
      tokens.consume('slicer_download', 'token'),
      // @ts-expect-error a resource has a type
      tokens.issue('slicer_download', { resource: '5' }),
    ];
    expect(compiled).toBeDefined();
  });
});

describe('bindings', () => {
  it('a pre_auth token without a challenge is for whoever has it (seed)', async () => {
    const token = await tokens.issue('pre_auth', { username: ADA });
    expect(await tokens.peek('pre_auth', token, 'any cookie')).toEqual({ username: ADA });
    expect(await tokens.consume('pre_auth', token)).toEqual({ username: ADA });
  });

  it('R12: an oidc_state that is bound to a browser is nothing in another', async () => {
    const state = { providerId: 1, nonce: 'n', codeVerifier: 'v', challengeId: 'browser a' };
    const token = await tokens.issue('oidc_state', state);
    expect(await tokens.consume('oidc_state', token, 'browser b')).toBeNull();
    expect(await tokens.consume('oidc_state', token, 'browser a')).toEqual(state);
  });

  it('R15: a download row of another program without a resource is for nobody', async () => {
    const token = await tokens.issue('slicer_download', { resource: 'archive:5' });
    await t.db.query('UPDATE auth_ephemeral_tokens SET nonce = NULL');
    expect(await tokens.consume('slicer_download', token, 'archive:5')).toBeNull();
    expect(await tokens.consume('slicer_download', token, null as never)).toBeNull();
  });

  it('seed: archive:6 false, then archive:5 true; library:99 true, then false', async () => {
    const archive = await tokens.issue('slicer_download', { resource: 'archive:5' });
    expect(await tokens.consume('slicer_download', archive, 'archive:6')).toBeNull();
    expect(await tokens.consume('slicer_download', archive, 'archive:5')).toEqual({ resource: 'archive:5' });
    const library = await tokens.issue('slicer_download', { resource: 'library:99' });
    expect(await tokens.consume('slicer_download', library, 'library:99')).not.toBeNull();
    expect(await tokens.consume('slicer_download', library, 'library:99')).toBeNull();
  });

  it('seed: a wrong one-time code does not burn email_otp_setup, the right one works once', async () => {
    const hasher = t.app.get(PasswordHasher);
    const token = await tokens.issue('email_otp_setup', { username: ADA, codeHash: await hasher.hash('123456') });
    const confirm = async (code: string) => {
      const peeked = await tokens.peek('email_otp_setup', token);
      if (!peeked || !(await hasher.matches(peeked.codeHash, code))) return false;
      return (await tokens.consume('email_otp_setup', token)) !== null;
    };
    expect(await confirm('654321')).toBe(false);
    expect(await confirm('123456')).toBe(true);
    expect(await confirm('123456')).toBe(false);
  });
});

describe('one outstanding', () => {
  it.each(['password_reset', 'email_otp_setup', 'team_invite'] as const)(
    '%s: the next voids the earlier',
    async (type) => {
      const [first, second] = [await issue(type), await issue(type)];
      expect(await consume(type, first)).toBeNull();
      expect(await consume(type, second)).not.toBeNull();
    },
  );

  it.each(['pre_auth', 'oidc_exchange'] as const)('%s: as many as are asked for', async (type) => {
    const [first, second] = [await issue(type), await issue(type)];
    expect(await consume(type, first)).not.toBeNull();
    expect(await consume(type, second)).not.toBeNull();
  });

  it("leaves other users' and other types' alone", async () => {
    await createUser(t.app, 'bob@example.com');
    const bobs = await tokens.issue('password_reset', { username: 'bob@example.com' });
    const setup = await issue('email_otp_setup');
    const reset = await issue('password_reset');
    expect(await consume('password_reset', reset)).not.toBeNull();
    expect(await consume('password_reset', bobs)).not.toBeNull();
    expect(await consume('email_otp_setup', setup)).not.toBeNull();
  });

  it('R39: success voids all others, also those that another program left', async () => {
    const [first, second] = await twoResets(t.db, () => issue('password_reset'));
    expect(await consume('password_reset', first)).not.toBeNull();
    expect(await consume('password_reset', second)).toBeNull();
    expect(await rows()).toEqual([]);
  });

  it('R39: a refused one voids nothing', async () => {
    const [first, second] = await twoResets(t.db, () => issue('password_reset'));
    await t.db.query('UPDATE auth_ephemeral_tokens SET expires_at = to_timestamp(0) WHERE token = $1', [
      sha256Hex(Buffer.from(first, 'base64url')),
    ]);
    expect(await consume('password_reset', first)).toBeNull();
    expect(await consume('password_reset', second)).not.toBeNull();
  });
});

describe('the account', () => {
  const USER_TYPES = ['pre_auth', 'oidc_exchange', 'password_reset', 'email_otp_setup', 'team_invite'] as const;

  it.each(USER_TYPES)('R17: %s ends when its account is disabled, and does not come back with it', async (type) => {
    const token = await issue(type);
    t.clock.advance(1);
    await users.disable(ada.id);
    expect(await peek(type, token)).toBeNull();
    await users.enable(ada.id);
    expect(await peek(type, token)).toBeNull();
    expect(await consume(type, token)).toBeNull();
  });

  it.each(USER_TYPES)('%s ends when the password is changed', async (type) => {
    const token = await issue(type);
    t.clock.advance(1);
    await users.setPassword(ada.id, 'another password entirely');
    expect(await consume(type, token)).toBeNull();
  });

  it('R7: ends when the account is deleted, also when the name is taken again', async () => {
    const eve = await createUser(t.app, 'eve@example.com');
    const token = await tokens.issue('password_reset', { username: 'eve@example.com' });
    await t.db.query('DELETE FROM users WHERE id = $1', [eve.id]);
    expect(await tokens.peek('password_reset', token)).toBeNull();
    await createUser(t.app, 'eve@example.com');
    expect(await tokens.peek('password_reset', token)).toBeNull();
    expect(await tokens.consume('password_reset', token)).toBeNull();
  });

  it('is found by its one spelling', async () => {
    const token = await tokens.issue('password_reset', { username: '  ＡDA@Example.com ' });
    expect(await tokens.consume('password_reset', token)).toEqual({ username: ADA });
  });

  it('nothing is issued for a name without an enabled account', async () => {
    await expect(tokens.issue('password_reset', { username: 'nobody@example.com' })).rejects.toMatchObject({
      code: 'USER_NOT_FOUND',
    });
    await users.disable(ada.id);
    await expect(issue('pre_auth')).rejects.toMatchObject({ code: 'USER_NOT_FOUND' });
    expect(await rows()).toEqual([]);
  });

  it('a login name that is longer than its column is not cut', async () => {
    const [one, two] = [`${'x'.repeat(200)}@example.com`, `${'x'.repeat(200)}@example.org`];
    await createUser(t.app, one);
    await createUser(t.app, two);
    const first = await tokens.issue('password_reset', { username: one });
    const second = await tokens.issue('password_reset', { username: two });
    expect(await tokens.consume('password_reset', first)).toEqual({ username: one });
    expect(await tokens.consume('password_reset', second)).toEqual({ username: two });
  });

  it('revoke voids this token alone, and a second time, or without its binding, nothing', async () => {
    const [reset, exchange] = [await issue('password_reset'), await issue('oidc_exchange')];
    const download = await tokens.issue('slicer_download', { resource: 'archive:5' });
    expect(await tokens.revoke('password_reset', reset)).toBe(true);
    expect(await tokens.revoke('password_reset', reset)).toBe(false);
    expect(await tokens.revoke('password_reset', 'no token')).toBe(false);
    expect(await tokens.revoke('slicer_download', download, 'archive:6')).toBe(false);
    expect(await tokens.consume('password_reset', reset)).toBeNull();
    expect(await tokens.consume('oidc_exchange', exchange)).toEqual({ username: ADA });
    expect(await tokens.revoke('slicer_download', download, 'archive:5')).toBe(true);
    expect(await tokens.consume('slicer_download', download, 'archive:5')).toBeNull();
  });

  it('revokeAllForLogin voids all of its tokens and nobody else’s', async () => {
    for (const type of USER_TYPES) await issue(type);
    await tokens.issue('slicer_download', { resource: 'archive:5' });
    expect(await tokens.revokeAllForLogin(' ADA@example.com')).toBe(USER_TYPES.length);
    expect(await rows()).toHaveLength(1);
  });

  it('F46: the id of an account comes back as it was, whatever its letters and length', async () => {
    for (const account of ['01JDXK6Q3WZV8Y', `Ｉd ${'x'.repeat(200)}`]) {
      const fields = { account, from: 'old@example.com', changedAt: 1.001 };
      expect(await tokens.consume('email_revert', await tokens.issue('email_revert', fields))).toEqual(fields);
    }
  });

  it('a row with the columns of the seed only is a valid token', async () => {
    await t.db.query(
      `INSERT INTO auth_ephemeral_tokens (token, token_type, username, expires_at, created_at)
       VALUES ($1, 'oidc_exchange', $2, to_timestamp($3), to_timestamp($4))`,
      [sha256Hex(Buffer.alloc(32)), ADA, t.clock.now() / 1000 + 60, t.clock.now() / 1000],
    );
    expect(await tokens.consume('oidc_exchange', 'A'.repeat(43))).toEqual({ username: ADA });
  });
});

it('the cleanup takes what is over, of every type, in batches', async () => {
  await t.db.query(
    `INSERT INTO auth_ephemeral_tokens (token, token_type, expires_at)
     SELECT 'old ' || n, 'websocket', to_timestamp($1) FROM generate_series(1, 12000) n`,
    [t.clock.now() / 1000],
  );
  const live = await issue('password_reset');
  const { leeway } = t.app.get(AuthConfig).cleanup;
  t.clock.advance(leeway - 0.01);
  expect((await t.app.get(CleanupService).runOnce()).ephemeralTokens).toBe(0);
  t.clock.advance(0.01);
  expect((await t.app.get(CleanupService).runOnce()).ephemeralTokens).toBe(12_000);
  expect(await consume('password_reset', live)).not.toBeNull();
});
