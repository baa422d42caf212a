import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { seconds, SessionService } from 'nestjs-latchkey';
import { SessionCache, type MemorySessionCache } from 'nestjs-latchkey/engine';
import request from 'supertest';
import { COMMANDS } from '../../src/cli/run.js';
import { startTestApp, type TestApp } from '../support/app.js';
import { configFile, latchkey, type Ran } from '../support/command.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { until } from '../support/heard.js';

const PASSWORD = 'correct horse battery staple';
const NEXT = 'a better passphrase';
const SECRET = randomBytes(48).toString('base64url');

const json = ({ out }: Ran) => JSON.parse(out) as Record<string, unknown>;
const piped = (text: string) => Readable.from([Buffer.from(text)]);

describe('latchkey users, in the table of ours', () => {
  let db: TestDatabase;
  let t: TestApp;
  beforeAll(async () => {
    db = await createTestDatabase();
    t = await startTestApp({ url: db.url, auth: { cache: { enabled: true, ttl: seconds(3_600) } } });
    t.clock.set(Date.now());
  });
  afterAll(async () => {
    await t?.close();
    await db?.drop();
  });
  const users = (command: string, stdin?: string) =>
    latchkey(
      ['users', ...command.split(' ')],
      { DATABASE_URL: db.url },
      stdin === undefined ? undefined : piped(stdin),
    );
  const login = (email: string, password: string) => request(t.url).post('/auth/login').send({ email, password });

  it('what another program has stored neither commands the terminal nor disguises a name', async () => {
    const email = 'a\u001b]52;c;eA==\u0007\u202eb\u009b\u{e0041}@example.com';
    await db.query('INSERT INTO users (email, password_hash) VALUES ($1, $2)', [email, 'x']);
    const [text, asJson] = [await users('list'), await users('list --json')];
    expect(text.out).toContain('a\u{fffd}]52;c;eA==\u{fffd}\u{fffd}b\u{fffd}\u{fffd}@example.com');
    expect(json(asJson)['users']).toEqual([expect.objectContaining({ email })]);
    expect(asJson.out).toMatch(/^[\n\x20-\x7e]+$/);
    await db.query('DELETE FROM users WHERE email = $1', [email]);
  });
  /** A session that the running application has in memory. */
  const held = async (userId: string) => {
    const { token, session } = await t.app.get(SessionService).create(userId);
    const cache = t.app.get<MemorySessionCache>(SessionCache);
    await until(async () => (await t.app.get(SessionService).lookup(token)) !== null && !!cache.get(session.id));
    return async () => (await t.app.get(SessionService).lookup(token)) !== null;
  };

  it('create: the password from standard input; then it logs in', async () => {
    const made = await users('create --email Ada@Example.com --json', `${PASSWORD}\n`);
    expect(made).toMatchObject({ status: 0, err: '' });
    expect(json(made)).toMatchObject({ email: 'ada@example.com', userId: expect.any(String) });
    expect(made.out).not.toContain(PASSWORD);
    await login('ada@example.com', PASSWORD).expect(200);
    // A line's end belongs to the password only inside of it.
    expect(await users('create --email windows@example.com', `${PASSWORD} \r\n`)).toMatchObject({ status: 0 });
    await login('windows@example.com', `${PASSWORD} `).expect(200);
  });

  it.each([
    ['no address', 'create', PASSWORD, 2],
    ['no password', 'create --email bob@example.com', '', 2],
    ['a password in the arguments', `create --email bob@example.com --password ${PASSWORD.replaceAll(' ', '')}`, '', 2],
    ['a short one', 'create --email bob@example.com', 'short\n', 1],
    ['an address that is taken', 'create --email ada@example.com', PASSWORD, 1],
    ['an address that is none', 'create --email bob', PASSWORD, 1],
    ['nobody', 'disable --user nobody@example.com', '', 1],
    ['a limit that is none', 'list --limit 0', '', 2],
  ])('%s: a line, and no account', async (_, command, stdin, status) => {
    const before = await db.query('SELECT count(*) FROM users');
    const ran = await users(command, stdin);
    expect(ran).toMatchObject({ status, out: '' });
    expect(ran.err).not.toMatch(/correct ?horse|\n\s+at /);
    expect(await db.query('SELECT count(*) FROM users')).toEqual(before);
  });

  it('list: by email, a page at a time, with what is disabled', async () => {
    await users('create --email zoe@example.com', PASSWORD);
    await users('disable --user zoe@example.com');
    const all = json(await users('list --json')) as { users: { email: string; disabledAt: string | null }[] };
    const emails = all.users.map(({ email }) => email);
    expect(emails).toEqual(emails.toSorted());
    expect(all.users.at(-1)).toMatchObject({ email: 'zoe@example.com', disabledAt: expect.stringMatching(/^20/) });
    const first = json(await users('list --limit 1 --json'));
    expect(first).toMatchObject({ users: [{ email: emails[0] }], hasMore: true });
    const rest = json(await users(`list --after ${emails[0]!.toUpperCase()} --json`));
    expect(rest).toMatchObject({ users: emails.slice(1).map((email) => ({ email })), hasMore: false });
    const text = await users('list');
    expect(text.out).toMatch(/zoe@example\.com {2}disabled 20/);
    expect(text.out).not.toContain('argon2');
  });

  it('disable: ends what a running application has in memory, and logins; enable lets in again, and brings nothing back', async () => {
    const { userId } = json(await users('create --email eve@example.com --json', PASSWORD)) as { userId: string };
    const isLive = await held(userId);
    expect(await users('disable --user Eve@example.com')).toMatchObject({ status: 0, err: '' });
    await until(async () => !(await isLive()));
    await login('eve@example.com', PASSWORD).expect(401);
    expect(await users(`enable --user ${userId}`)).toMatchObject({ status: 0, err: '' });
    expect(await isLive()).toBe(false);
    await login('eve@example.com', PASSWORD).expect(200);
  });

  it('set-roles: the session goes on with them, and a name that none can have changes nothing', async () => {
    await users('create --email roles@example.com', PASSWORD);
    const set = (...roles: string[]) =>
      latchkey(['users', 'set-roles', '--user', 'roles@example.com', ...roles], { DATABASE_URL: db.url });
    const stored = async () => (await db.query(`SELECT roles FROM users WHERE email = 'roles@example.com'`))[0];
    expect(await set('--roles', 'admin, auditor')).toMatchObject({
      status: 0,
      out: 'roles@example.com has admin, auditor.\n',
    });
    expect(await stored()).toEqual({ roles: ['admin', 'auditor'] });
    expect((await users('list')).out).toMatch(/roles@example\.com {2}enabled {2}- {2}admin,auditor\n/);
    expect(await set('--roles', 'Admin')).toMatchObject({ status: 1, out: '' });
    expect(await set()).toMatchObject({ status: 2, out: '' });
    expect(await stored()).toEqual({ roles: ['admin', 'auditor'] });
    expect(await set('--roles', 'none')).toMatchObject({ status: 0, out: 'roles@example.com has no role.\n' });
    expect(await stored()).toEqual({ roles: [] });
  });

  it('reset-factors: every factor of this account and its sessions are gone, those of others are not', async () => {
    const ids: string[] = [];
    for (const name of ['lost', 'kept']) {
      const { userId } = json(await users(`create --email ${name}@example.com --json`, PASSWORD)) as { userId: string };
      ids.push(userId);
      const now = new Date();
      await db.query("INSERT INTO auth_totp (user_id, secret, confirmed_at, created_at) VALUES ($1, 's', $2, $2)", [
        userId,
        now,
      ]);
      await db.query("INSERT INTO auth_backup_codes VALUES ($1, 'ABC', 'hash', NULL, $2)", [userId, now]);
      await db.query('INSERT INTO auth_email_factors (user_id, enabled_at) VALUES ($1, $2)', [userId, now]);
      await db.query(
        `INSERT INTO auth_identities (id, user_id, provider, issuer, subject, linked_at)
          VALUES (gen_random_uuid(), $1, 'google', 'https://accounts.google.com', $2, $3)`,
        [userId, name, now],
      );
      await db.query(
        `INSERT INTO auth_passkeys (id, user_id, user_handle, credential_id, public_key, sign_count, transports,
          multi_device, backed_up, name, created_at)
          VALUES (gen_random_uuid(), $1, $2, $2, '', 0, '{}', false, false, 'Phone', $3)`,
        [userId, name, now],
      );
    }
    const [lost, kept] = ids as [string, string];
    const rows = async (userId: string) =>
      (
        await db.query(
          `SELECT user_id FROM auth_totp WHERE user_id = $1 UNION ALL SELECT user_id FROM auth_backup_codes WHERE user_id = $1
            UNION ALL SELECT user_id FROM auth_email_factors WHERE user_id = $1
            UNION ALL SELECT user_id FROM auth_passkeys WHERE user_id = $1`,
          [userId],
        )
      ).length;
    expect([await rows(lost), await rows(kept)]).toEqual([4, 4]);
    const identities = () => db.query('SELECT subject FROM auth_identities ORDER BY subject');
    const isLive = await held(lost);
    const done = json(await users('reset-factors --user lost@example.com --json'));
    expect(done).toEqual({
      userId: lost,
      removed: ['totp', 'passkey', 'email-code', 'backup-code'],
      tokensEnded: true,
    });
    await until(async () => !(await isLive()));
    expect([await rows(lost), await rows(kept)]).toEqual([0, 4]);
    expect(await users(`reset-factors --user ${lost}`)).toMatchObject({
      status: 0,
      out: 'Removed: nothing. Every session has ended.\n',
    });
    expect(await identities()).toEqual([{ subject: 'kept' }, { subject: 'lost' }]);
    expect((await users(`reset-factors --user ${lost} --identities`)).out).toContain('Removed: google.');
    expect(await identities()).toEqual([{ subject: 'kept' }]);
    expect(await users('reset-factors')).toMatchObject({ status: 2, out: '' });
  });

  it('set-password: the new one counts, the old sessions end', async () => {
    const { userId } = json(await users('create --email bo@example.com --json', PASSWORD)) as { userId: string };
    const isLive = await held(userId);
    for (const [weak, expected] of [
      ['short', 'password must have at least 15 characters.'],
      ['passwordpassword', 'password must not be a common password.'],
      ['bo@example.com bo', 'password must not be made of your address or the name of this application.'],
    ] as const) {
      const refused = await users('set-password --user bo@example.com', weak);
      expect(refused).toMatchObject({ status: 1, out: '', err: expect.stringContaining(expected) });
      expect(json({ ...refused, out: (await users('set-password --user bo@example.com --json', weak)).out })).toEqual({
        error: { code: 'WEAK_PASSWORD', message: expected },
      });
    }
    expect(await isLive()).toBe(true);
    expect(await users('set-password --user bo@example.com', NEXT)).toMatchObject({ status: 0, err: '' });
    await until(async () => !(await isLive()));
    await login('bo@example.com', PASSWORD).expect(401);
    await login('bo@example.com', NEXT).expect(200);
  });

  it('in a terminal: asks twice, shows nothing of it, and takes back what was typed wrongly', async () => {
    const typed = (...keys: string[]) => {
      const terminal = Object.assign(new PassThrough(), { isTTY: true, setRawMode: () => terminal });
      keys.forEach((text) => setImmediate(() => terminal.write(text)));
      return terminal as NodeJS.ReadableStream & { isTTY?: boolean };
    };
    const create = (email: string, ...keys: string[]) => {
      const terminal = typed();
      const answers = [...keys];
      const ran = latchkey(['users', 'create', '--email', email], { DATABASE_URL: db.url }, terminal);
      // Each when it is asked for.
      terminal.on('resume', () =>
        setImmediate(() => (terminal as unknown as PassThrough).write(answers.shift() ?? '')),
      );
      return ran;
    };
    const made = await create('tty@example.com', `${PASSWORD}x\x7f\r`, `${PASSWORD}\r`);
    expect(made).toMatchObject({ status: 0, err: 'Password: \nAgain: \n' });
    await login('tty@example.com', PASSWORD).expect(200);
    const other = await create('tty2@example.com', `${PASSWORD}\r`, `${NEXT}\r`);
    expect(other).toMatchObject({ status: 1, err: expect.stringContaining('The two passwords differ') });
    const cancelled = await create('tty2@example.com', `${PASSWORD}\x03`);
    expect(cancelled).toMatchObject({ status: 1, err: expect.stringContaining('Cancelled') });
    expect(await db.query("SELECT 1 FROM users WHERE email = 'tty2@example.com'")).toEqual([]);
  });
});

