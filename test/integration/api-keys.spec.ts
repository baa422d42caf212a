import { ApolloDriver, type ApolloDriverConfig } from '@nestjs/apollo';
import { Controller, Get, UseFilters } from '@nestjs/common';
import { GraphQLModule, Query, Resolver } from '@nestjs/graphql';
import { SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import {
  AuthEvents,
  CurrentUser,
  days,
  minutes,
  OptionalAuth,
  PostgresUserDirectory,
  seconds,
  TokenRevocationService,
  type AuthUser,
} from 'nestjs-latchkey';
import { AuthErrorFilter, CleanupService } from 'nestjs-latchkey/engine';
import { AllowApiKey, ApiKeyService, CurrentApiKey } from 'nestjs-latchkey/flows';
import { signInAs } from 'nestjs-latchkey/testing';
import { io } from 'socket.io-client';
import request from 'supertest';
import { closeAll, createUser, startTestApp, type TestApp, type TestAppOptions } from '../support/app.js';
import { latchkey } from '../support/command.js';
import { until } from '../support/heard.js';
import { startRacers, type Racers } from '../support/racers.js';

const SCOPES = { 'notes:read': [], 'users:read': ['admin'] } as const;
const WANTED = { name: 'Backup', scopes: ['notes:read'], expiresIn: days(1) };

@Controller('notes')
class NotesController {
  @AllowApiKey('notes:read')
  @Get()
  list(@CurrentUser('email') email: string) {
    return { email };
  }

  @AllowApiKey('users:read')
  @Get('users')
  users() {
    return {};
  }
}

const undo: (() => unknown)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).toReversed()) await step();
});

const boot = ({ auth, ...options }: TestAppOptions = {}): Promise<TestApp> => {
  const flows = { apiKeys: { scopes: SCOPES, maxPerUser: 5 } };
  return startTestApp({ controllers: [NotesController], ...options, auth: { flows, ...auth } });
};

/** For one test. */
async function start(options: TestAppOptions = {}): Promise<TestApp> {
  const t = await boot(options);
  undo.push(() => t.close());
  return t;
}

const status = async ({ url }: TestApp, key: string, path = '/notes') =>
  (await request(url).get(path).set('Authorization', `Bearer ${key}`)).status;

describe('F79: in three processes with caches', () => {
  const auth = { cache: { enabled: true, ttl: seconds(3_600) } };
  const all: TestApp[] = [];
  beforeAll(async () => {
    for (let i = 0; i < 3; i++) all.push(await boot({ auth, url: all[0]?.db.url }));
  }, 30_000);
  afterAll(() => closeAll(...all.toReversed()));

  it.each<
    [string, number, (users: PostgresUserDirectory, id: string, keys: ApiKeyService, key: string) => Promise<unknown>]
  >([
    ['disabled', 401, (users, id) => users.disable(id)],
    ['demoted', 403, (users, id) => users.setRoles(id, [])],
    ['deleted', 401, (users, id) => users.delete(id)],
    ['without the key', 401, (_, id, keys, key) => keys.revoke({ id, email: '' }, key)],
  ])('an owner who is %s: every one of them refuses', async (_, expected, change) => {
    const a = all[0]!;
    const users = a.app.get(PostgresUserDirectory);
    const { id } = await createUser(a.app);
    await users.setRoles(id, ['admin']);
    const keys = a.app.get(ApiKeyService);
    const owner = (await users.findById(id))!;
    const { key, apiKey } = await keys.create(owner, { ...WANTED, scopes: ['users:read'] });
    for (const t of all) {
      await until(async () => {
        t.queries.reset();
        return (await status(t, key, '/notes/users')) === 200 && t.queries.statements.length === 0; // from memory
      });
    }
    await change(users, id, keys, apiKey.id);
    expect(await status(a, key, '/notes/users')).toBe(expected);
    for (const t of all) await until(async () => (await status(t, key, '/notes/users')) === expected);
  });

  it('a key in memory is over at the exact instant, and its use is recorded once a minute', async () => {
    const t = await start({ auth });
    const ada = await createUser(t.app);
    const { key } = await t.app.get(ApiKeyService).create(ada, { ...WANTED, expiresIn: minutes(2) });
    await until(async () => {
      t.queries.reset();
      return (await status(t, key)) === 200 && t.queries.statements.length === 0;
    });
    t.clock.advance(minutes(1));
    t.queries.reset();
    for (let i = 0; i < 5; i++) expect(await status(t, key)).toBe(200);
    expect(t.queries.statements).toHaveLength(1);
    t.clock.advance(minutes(1));
    expect(await status(t, key)).toBe(401);
  });
});

