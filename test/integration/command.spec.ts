import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { seconds, SessionService, type AuthUser } from 'nestjs-latchkey';
import { SessionCache, type MemorySessionCache } from 'nestjs-latchkey/engine';
import { COMMANDS } from '../../src/cli/run.js';
import { createUser, startTestApp, type TestApp } from '../support/app.js';
import { configFile, latchkey, type Ran } from '../support/command.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { until } from '../support/heard.js';
import { databaseUrl } from '../support/test-server.js';

const NAMES = COMMANDS.map(({ name }) => name);
const SECRET = randomBytes(48).toString('base64url');

const json = ({ out }: Ran) => JSON.parse(out) as Record<string, unknown>;
const undo: (() => unknown)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).toReversed()) await step();
});
const tables = async (db: TestDatabase) =>
  (
    await db.query<{ name: string }>("SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
  ).map(({ name }) => name);

async function database(options?: { migrated: boolean }): Promise<TestDatabase> {
  const db = await createTestDatabase(options);
  undo.push(() => db.drop());
  return db;
}

describe('latchkey, called', () => {
  it('with --help: what there is, and for each command its options; exit 0', async () => {
    const [general, ...each] = await Promise.all([
      latchkey(['--help']),
      ...NAMES.map((name) => latchkey([...name.split(' '), '--help'])),
    ]);
    for (const { status, err } of [general, ...each]) expect({ status, err }).toEqual({ status: 0, err: '' });
    for (const name of NAMES) expect(general.out).toContain(`  ${name} `);
    each.forEach(({ out }, i) => expect(out).toMatch(new RegExp(`^Usage: nestjs-latchkey ${NAMES[i]} [^]*--json`)));
    expect(each[NAMES.indexOf('doctor')]!.out).toContain('AUTH_D74');
  });

  it.each([
    ['nothing', []],
    ['an unknown command', ['frobnicate']],
    ['half a command', ['sessions']],
    ['an unknown option', ['migrate', '--frobnicate']],
    ['an option without its value', ['sessions', 'list', '--user']],
    ['a value where there is none', ['secret', '--json=hunter2']],
    ['a wrong value', ['migrate', '--user-id', 'hunter2', '--database-url', 'postgres://127.0.0.1:1/x']],
    ['no user', ['sessions', 'list', '--database-url', 'postgres://127.0.0.1:1/x']],
    ['no database', ['migrate']],
    ['nothing to examine', ['doctor']],
    ['an address that is none', ['migrate', '--database-url', 'u:hunter2@host/db']],
    ['an address in the wrong place', ['migrate', 'postgres://u:hunter2@127.0.0.1/x']],
  ])('with %s: usage on stderr, exit 2, and no value repeated', async (_, args) => {
    const { status, out, err } = await latchkey(args);
    expect({ status, out }).toEqual({ status: 2, out: '' });
    expect(err).toContain('Usage: nestjs-latchkey');
    expect(err).not.toMatch(/hunter2|\n\s+at /);
  });
});

describe('latchkey secret', () => {
  it('prints a new one each time, that AuthModule takes', async () => {
    const [one, two] = await Promise.all([latchkey(['secret']), latchkey(['secret', '--json'])]);
    expect(one).toMatchObject({ status: 0, err: '' });
    expect(one.out).toMatch(/^[\w-]{64}\n$/);
    expect(json(two)['secret']).toMatch(/^[\w-]{64}$/);
    expect(json(two)['secret']).not.toBe(one.out.trim());
  });
});

describe('latchkey, while the database is away', () => {
  it.each([['migrate'], ['doctor'], ['sessions list --user ada'], ['sessions revoke --user ada'], ['cleanup']])(
    '%s: one line with the address and the remedy, exit 1',
    async (command) => {
      const url = 'postgres://ada:hunter2@127.0.0.1:1/notes?application_name=hunter2';
      const [plain, asJson] = await Promise.all([
        latchkey(command.split(' '), { DATABASE_URL: url }),
        latchkey([...command.split(' '), '--json', '--database-url', url]),
      ]);
      expect(plain).toEqual({
        status: 1,
        out: '',
        err: 'Cannot use the database at 127.0.0.1:1/notes (ECONNREFUSED). Nothing answers there: start PostgreSQL, or correct the address (DATABASE_URL).\n',
      });
      expect(asJson).toMatchObject({ status: 1, err: '' });
      expect(json(asJson)).toMatchObject({ error: { code: 'DATABASE_UNREACHABLE' } });
      expect(asJson.out).not.toContain('hunter2');
    },
  );

  it('a database that does not exist, and one without our tables: one line that says so', async () => {
    const db = await database({ migrated: false });
    const [missing, empty] = await Promise.all([
      latchkey(['migrate'], { DATABASE_URL: databaseUrl(db.url, 'nobody_made_it') }),
      latchkey(['sessions', 'list', '--user', 'ada@example.com'], { DATABASE_URL: db.url }),
    ]);
    expect(missing).toMatchObject({ status: 1, out: '' });
    expect(missing.err).toMatch(
      /^Cannot use the database at [^\n]*\/nobody_made_it \(3D000\)\. There is no database [^\n]*\n$/,
    );
    expect(empty).toMatchObject({ status: 1, out: '' });
    expect(empty.err).toMatch(/^[^\n]*run `npx nestjs-latchkey migrate`\.\n$/);
  });
});

describe('latchkey migrate', () => {
  it('--dry-run lists and changes nothing; then it runs, once, also when two deployments run it at the same time', async () => {
    const db = await database({ migrated: false });
    const env = { DATABASE_URL: db.url };
    const dry = await latchkey(['migrate', '--dry-run', '--json'], env);
    expect(dry.status).toBe(0);
    const pending = json(dry)['pending'] as string[];
    expect(pending.length).toBeGreaterThan(5);
    expect(await tables(db)).toEqual([]);
    const both = await Promise.all([latchkey(['migrate', '--json'], env), latchkey(['migrate', '--json'], env)]);
    expect(both.map(({ status, err }) => ({ status, err }))).toEqual(both.map(() => ({ status: 0, err: '' })));
    expect(both.flatMap((ran) => json(ran)['ran'] as string[])).toEqual(pending);
    expect(await tables(db)).toEqual(expect.arrayContaining(['sessions', 'users']));
    expect(await latchkey(['migrate'], env)).toMatchObject({
      status: 0,
      out: expect.stringContaining('Nothing to do'),
    });
    expect(await latchkey(['doctor'], env)).toMatchObject({
      status: 0,
      out: expect.stringContaining('0 failed, 0 warn'),
    });
  }, 60_000);

  it('--user-id and --schema: the tables of authSchemaFor, in that schema', async () => {
    const db = await database({ migrated: false });
    await db.query('CREATE SCHEMA auth');
    const args = ['--user-id', 'bigint', '--schema', 'auth'];
    expect(await latchkey(['migrate', ...args], { DATABASE_URL: db.url })).toMatchObject({ status: 0, err: '' });
    expect(await tables(db)).toEqual([]);
    const [column] = await db.query(`SELECT format_type(atttypid, NULL) AS type FROM pg_attribute
      WHERE attrelid = 'auth.sessions'::regclass AND attname = 'user_id'`);
    expect(column).toEqual({ type: 'bigint' });
    expect(await latchkey(['doctor', ...args], { DATABASE_URL: db.url })).toMatchObject({ status: 0, err: '' });
    const without = await latchkey(['doctor', '--json', '--user-id', 'bigint'], { DATABASE_URL: db.url });
    expect(json(without)).toMatchObject({ ok: false, findings: [{ code: 'AUTH_D61' }] });
  }, 60_000);
});

describe('H40: users of the host’s own', () => {
  const directory = `{ secrets: ['${SECRET}'], baseUrl: 'https://app.example.com', mail: {},
    mailer: class { constructor() { throw new Error('no command makes one'); } }, users: class {
    isJoinable = false;
    publishesChanges = false;
    async findById(id) { return id === '7' ? { id, email: 'ada@example.com' } : null; }
    async findByLogin(login) { return login === 'ada@example.com' ? this.findById('7') : null; }
    async verifyCredentials() { return null; }
  } }`;
  const withSessions = async () => {
    const own = await database({ migrated: false });
    await own.query('CREATE TABLE users (id serial PRIMARY KEY, email text NOT NULL, "passwordHash" text NOT NULL)');
    const args = ['--database-url', own.url];
    expect(await latchkey(['migrate', '--user-id', 'bigint', ...args])).toMatchObject({ status: 0, err: '' });
    await own.query(`INSERT INTO sessions (id, user_id, expires_at)
      SELECT repeat(n::text, 64), 7, now() + interval '1 day' FROM generate_series(1, 4) n`);
    return { own, args, live: async () => (await own.query('SELECT FROM sessions')).length };
  };
  const configured = () => {
    const config = configFile(directory);
    undo.push(config.remove);
    return ['--config', config.path];
  };

  it('H40: doctor and migrate know from the tables, and have no remedy that alters the host’s', async () => {
    const { own, args } = await withSessions();
    for (const more of [[], configured()]) {
      expect(await latchkey(['doctor', ...args, ...more])).toMatchObject({ status: 0, err: '' });
      expect(await latchkey(['migrate', ...args, ...more])).toMatchObject({
        status: 0,
        out: 'Nothing to do: every migration has run.\n',
      });
    }
    expect(await own.query('SELECT * FROM information_schema.columns WHERE table_name = $1', ['users'])).toHaveLength(
      3,
    );
  }, 60_000);

  it('H40: sessions revoke resolves an e-mail by the directory, and refuses it without one', async () => {
    const { args, live } = await withSessions();
    const revoke = ['sessions', 'revoke', '--user', 'ada@example.com', ...args];
    const refused = await latchkey(revoke);
    expect(refused).toMatchObject({ status: 1, out: '' });
    expect(refused.err).toContain('--config');
    expect(await live()).toBe(4);
    expect(await latchkey([...revoke, ...configured()])).toMatchObject({
      err: '',
      status: 0,
      out: '4 sessions ended.\n',
    });
    expect(await live()).toBe(0);
  }, 60_000);

  it('H40: before there is a table the type of the ids is asked for', async () => {
    const own = await database({ migrated: false });
    const { status, err } = await latchkey(['migrate', '--database-url', own.url, ...configured()]);
    expect(status).toBe(2);
    expect(err).toContain('--user-id');
    expect(await tables(own)).toEqual([]);
  }, 60_000);

  it('H40: a database with users of ours is known for what it is (negative control)', async () => {
    const own = await database();
    expect(await latchkey(['migrate', '--database-url', own.url])).toMatchObject({ status: 0, err: '' });
    expect(await latchkey(['doctor', '--database-url', own.url])).toMatchObject({ status: 0, err: '' });
  }, 60_000);
});

describe('latchkey doctor', () => {
  it('reads the file that forRoot is given and the database: exit 1 and every finding, no secret in it', async () => {
    const db = await database();
    await db.query('DROP INDEX sessions_user_id_idx; DROP TRIGGER latchkey_publish_users_update ON users');
    const weak = 'hunter2'.repeat(6);
    const config = configFile(`async () => ({ secrets: ['${weak}'], routes: { path: 'auth' }, globalGuard: false,
      cookie: { secure: false }, trustedProxies: ['0.0.0.0/0'], rateLimits: { backoff: { base: 0 } } })`);
    undo.push(config.remove);
    const args = ['doctor', '--config', config.path, '--database-url', db.url];
    const [plain, asJson] = await Promise.all([latchkey(args), latchkey([...args, '--json'])]);
    const found = json(asJson) as unknown as { ok: boolean; findings: { code: string }[]; checklist: object[] };
    expect(asJson.status).toBe(1);
    expect(found.ok).toBe(false);
    const codes = ['01', '02', '10', '14', '20', '41', '72', '74'].map((number) => `AUTH_D${number}`);
    expect(found.findings.map(({ code }) => code)).toEqual(codes);
    expect(found.checklist.length).toBeGreaterThan(30);
    expect(plain.status).toBe(1);
    for (const code of codes) expect(plain.out).toContain(code);
    for (const { out, err } of [plain, asJson]) {
      expect(out + err).not.toContain('hunter2');
      expect(out + err).not.toContain(new URL(db.url).password || 'no password');
    }
  });

  it('a good configuration: exit 0 (negative control)', async () => {
    const mailer = 'mailer: class { constructor() { throw new Error() } }'; // no command makes one
    const config = configFile(
      `{ secrets: ['${SECRET}'], routes: { path: 'auth' }, baseUrl: 'https://app.example.com', ${mailer}, mail: {} }`,
    );
    undo.push(config.remove);
    const { status, out } = await latchkey(['doctor'], { LATCHKEY_CONFIG: config.path });
    expect(status).toBe(0);
    expect(out).toContain('The database was not examined.\n0 failed, 0 warnings.');
  });

  it('a file that cannot be loaded, or holds no options: one line, exit 1, nothing of it repeated', async () => {
    const broken = configFile("(() => { throw new TypeError('hunter2') })()");
    const text = configFile("'hunter2'");
    undo.push(broken.remove, text.remove);
    const answers = await Promise.all(
      [broken.path, text.path, '/nowhere.js'].map((path) => latchkey(['doctor', '--config', path])),
    );
    for (const { status, out, err } of answers) {
      expect({ status, out }).toEqual({ status: 1, out: '' });
      expect(err).toMatch(/^[^\n]+\n$/);
      expect(err).not.toContain('hunter2');
    }
  });
});

describe('latchkey sessions and cleanup', () => {
  let db: TestDatabase;
  let t: TestApp;
  let ada: AuthUser;
  const env = () => ({ DATABASE_URL: db.url });
  beforeAll(async () => {
    db = await createTestDatabase();
    t = await startTestApp({ url: db.url, auth: { cache: { enabled: true, ttl: seconds(3_600) } } });
    t.clock.set(Date.now());
    ada = await createUser(t.app, 'ada@example.com');
  });
  afterAll(async () => {
    await t?.close();
    await db?.drop();
  });
  const held = async () => {
    const issued = await t.app.get(SessionService).create(ada.id, { userAgent: 'Browser', ip: '192.0.2.1' });
    const cache = t.app.get<MemorySessionCache>(SessionCache);
    await until(
      async () => (await t.app.get(SessionService).lookup(issued.token)) !== null && !!cache.get(issued.session.id),
    );
    return issued;
  };

  it('list: by email and by id, with handles and no tokens', async () => {
    const { token, session } = await held();
    const [byEmail, byId] = await Promise.all([
      latchkey(['sessions', 'list', '--user', 'Ada@Example.com'], env()),
      latchkey(['sessions', 'list', '--user', ada.id, '--json'], env()),
    ]);
    expect(byEmail).toMatchObject({ status: 0, err: '' });
    expect(byEmail.out).toContain(session.handle);
    expect(json(byId)).toMatchObject({
      userId: ada.id,
      sessions: [{ handle: session.handle, ip: '192.0.2.1', userAgent: 'Browser' }],
    });
    for (const { out } of [byEmail, byId]) {
      expect(out).not.toContain(token);
      expect(out).not.toContain(session.id);
    }
    await t.app.get(SessionService).revoke(session.id);
  });

  it('revoke: one by its handle, then all; a running instance that has them in memory ends them too', async () => {
    const [one, two, three] = [await held(), await held(), await held()];
    const lookup = async ({ token }: { token: string }) => (await t.app.get(SessionService).lookup(token)) !== null;
    const first = await latchkey(
      ['sessions', 'revoke', '--user', 'ada@example.com', '--handle', one.session.handle],
      env(),
    );
    expect(first).toEqual({ status: 0, out: '1 session ended.\n', err: '' });
    await until(async () => !(await lookup(one)));
    expect([await lookup(two), await lookup(three)]).toEqual([true, true]);
    const again = ['sessions', 'revoke', '--user', ada.id, '--handle', one.session.handle];
    expect(await latchkey(again, env())).toMatchObject({ status: 1, out: '' });
    const all = await latchkey(['sessions', 'revoke', '--user', ada.id, '--json'], env());
    expect(json(all)).toEqual({ userId: ada.id, revoked: 2 });
    await until(async () => !(await lookup(two)) && !(await lookup(three)));
  });

  it('revoke: also with a configuration whose flows mail; what has no row ends by the cutoff', async () => {
    const flows = `{ registration: {}, emailChange: {}, passwordReset: {} }`;
    const pages = `{ registration: '/a', password_reset: '/b', email_change: '/c', email_changed: '/d' }`;
    const config = configFile(
      `{ secrets: ['${SECRET}'], baseUrl: 'https://app.example.com', mailer: class { async send() {} }, ` +
        `mail: { pages: ${pages} }, flows: ${flows} }`,
    );
    undo.push(config.remove);
    const before = Date.now();
    const ran = await latchkey(['sessions', 'revoke', '--user', ada.id, '--config', config.path], env());
    expect(ran).toEqual({ status: 0, out: '0 sessions ended.\n', err: '' });
    const [{ cutoff }] = (await db.query(
      `SELECT date_part('epoch', tokens_invalidated_after) * 1000 AS cutoff FROM users WHERE id = '${ada.id}'`,
    )) as [{ cutoff: number }];
    expect(cutoff).toBeGreaterThanOrEqual(before);
  });

  it('nobody of that name: one line, exit 1', async () => {
    const answers = await Promise.all(
      ['bob@example.com', '7', "'; DROP TABLE users"].map((user) =>
        latchkey(['sessions', 'list', '--user', user], env()),
      ),
    );
    for (const answer of answers) {
      expect(answer).toEqual({ status: 1, out: '', err: 'There is no account with this id or email.\n' });
    }
  });

  it('users elsewhere: --user-id takes the id as it is', async () => {
    const own = await database({ migrated: false });
    const args = ['--user-id', 'bigint', '--database-url', own.url];
    expect(await latchkey(['migrate', ...args])).toMatchObject({ status: 0 });
    await own.query(
      "INSERT INTO sessions (id, user_id, expires_at) VALUES (repeat('a', 64), 7, now() + interval '1 day')",
    );
    const listed = json(await latchkey(['sessions', 'list', '--user', '7', '--json', ...args]));
    expect(listed).toMatchObject({ userId: '7', sessions: [{ ip: null }] });
    expect(json(await latchkey(['sessions', 'revoke', '--user', '7', '--json', ...args]))).toMatchObject({
      revoked: 1,
    });
  }, 60_000);

  it('cleanup deletes what has expired, and nothing else', async () => {
    await db.query(`INSERT INTO auth_ephemeral_tokens (token, token_type, expires_at)
      VALUES ('old', 'oidc_state', now() - interval '1 hour'), ('new', 'oidc_state', now() + interval '1 hour')`);
    await db.query(`INSERT INTO sessions (id, user_id, expires_at)
      SELECT 'over', id, now() - interval '1 hour' FROM users LIMIT 1`);
    const { status, out } = await latchkey(['cleanup', '--json'], env());
    expect(status).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ deleted: { sessions: 1, ephemeralTokens: 1 } });
    expect(await db.query("SELECT 1 FROM sessions WHERE id = 'over'")).toEqual([]);
    expect(JSON.parse(out)).toMatchObject({ deleted: { rateLimitEvents: 0, auditEvents: 0 }, yielded: false });
  });

  it('cleanup without --config leaves what only the configuration says how long to keep', async () => {
    await db.query(`INSERT INTO auth_rate_limit_events (username, event_type, occurred_at)
      VALUES ('ada', 'login_attempt', now() - interval '40 days')`);
    await db.query(
      "INSERT INTO auth_audit_events (type, at, facts) VALUES ('logout', now() - interval '200 days', '{}')",
    );
    const { out } = await latchkey(['cleanup'], env());
    expect(out).toContain('Without --config rate-limit events and the audit log are left alone.');
    expect(await db.query("SELECT 1 FROM auth_rate_limit_events WHERE username = 'ada'")).toHaveLength(1);
    expect(await db.query("SELECT 1 FROM auth_audit_events WHERE type = 'logout'")).toHaveLength(1);
  });

  it.each(['postgres://app:54/topsecret@127.0.0.1:1/app', 'postgres://app:54#topsecret@127.0.0.1:1/app'])(
    'a password that is not escaped is not repeated: %s',
    async (url) => {
      const { status, out, err } = await latchkey(['sessions', 'list', '--user', 'ada'], { DATABASE_URL: url });
      expect(status).toBe(2);
      expect(out + err).not.toContain('topsecret');
    },
  );
});
