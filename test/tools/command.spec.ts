import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { configFile, latchkey, latchkeyProcess } from '../support/command.js';
import { createTestDatabase } from '../support/database.js';

describe('latchkey, as a process', () => {
  it('prints and exits as it does here: done, failed, called wrongly', async () => {
    const url = 'postgres://ada:hunter2@127.0.0.1:1/notes';
    const calls = [
      ['--help'],
      ['secret', '--json'],
      ['migrate', '--frobnicate'],
      ['sessions', 'list', '--user', 'ada'],
    ];
    const ran = await Promise.all(calls.map((args) => latchkeyProcess(args, { DATABASE_URL: url })));
    expect(ran.map(({ status }) => status)).toEqual([0, 0, 2, 1]);
    const [help, , wrong, away] = await Promise.all(calls.map((args) => latchkey(args, { DATABASE_URL: url })));
    expect(ran[0]).toEqual(help);
    expect(JSON.parse(ran[1]!.out)).toMatchObject({ secret: expect.stringMatching(/^[\w-]{64}$/) });
    expect(ran[2]).toEqual(wrong);
    expect(ran[3]).toEqual(away);
  }, 60_000);

  it('a migrated database: doctor and sessions end by themselves', async () => {
    const db = await createTestDatabase();
    const secret = randomBytes(48).toString('base64url');
    const config = configFile(`{ secrets: ['${secret}'], routes: { path: 'auth' }, cache: { enabled: true } }`);
    const env = { DATABASE_URL: db.url, LATCHKEY_CONFIG: config.path };
    const ran = await Promise.all([
      latchkeyProcess(['doctor'], env),
      latchkeyProcess(['sessions', 'list', '--user', 'ada@example.com'], env),
    ]);
    expect(ran.map(({ status, err }) => ({ status, err }))).toEqual([
      { status: 0, err: '' },
      { status: 1, err: 'There is no account with this id or email.\n' },
    ]);
    config.remove();
    await db.drop();
  }, 60_000);
});

describe('doctor --aal 2, as a process', () => {
  const FACTORS = `flows: { twoFactor: { totp: {}, backupCodes: {} }, passkeys: { rpName: 'Notes' } }`;
  const LIFETIMES = 'session: { ttl: 3_600_000, extendBelow: 1_800_000, absoluteLifetime: 86_400_000 }';
  const examined = async (...options: string[]) => {
    const secret = randomBytes(48).toString('base64url');
    const base = `secrets: ['${secret}'], routes: { path: 'auth' }, baseUrl: 'https://app.example.com'`;
    const config = configFile(`{ ${[base, ...options].join(', ')} }`);
    const { status, err, out } = await latchkeyProcess(['doctor', '--aal', '2', '--json'], {
      LATCHKEY_CONFIG: config.path,
    });
    config.remove();
    expect(err).toBe('');
    const { findings, checklist } = JSON.parse(out) as Record<
      string,
      { code?: string; id?: string; status?: string }[]
    >;
    const deviations = checklist!.filter((one) => one.status === 'DEVIATION' && /^F(5[67]|72)$/.test(one.id!));
    return [status, findings!.map(({ code }) => code), deviations.map(({ id }) => id)];
  };

  it.each([
    ['nothing, of what has it all', [FACTORS, LIFETIMES], [0, [], []]],
    ['lifetimes', [FACTORS], [1, ['AUTH_D30', 'AUTH_D31'], []]],
    ['a second factor and one that resists phishing', [LIFETIMES], [1, ['AUTH_D32'], ['F57', 'F72']]],
    ['one that resists phishing', ['flows: { twoFactor: { totp: {} } }', LIFETIMES], [1, ['AUTH_D33'], ['F72']]],
    [
      'a second step at every login',
      [FACTORS.replace('totp: {}', 'totp: {}, trustedBrowsers: 86_400_000'), LIFETIMES],
      [0, [], ['F56']],
    ],
  ])(
    'F57: what is missing is named: %s',
    async (_, options, named) => {
      expect(await examined(...options)).toEqual(named);
    },
    60_000,
  );
});

describe('the file of --config', () => {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-config-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const secret = randomBytes(48).toString('base64url');
  const options = `{ secrets: [process.env['AUTH_SECRET']], routes: { path: 'auth' } }`;
  const doctor = (file: string, text: string) => {
    writeFileSync(join(folder, file), text);
    return latchkeyProcess(['doctor', '--config', file], { AUTH_SECRET: secret }, { cwd: folder });
  };

  it.each([
    [
      'TypeScript',
      'one.ts',
      `enum Kind { A }\nexport const kind: Kind = Kind.A;\nexport const authOptions: object = ${options};`,
    ],
    ['CommonJS', 'two.cjs', `module.exports = ${options};`],
    ['CommonJS without a package', 'three.js', `exports.authOptions = ${options};`],
    [
      'CommonJS compiled by TypeScript',
      'four.cjs',
      `Object.defineProperty(exports, '__esModule', { value: true });\nexports.default = async () => (${options});`,
    ],
    ['an ES module', 'five.mjs', `export default ${options};`],
  ])(
    '%s',
    async (_, file, text) => {
      expect(await doctor(file, text)).toMatchObject({ status: 0, err: '', out: expect.stringContaining('0 failed') });
    },
    60_000,
  );

  it('what cannot be loaded: one line with the way out, and nothing of the file', async () => {
    const { status, err } = await doctor('six.cjs', "throw new TypeError('hunter2');");
    expect({ status, err }).toMatchObject({
      status: 1,
      err: expect.stringMatching(/^Cannot load six\.cjs \(TypeError\): [^\n]*\n$/),
    });
    expect(err).not.toContain('hunter2');
    const missing = await doctor('seven.mjs', "import './nowhere.mjs';");
    expect(missing.err).toMatch(/^Cannot load seven\.mjs \(ERR_MODULE_NOT_FOUND: .*nowhere\.mjs/);
  }, 60_000);

  it('the variables of .env are read, and those of the environment win', async () => {
    writeFileSync(
      join(folder, '.env'),
      `AUTH_SECRET=${secret}\nDATABASE_URL=postgres://u:hunter2@127.0.0.1:1/fromfile\n`,
    );
    writeFileSync(join(folder, 'env.mjs'), `export default ${options};`);
    const migrate = (env: Record<string, string>) => latchkeyProcess(['migrate'], env, { cwd: folder });
    expect((await migrate({})).err).toContain('127.0.0.1:1/fromfile');
    expect((await migrate({ DATABASE_URL: 'postgres://127.0.0.1:1/given' })).err).toContain('127.0.0.1:1/given');
    const args = ['doctor', '--config', 'env.mjs', '--json'];
    const { out } = await latchkeyProcess(args, { DATABASE_URL: '' }, { cwd: folder });
    expect(JSON.parse(out)).toMatchObject({ ok: true });
    rmSync(join(folder, '.env'));
  }, 60_000);
});