describe.each([
  ['with every request', {}],
  ['from memory', { cache: { enabled: true, ttl: seconds(3_600) } }],
])('F79: three processes of the operating system that read it %s', (_, auth) => {
  let t: TestApp;
  let processes: Racers;
  beforeAll(async () => {
    t = await boot();
    processes = await startRacers(t.db.url, 3, [], auth);
  }, 60_000);
  afterAll(async () => {
    await processes?.stop();
    await t?.close();
  });

  it.each<[string, string[][], (users: PostgresUserDirectory, id: string) => Promise<unknown>]>([
    ['disabled', [], (users, id) => users.disable(id)],
    ['demoted', [[], [], []], (users, id) => users.setRoles(id, [])],
    ['deleted', [], (users, id) => users.delete(id)],
  ])('F79: the key of an owner who was %s is refused by every one of them', async (_, left, change) => {
    // They have the time of day.
    t.clock.advance(Math.max(0, Date.now() - t.clock.now()));
    const users = t.app.get(PostgresUserDirectory);
    const { id } = await createUser(t.app);
    await users.setRoles(id, ['admin']);
    const owner = (await users.findById(id))!;
    const { key } = await t.app.get(ApiKeyService).create(owner, { ...WANTED, scopes: ['users:read'] });
    const ask = () => processes.run({ kind: 'api key', times: 1, tokens: [key] });
    // Twice, so that the second is from memory where there is one.
    for (let i = 0; i < 2; i++) expect(await ask()).toEqual([1, 2, 3].map(() => ['users:read']));
    await change(users, id);
    // As text: the lists that come from other processes are of another realm.
    if ('cache' in auth) await until(async () => JSON.stringify(await ask()) === JSON.stringify(left));
    expect(await ask()).toEqual(left);
  });
});

describe('F80: races', () => {
  let a: TestApp;
  let b: TestApp;
  beforeAll(async () => {
    a = await boot();
    b = await boot({ url: a.db.url });
  }, 30_000);
  afterAll(() => closeAll(b, a));

  it('50 at once through two pools: no more than maxPerUser are made', async () => {
    const ada = await createUser(a.app);
    const made = await Promise.allSettled(
      Array.from({ length: 50 }, (_, i) => (i % 2 ? a : b).app.get(ApiKeyService).create(ada, WANTED)),
    );
    expect(made.filter(({ status: outcome }) => outcome === 'fulfilled')).toHaveLength(5);
    const refused = made.flatMap((one) => (one.status === 'rejected' ? (one.reason as { code: string }).code : []));
    expect(new Set(refused)).toEqual(new Set(['TOO_MANY_API_KEYS']));
    const [first] = await a.app.get(ApiKeyService).listForUser(ada.id);
    await b.app.get(ApiKeyService).revoke(ada, first!.id);
    await a.app.get(ApiKeyService).create(ada, WANTED);
    a.clock.advance(days(1));
    b.clock.advance(days(1));
    await a.app.get(ApiKeyService).create(ada, WANTED); // those before have expired
  }, 30_000);

  it('F46: a key that is made while everything of the account ends: none is left, whichever is first', async () => {
    for (let round = 0; round < 10; round++) {
      const ada = await createUser(a.app);
      const [made] = await Promise.all([
        Promise.allSettled([1, 2, 3].map(() => b.app.get(ApiKeyService).create(ada, WANTED))),
        a.app.get(TokenRevocationService).revokeAllForUser(ada.id),
      ]);
      for (const one of made) {
        if (one.status === 'fulfilled') expect(await status(b, one.value.key)).toBe(401);
        else expect(one.reason).toMatchObject({ code: 'UNAUTHENTICATED' });
      }
      expect(await a.app.get(ApiKeyService).listForUser(ada.id)).toEqual([]);
    }
  }, 30_000);

  it('F46: a user as a cache knew them before everything was ended makes none', async () => {
    const ada = await createUser(a.app);
    await a.app.get(TokenRevocationService).revokeAllForUser(ada.id);
    await expect(a.app.get(ApiKeyService).create(ada, WANTED)).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
    const now = (await a.app.get(PostgresUserDirectory).findById(ada.id))!;
    // In the same instant of a clock that stands still, and yet after it.
    expect(await status(a, (await a.app.get(ApiKeyService).create(now, WANTED)).key)).toBe(200);
  });

  it('50 revocations at once: one tells of it', async () => {
    const ada = await createUser(a.app);
    const { apiKey } = await a.app.get(ApiKeyService).create(ada, WANTED);
    const told: string[] = [];
    for (const t of [a, b]) t.app.get(AuthEvents).on(({ type }) => void told.push(type));
    const done = await Promise.all(
      Array.from({ length: 50 }, (_, i) => (i % 2 ? a : b).app.get(ApiKeyService).revoke(ada, apiKey.id)),
    );
    expect(new Set(done)).toEqual(new Set([true]));
    expect(told.filter((type) => type === 'api_key.revoked')).toHaveLength(1);
  });

  it('50 uses at once: one write', async () => {
    const ada = await createUser(a.app);
    const { key, apiKey } = await a.app.get(ApiKeyService).create(ada, WANTED);
    await a.db.query('CREATE TABLE writes (id uuid)');
    await a.db.query(
      `CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO writes VALUES (NEW.id); RETURN NEW; END $$`,
    );
    await a.db.query('CREATE TRIGGER note AFTER UPDATE ON auth_api_keys FOR EACH ROW EXECUTE FUNCTION note()');
    const keys = a.app.get(ApiKeyService);
    await Promise.all(Array.from({ length: 50 }, () => keys.authenticate(key)));
    expect(await a.db.query('SELECT * FROM writes')).toEqual([{ id: apiKey.id }]);
  });
});

