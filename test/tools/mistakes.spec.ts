import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { request } from 'node:http';
import { resolve } from 'node:path';
import { Readable } from 'node:stream';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { latchkey, latchkeyProcess } from '../support/command.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { databaseUrl, withClient } from '../support/test-server.js';
import { startTlsPostgres, type TlsPostgres } from '../support/tls.js';

const ROLE = `latchkey_ada_${randomBytes(4).toString('hex')}`;

/** A real process of `mistaken-app.main.ts`: what it said until it ended, or until it listens and was asked. */
async function boot(mistake: string, url: string, ask?: (at: string) => Promise<unknown>) {
  const child = spawn(
    process.execPath,
    ['--import', resolve('test/support/register.js'), resolve('test/support/mistaken-app.main.ts'), mistake],
    { env: { ...process.env, NODE_OPTIONS: '', NO_COLOR: '1', DATABASE_URL: url }, stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let said = '';
  let asked: Promise<unknown> | undefined;
  const hear = (chunk: Buffer) => {
    said += String(chunk);
    const at = /listens at (\S+)/.exec(said)?.[1];
    if (at) asked ??= (ask?.(at) ?? Promise.resolve()).finally(() => child.kill());
  };
  child.stdout.on('data', hear);
  child.stderr.on('data', hear);
  const code = await new Promise<number | null>((done) => child.once('close', done));
  await asked;
  return { code, said, started: asked !== undefined };
}

describe('Each mistake of the first ten minutes is answered with its remedy', () => {
  let db: TestDatabase;
  let tls: TlsPostgres;
  const undo: (() => unknown)[] = [];
  beforeAll(async () => {
    tls = await startTlsPostgres();
    await withClient(process.env['LATCHKEY_TEST_SERVER']!, (client) =>
      client.query(`CREATE ROLE ${ROLE} LOGIN PASSWORD 'ada'`),
    );
  }, 60_000);
  afterEach(async () => {
    for (const step of undo.splice(0).toReversed()) await step();
  });
  afterAll(async () => {
    await tls?.remove();
    await withClient(process.env['LATCHKEY_TEST_SERVER']!, (client) => client.query(`DROP ROLE ${ROLE}`));
  });

  const empty = async (...sql: string[]) => {
    db = await createTestDatabase({ migrated: false });
    undo.push(() => db.drop());
    for (const statement of sql) await db.query(statement);
    return db.url;
  };
  const named =
    (change: (url: URL) => void, ...sql: string[]) =>
    async () => {
      const url = new URL(await empty(...sql));
      change(url);
      return url.href;
    };
  const asRole = (url: URL) => Object.assign(url, { username: ROLE, password: 'ada' });

  it.each([
    ['no secret', 'no secret', empty, /secrets\[0\] is undefined: .* npx nestjs-latchkey secret/],
    ['migrations not run', 'migrations not run', empty, /Run `npx nestjs-latchkey migrate`/],
    [
      'foreign tables',
      'none',
      () => empty('CREATE TABLE users (id integer PRIMARY KEY, email text)'),
      /Table users: .* authSchemaFor\(\{ userId: 'integer' \}\)/,
    ],
    ['forRoot twice', 'forRoot twice', empty, /AuthModule is imported 2 times.* call forRoot once/],
    ['forRoot missing', 'forRoot missing', empty, /import AuthModule\.forRoot\(/],
    [
      'a wrong data source name',
      'wrong data source name',
      empty,
      /no DataSource 'notes'.*TypeOrmModule\.forRoot\(\{ name/,
    ],
    ['no data source', 'no data source', empty, /no DataSource: import TypeOrmModule\.forRoot/],
    [
      'no such database',
      'none',
      named((url) => (url.pathname = '/nobody_made_it')),
      /\(3D000\).*CREATE DATABASE "nobody_made_it"/,
    ],
    [
      'a wrong password',
      'none',
      async () => {
        const url = new URL(await empty());
        return Object.assign(url, { username: 'nobody', password: 'wrong' }).href;
      },
      /\((28P01|28000)\)\. It refuses this user.* correct the address/,
    ],
    ['nothing that listens', 'none', async () => 'postgres://127.0.0.1:1/notes', /\(ECONNREFUSED\).*start PostgreSQL/],
    [
      'TLS where there is none',
      'none',
      named((url) => url.searchParams.set('sslmode', 'verify-full')),
      /offers no TLS: take `sslmode` out/,
    ],
    [
      'a certificate that is not trusted',
      'none',
      async () => `${tls.server.url}?sslmode=verify-full`,
      /\([A-Z_]+\)\. The certificate of the server is not trusted: add `&sslrootcert=<file>`/,
    ],
    [
      'no CREATE right',
      'none',
      named(asRole, 'CREATE EXTENSION citext', 'REVOKE CREATE ON SCHEMA public FROM PUBLIC'),
      /\(42501\).*GRANT USAGE, CREATE ON SCHEMA "public" TO <role>/,
    ],
    [
      'no such schema',
      'none',
      named((url) => url.searchParams.set('options', '-c search_path=elsewhere')),
      /\(3F000\).*CREATE SCHEMA/,
    ],
  ] as [string, string, () => Promise<string>, RegExp][])(
    'at boot: %s',
    async (_, mistake, address, remedy) => {
      const { code, said, started } = await boot(mistake, await address());
      expect(said).toMatch(remedy);
      expect({ code, started }).toEqual({ code: 1, started: false });
    },
    60_000,
  );

  it('at boot: none of them (negative control), and a guarded handler', async () => {
    let status = 0;
    const url = await empty();
    const { said, started } = await boot('none', url, async (at) => (status = (await fetch(`${at}/me`)).status));
    expect({ said: said.replace(/listens at .*/, '').trim(), started, status }).toEqual({
      said: '',
      started: true,
      status: 401,
    });
  }, 60_000);

  it('at a request: no user, a foreign origin, and plain http', async () => {
    const url = await empty();
    const env = { DATABASE_URL: url };
    const user = { email: 'ada@example.com', password: 'correct horse battery staple' };
    const { said } = await boot('none', url, async (at) => {
      const login = (headers: Record<string, string>) =>
        new Promise<number>((done, fail) => {
          const sent = { method: 'POST', headers: { 'Content-Type': 'application/json', ...headers } };
          request(`${at}/auth/login`, sent, (answer) => done(answer.resume().statusCode!))
            .once('error', fail)
            .end(JSON.stringify(user));
        });
      expect(await login({})).toBe(503);
      const create = ['users', 'create', '--email', user.email];
      expect(await latchkey(create, env, Readable.from([user.password]))).toMatchObject({ status: 0 });
      expect(await login({ Origin: 'https://spa.example' })).toBe(403);
      expect(await login({ Host: 'app.example' })).toBe(200);
    });
    expect(said).toMatch(/SETUP_INCOMPLETE: .*npx nestjs-latchkey users create/);
    expect(said).toMatch(/CROSS_ORIGIN_REQUEST: .*https:\/\/spa\.example.*trustedOrigins/);
    expect(said).toMatch(/A Secure cookie was sent over plain http to app\.example: /);
  }, 60_000);

  /** The statement or command of a message, in its backticks. */
  const remedyIn = (message: string) => /`([^`]+)`/.exec(message)?.[1] ?? '';

  it('the statements that migrate prints are those that mend it', async () => {
    const url = new URL(await empty('CREATE EXTENSION citext', 'REVOKE CREATE ON SCHEMA public FROM PUBLIC'));
    const missing = `latchkey_missing_${randomBytes(4).toString('hex')}`;
    const server = process.env['LATCHKEY_TEST_SERVER']!;
    const failing = [
      [databaseUrl(server, missing), [], server, '3D000'],
      [asRole(new URL(url)).href, [], url.href, '42501'],
      [url.href, ['--schema', 'else where'], url.href, '3F000'],
    ] as const;
    undo.push(() => withClient(server, (client) => client.query(`DROP DATABASE ${missing} WITH (FORCE)`)));
    for (const [address, options, admin, code] of failing) {
      const env = { DATABASE_URL: address };
      const { status, out, err } = await latchkey(['migrate', ...options], env);
      expect({ status, out, err }).toMatchObject({ status: 1, out: '', err: expect.stringContaining(`(${code})`) });
      await withClient(admin, (client) => client.query(remedyIn(err)));
      expect(await latchkey(['migrate', ...options], env)).toMatchObject({ status: 0, err: '' });
      undo.push(() =>
        withClient(url.href, (client) => client.query(`DROP OWNED BY ${ROLE} CASCADE`)).catch(() => undefined),
      );
    }
  }, 60_000);

  it.each([
    ['users', 'list'],
    ['sessions', 'list', '--user', 'ada@example.com'],
    ['doctor'],
    ['cleanup'],
    ['migrate', '--dry-run'],
  ])(
    'latchkey %s %s, of each way in which the database cannot be used: one line, a code, no password',
    async (...args) => {
      const given = new URL(await empty());
      const addresses = [
        [Object.assign(new URL(given), { pathname: '/nobody_made_it' }).href, /CREATE DATABASE "nobody_made_it"/],
        ['postgres://ada:hunter2@127.0.0.1:1/notes', /start PostgreSQL/],
        [`${given.href}?sslmode=verify-full`, /offers no TLS/],
        [`${tls.server.url}?sslmode=verify-full`, /not trusted/],
      ] as const;
      for (const [address, remedy] of addresses) {
        const { status, out } = await latchkey([...args.filter(Boolean), '--json'], { DATABASE_URL: address });
        const { error } = JSON.parse(out) as { error: { code: string; message: string } };
        expect({ status, code: error.code }).toEqual({ status: 1, code: 'DATABASE_UNREACHABLE' });
        expect(error.message).toMatch(remedy);
        expect(error.message).not.toContain('\n');
        expect(out).not.toContain('hunter2');
      }
    },
    60_000,
  );

  it('a migration that is refused prints nothing but its answer', async () => {
    const url = await empty('CREATE TABLE users (id integer PRIMARY KEY)');
    const { status, out, err } = await latchkeyProcess(['migrate', '--json'], { DATABASE_URL: url });
    expect({ status, err }).toEqual({ status: 1, err: '' });
    expect(JSON.parse(out)).toMatchObject({ error: { code: 'INVALID_CONFIG' } });
  });
});