describe('latchkey users, in a directory of the host’s own', () => {
  const undo: (() => unknown)[] = [];
  afterEach(async () => {
    for (const step of undo.splice(0).toReversed()) await step();
  });
  /** With what the port has beyond the required methods. */
  const own = async (more = '') => {
    const db = await createTestDatabase({ migrated: false });
    const directory = `{ secrets: ['${SECRET}'], users: class extends UserDirectory {
      async findById(id) { return id === '7' ? { id, email: 'ada@example.com' } : null; }
      async findByLogin(login) { return login === 'ada@example.com' ? this.findById('7') : null; }
      async verifyCredentials() { return null; }
      ${more}
    } }`;
    const config = configFile(directory, "import { UserDirectory } from 'nestjs-latchkey';");
    undo.push(() => db.drop(), config.remove);
    await latchkey(['migrate', '--user-id', 'bigint', '--database-url', db.url]);
    const env = { DATABASE_URL: db.url };
    return { db, env, config: ['--config', config.path] };
  };

  it('create, list, disable and enable: UNSUPPORTED, and where to do it', async () => {
    const { env, config } = await own();
    const commands = ['create --email a@example.com', 'list', 'disable --user 7', 'enable --user 7'];
    for (const command of commands) {
      for (const more of [config, []]) {
        const args = ['users', ...command.split(' '), '--json', ...more];
        const ran = await latchkey(args, env, piped(PASSWORD));
        expect(ran.status).toBe(1);
        expect(json(ran)).toMatchObject({
          error: { code: 'UNSUPPORTED', message: expect.stringContaining('UserDirectory of your own') },
        });
      }
    }
  }, 60_000);

  it('set-password: by setPasswordHash, and the sessions end; without --config it asks for that', async () => {
    const { db, env, config } = await own(`async setPasswordHash(id, hash) {
      globalThis.latchkeyTestHash = hash;
      return id === '7';
    }`);
    await db.query(
      "INSERT INTO sessions (id, user_id, expires_at) VALUES (repeat('a', 64), 7, now() + interval '1 day')",
    );
    const args = ['users', 'set-password', '--user', '7'];
    const without = await latchkey(args, env, piped(NEXT));
    expect(without).toMatchObject({ status: 1, err: expect.stringContaining('--config <file>') });
    expect(await db.query('SELECT FROM sessions')).toHaveLength(1);
    const ran = await latchkey([...args, '--json', ...config], env, piped(NEXT));
    expect(json(ran)).toMatchObject({ userId: '7', tokensEnded: false });
    expect((globalThis as { latchkeyTestHash?: string }).latchkeyTestHash).toMatch(/^\$argon2id\$/);
    expect(await db.query('SELECT FROM sessions')).toEqual([]);
  }, 60_000);
});