describe('the boot', () => {
  @Controller('wrong')
  class WrongController {
    @AllowApiKey('notes:raed')
    @Get()
    list() {
      return {};
    }
  }

  it('refuses a handler whose scope no key can have, in the one list, and names both', async () => {
    const flows = { apiKeys: { scopes: SCOPES, maxPerUser: 0 } };
    const booting = startTestApp({ controllers: [NotesController, WrongController], auth: { flows } });
    await expect(booting).rejects.toMatchObject({
      code: 'INVALID_CONFIG',
      facts: {
        mistakes: [
          expect.stringMatching(/^flows\.apiKeys\.maxPerUser must be/),
          "WrongController.list has @AllowApiKey('notes:raed'), which is no scope of flows.apiKeys.scopes: no key could ever call it. Add it there, or correct its name.",
        ],
      },
    });
  });

  it('minds no handler where there are no keys (negative control)', async () => {
    const t = await start({ controllers: [WrongController], auth: { flows: {} } });
    await request(t.url).get('/wrong').expect(401);
  });
});

describe('what is left', () => {
  it('the cleanup removes what is over for 30 days, and nothing else', async () => {
    const t = await start();
    const ada = await createUser(t.app);
    const keys = t.app.get(ApiKeyService);
    await keys.create(ada, { ...WANTED, expiresIn: days(100) });
    const { apiKey } = await keys.create(ada, { ...WANTED, expiresIn: days(100) });
    await keys.create(ada, { ...WANTED, expiresIn: days(2) });
    await keys.revoke(ada, apiKey.id);
    const cleanup = t.app.get(CleanupService);
    t.clock.advance(days(30) - 1);
    expect((await cleanup.runOnce()).apiKeys).toBe(0);
    t.clock.advance(days(1) + 1);
    expect((await cleanup.runOnce()).apiKeys).toBe(1);
    t.clock.advance(days(2));
    expect((await cleanup.runOnce()).apiKeys).toBe(1);
    expect(await keys.listForUser(ada.id)).toHaveLength(1);
  });

  it('the keys go with the account', async () => {
    const t = await start();
    const ada = await createUser(t.app);
    await t.app.get(ApiKeyService).create(ada, WANTED);
    await t.app.get(PostgresUserDirectory).delete(ada.id);
    expect(await t.db.query('SELECT * FROM auth_api_keys')).toEqual([]);
  });

  it('an outage is 503: nobody is admitted, and nothing is refused for good', async () => {
    const t = await start();
    const ada = await createUser(t.app);
    const { key } = await t.app.get(ApiKeyService).create(ada, WANTED);
    await t.db.query('ALTER TABLE auth_api_keys RENAME TO away');
    expect(await status(t, key)).toBe(503);
    await t.db.query('ALTER TABLE away RENAME TO auth_api_keys');
    expect(await status(t, key)).toBe(200);
  });
});