describe('latchkey version', () => {
  it.each([['version'], ['--version'], ['-v']])('%s: that of the package', async (word) => {
    const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };
    expect(await latchkey([word])).toEqual({ status: 0, out: `${version}\n`, err: '' });
    expect(json(await latchkey([word, '--json']))).toEqual({ version, node: process.versions.node });
  });
});

describe('every command that a message or a page names', () => {
  /** In messages, comments and pages; a name ends where the words of commands end. */
  const NAMED = /nestjs-latchkey ((?:[a-z][a-z-]*)(?: [a-z][a-z-]*)?)((?: --[a-z-]+(?: [^\s`'"|\\]+)?)*)/g;
  const commandOf = (words: string) => COMMANDS.find(({ name }) => words === name || words.split(' ')[0] === name);
  const unknownIn = (text: string) =>
    [...text.matchAll(NAMED)]
      .filter(([whole]) => !/^nestjs-latchkey (\w+ )*(is|of|on|runs|as|counts|can|the|and|for|brings)\b/.test(whole))
      .filter(([, words, options]) => {
        const command = commandOf(words!);
        const known = Object.keys(command?.options ?? {}).concat('json', 'help');
        return !command || [...options!.matchAll(/--([a-z-]+)/g)].some(([, option]) => !known.includes(option!));
      })
      .map(([whole]) => whole);
  const textsOf = (folder: string, ending: RegExp) =>
    readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((path) => ending.test(path) && !path.endsWith('.spec.ts'))
      .map((path) => readFileSync(join(folder, path), 'utf8'));

  it('exists, with its options', () => {
    const texts = [...textsOf('src', /\.ts$/), ...textsOf('docs', /\.md$/), readFileSync('README.md', 'utf8')];
    const npx = texts.flatMap((text) => text.match(/npx nestjs-latchkey [^`\n]*/g) ?? []);
    expect(npx.length).toBeGreaterThan(15);
    expect(npx.flatMap(unknownIn)).toEqual([]);
  });

  it('sees one that does not (negative control)', () => {
    for (const wrong of [
      'npx nestjs-latchkey migrat',
      'npx nestjs-latchkey migrate --force',
      'npx nestjs-latchkey users drop',
    ]) {
      expect(unknownIn(wrong)).toHaveLength(1);
    }
    expect(unknownIn('npx nestjs-latchkey migrate --user-id <type>')).toEqual([]);
  });

  it('no message names a command without npx, which would not be found', () => {
    const bare = textsOf('src', /\.ts$/).flatMap(
      (text) =>
        text.match(/(?<!npx )\bnestjs-latchkey (?:init|migrate|users|doctor|secret|sessions|cleanup)\b.*/g) ?? [],
    );
    expect(bare).toEqual([]);
  });
});