describe('the command', () => {
  it('lists and revokes the keys of a user, in running processes too, and shows no key', async () => {
    const t = await start();
    const ada = await createUser(t.app);
    // The command has the time of day.
    t.clock.set(Date.now());
    const keys = t.app.get(ApiKeyService);
    const [one, other] = [await keys.create(ada, WANTED), await keys.create(ada, WANTED)];
    const ask = async (...args: string[]) => {
      const answer = await latchkey([...args, '--user', ada.email, '--json'], { DATABASE_URL: t.db.url });
      return { status: answer.status, ...(JSON.parse(answer.out) as { apiKeys?: object[]; revoked?: number }) };
    };
    const listed = await ask('api-keys', 'list');
    expect(listed.apiKeys).toHaveLength(2);
    expect(JSON.stringify(listed)).not.toContain(one.key.slice(9));
    expect(await ask('api-keys', 'revoke', '--id', one.apiKey.id)).toMatchObject({ status: 0, revoked: 1 });
    expect(await status(t, one.key)).toBe(401);
    expect(await status(t, other.key)).toBe(200);
    expect(await ask('api-keys', 'revoke', '--id', 'x')).toMatchObject({
      status: 1,
      error: { code: 'API_KEY_NOT_FOUND' },
    });
    expect(await ask('api-keys', 'revoke')).toMatchObject({ status: 0, revoked: 1 });
    expect(await status(t, other.key)).toBe(401);
    expect((await ask('api-keys', 'list')).apiKeys).toEqual([]);
  });
});

class Queries {
  me(email: string, keyed: string | null) {
    return `${email} ${keyed}`;
  }
}

@Resolver()
class NotesResolver extends Queries {
  @AllowApiKey('notes:read')
  @Query('keyed')
  keyed(@CurrentUser('email') email: string, @CurrentApiKey() apiKey: { name: string } | null) {
    return this.me(email, apiKey?.name ?? null);
  }

  @Query('plain')
  plain(@CurrentUser('email') email: string) {
    return email;
  }

  @OptionalAuth()
  @Query('optional')
  optional(@CurrentUser() user: AuthUser | null, @CurrentApiKey() apiKey: unknown) {
    return String(user ?? apiKey);
  }

  @AllowApiKey('users:read')
  @Query('users')
  users() {
    return 'users';
  }
}

@UseFilters(AuthErrorFilter)
@WebSocketGateway()
class NotesGateway {
  @AllowApiKey('notes:read')
  @SubscribeMessage('keyed')
  keyed() {
    return { event: 'keyed', data: 'reached' };
  }
}

describe('F78: beside HTTP', () => {
  it('GraphQL: each field decides by itself, also beside one that takes the key', async () => {
    const t = await start({
      providers: [NotesResolver],
      imports: [
        GraphQLModule.forRoot<ApolloDriverConfig>({
          driver: ApolloDriver,
          typeDefs: 'type Query { keyed: String plain: String optional: String users: String }',
          context: ({ req, res }: { req: object; res: object }) => ({ req, res }),
        }),
      ],
    });
    const ada = await createUser(t.app);
    const { key } = await t.app.get(ApiKeyService).create(ada, WANTED);
    const { body } = await request(t.url)
      .post('/graphql')
      .set('Authorization', `Bearer ${key}`)
      .send({ query: '{ keyed plain optional users }' });
    expect(body.data).toEqual({ keyed: `${ada.email} Backup`, plain: null, optional: 'null', users: null });
    const codes = (body.errors as { path: string[]; extensions: { code: string } }[]).map((error) => [
      error.path[0],
      error.extensions.code,
    ]);
    expect(new Map(codes as [string, string][])).toEqual(
      new Map([
        ['plain', 'UNAUTHENTICATED'],
        ['users', 'FORBIDDEN'],
      ]),
    );
  });

  it('sockets take no keys, wherever they are sent', async () => {
    const t = await start({ providers: [NotesGateway] });
    const ada = await createUser(t.app);
    const { key } = await t.app.get(ApiKeyService).create(ada, WANTED);
    const ask = async (extraHeaders: Record<string, string>, auth: object) => {
      const socket = io(t.url, { transports: ['websocket'], extraHeaders, auth, forceNew: true });
      const answer = await new Promise<unknown>((answered) => {
        for (const event of ['keyed', 'exception']) socket.once(event, answered);
        socket.emit('keyed');
      });
      socket.disconnect();
      return answer;
    };
    expect(await ask({ Authorization: `Bearer ${key}` }, {})).toMatchObject({ code: 'UNAUTHENTICATED' });
    for (const token of [key, `Bearer ${key}`])
      expect(await ask({}, { token })).toMatchObject({ code: 'UNAUTHENTICATED' });
    const cookie = await signInAs(t.app, ada.id);
    expect(await ask({ Cookie: cookie }, {})).toBe('reached'); // a session does
  });
});
