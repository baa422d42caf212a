import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { authSchemaFor, days, hours, minutes, type AuthModuleExtras } from 'nestjs-latchkey';
import { MemoryMailer } from 'nestjs-latchkey/testing';
import { Client } from 'pg';
import { DataSource } from 'typeorm';
import { diagnose } from '../../src/cli/doctor/diagnose.js';
import { expectedSchema } from '../../src/cli/doctor/expected-schema.js';
import { CODES, type FindingCode } from '../../src/cli/doctor/finding.js';
import type { HostConfiguration } from '../../src/cli/host.js';
import { google, okta } from '../../src/oidc/providers/index.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

const SECRET = randomBytes(48).toString('base64url');

interface Planted {
  readonly options?: Record<string, unknown>;
  readonly extras?: Partial<AuthModuleExtras>;
  readonly sql?: string;
  readonly clockAhead?: number;
  readonly aal?: '2';
}

const AT_AAL2 = { ttl: hours(1), extendBelow: minutes(30), absoluteLifetime: hours(24) };

/** One misconfiguration for each code, and more where a code has several causes. */
const PLANTED: readonly (readonly [FindingCode, string, Planted])[] = [
  ['AUTH_D01', 'an option that does not exist', { options: { sesion: {} } }],
  ['AUTH_D02', 'a placeholder', { options: { secrets: ['change-me-to-something-long-and-random'] } }],
  ['AUTH_D02', 'one letter', { options: { secrets: ['a'.repeat(40)] } }],
  ['AUTH_D02', 'a repetition', { options: { secrets: ['correct horse '.repeat(4)] } }],
  ['AUTH_D02', 'a sequence', { options: { secrets: ['abcdefghijklmnopqrstuvwxyz0123456789'] } }],
  ['AUTH_D02', 'a weak previous secret', { options: { secrets: [SECRET, '0123456789'.repeat(4)] } }],
  ['AUTH_D10', 'an insecure cookie', { options: { cookie: { secure: false } } }],
  ['AUTH_D11', 'a cookie for foreign sites', { options: { cookie: { sameSite: 'none' } } }],
  ['AUTH_D12', 'a cookie without prefix', { options: { cookie: { hostPrefix: false } } }],
  ['AUTH_D13', 'a trusted origin over http', { options: { trustedOrigins: ['http://app.example.com'] } }],
  ['AUTH_D14', 'no global guard', { extras: { globalGuard: false } }],
  ['AUTH_D20', 'half of the internet as proxies', { options: { trustedProxies: ['0.0.0.0/1', '10.0.0.0/8'] } }],
  ['AUTH_D30', 'sessions idle for two months', { options: { session: { ttl: days(60) } } }],
  ['AUTH_D31', 'sessions of a year', { options: { session: { absoluteLifetime: days(365) } } }],
  ['AUTH_D32', 'AAL2 without a second factor', { aal: '2', options: { session: AT_AAL2 } }],
  [
    'AUTH_D33',
    'AAL2 by codes alone',
    {
      aal: '2',
      options: { baseUrl: 'https://app.example.com', session: AT_AAL2 },
      extras: { flows: { twoFactor: { totp: {} } } },
    },
  ],
  ['AUTH_D40', 'no login limit', { options: { rateLimits: { policies: { login_attempt: { limit: 100_000 } } } } }],
  [
    'AUTH_D40',
    'a login limit per second',
    { options: { rateLimits: { policies: { login_ip: { limit: 50, window: 1_000 } } } } },
  ],
  ['AUTH_D41', 'no back-off', { options: { rateLimits: { backoff: { base: 0 } } } }],
  ['AUTH_D42', 'limits that fail open', { options: { rateLimits: { onStoreError: 'allow' } } }],
  ['AUTH_D43', 'cheap hashes', { options: { password: { memoryCost: 1024 } } }],
  ['AUTH_D44', 'a mailed code of an hour', { options: { ephemeralTokens: { email_otp_setup: { ttl: hours(1) } } } }],
  ['AUTH_D44', 'a link to register of two days', { options: { ephemeralTokens: { register: { ttl: days(2) } } } }],
  ['AUTH_D51', 'a cache that hears nobody', { options: { cache: { enabled: true, channel: 'local' } } }],
  ['AUTH_D60', 'another isolation level', { sql: "SET default_transaction_isolation = 'repeatable read'" }],
  ['AUTH_D61', 'a search_path elsewhere', { sql: 'CREATE SCHEMA elsewhere; SET search_path = elsewhere' }],
  ['AUTH_D62', 'a clock that is ahead', { clockAhead: 5_000 }],
  ['AUTH_D63', 'a clock that is far behind', { clockAhead: -60_000 }],
  [
    'AUTH_D64',
    'a schema that everybody may create in',
    { sql: 'CREATE ROLE latchkey_guest; GRANT CREATE ON SCHEMA public TO PUBLIC' },
  ],
  ['AUTH_D70', 'no table', { sql: 'DROP TABLE auth_ephemeral_tokens CASCADE' }],
  ['AUTH_D71', 'no column', { sql: 'ALTER TABLE users DROP COLUMN last_login_at' }],
  ['AUTH_D72', 'no index', { sql: 'DROP INDEX sessions_user_id_idx' }],
  ['AUTH_D73', 'no function', { sql: 'DROP FUNCTION latchkey_end_access' }],
  [
    'AUTH_D74',
    'a trigger turned off',
    { sql: 'ALTER TABLE sessions DISABLE TRIGGER latchkey_publish_sessions_delete' },
  ],
];

const expected = await expectedSchema();

describe('latchkey doctor', () => {
  let db: TestDatabase;
  let client: Client;
  beforeAll(async () => {
    db = await createTestDatabase();
    client = new Client({ connectionString: db.url });
    await client.connect();
  });
  afterAll(async () => {
    await client?.end();
    await db?.drop();
  });

  const host = ({ options, extras = {} }: Planted = {}): HostConfiguration => ({
    options: { secrets: [SECRET], ...options },
    routes: { path: 'auth' },
    extras,
  });
  /** What it says of a database on which this was done; nothing of it stays. */
  async function examined(planted: Planted, schema = expected) {
    await client.query('BEGIN');
    try {
      if (planted.sql) await client.query(planted.sql);
      // Not the transaction's frozen instant, and not this process's own clock twice.
      return await diagnose({
        host: host(planted),
        database: { query: async (sql, values) => (await client.query(sql, values)).rows, expected: schema },
        now: () => Date.now() + (planted.clockAhead ?? 0),
        ...(planted.aal && { aal: planted.aal }),
      });
    } finally {
      await client.query('ROLLBACK');
    }
  }
  const codesOf = ({ findings }: { findings: readonly { code: string }[] }) => [
    ...new Set(findings.map(({ code }) => code)),
  ];

  it('finds nothing in the defaults (negative control), and lists each requirement once for each of its sides', async () => {
    const { findings, checklist } = await examined({});
    expect(findings).toEqual([]);
    expect(checklist.filter(({ status }) => status === 'DEVIATION').map(({ id }) => id)).toEqual(['K7', 'O1', 'X5']);
    expect(new Set(checklist.map(({ id, topic }) => `${id} ${topic}`)).size).toBe(checklist.length);
  });

  it('H43: says how failures of an account are bounded, and where strangers can still lock it out', async () => {
    const { checklist } = await examined({});
    const guessing = checklist.filter(({ id }) => id === 'G1' || id === 'G3');
    expect(guessing.map(({ status, value }) => [status, value])).toEqual([
      ['PASS', '10 in 15 min, and 100 until the password is disabled'],
      ['PASS', expect.stringContaining('20 in 15 min')],
      ['PASS', 'not of a known device, which has 10 in 15 min; elsewhere for 15 min at a time'],
    ]);
  });

  it('H43: says that sessions are ended without a new proof of who asks', async () => {
    const { checklist } = await examined({});
    expect(checklist.find(({ id }) => id === 'X5')).toMatchObject({
      status: 'DEVIATION',
      reason: expect.stringMatching(/^ASVS 7\.5\.2 .* the routes ask for none$/),
    });
  });

  it('A6.4.1, A6.3.7: says how registrations are proven, and who tells owners of changes', async () => {
    const pages = { registration: '/confirm' };
    const mailed = {
      options: { baseUrl: 'https://app.example.com', mail: { pages } },
      extras: { mailer: MemoryMailer, flows: { registration: {}, accountDeletion: {} } },
    };
    const ofFlows = async (planted: Planted) => {
      const { findings, checklist } = await examined(planted);
      expect(findings).toEqual([]);
      return checklist.filter(({ id }) => ['E10', 'E11'].includes(id)).map(({ status, value }) => [status, value]);
    };
    expect(await ofFlows({})).toEqual([]);
    expect(await ofFlows(mailed)).toEqual([
      ['PASS', '1 d'],
      ['PASS', 'before there is an account'],
      ['PASS', 'by mail'],
    ]);
    expect(await ofFlows({ extras: { flows: ['passwordChange'] } })).toEqual([['DEVIATION', 'from nobody']]);
  });

  it('each requirement of ASVS 6 on passwords and recovery that a flow touches has a row', async () => {
    const pages = { registration: '/confirm', password_reset: '/reset', email_change: '/new', email_changed: '/old' };
    const flows = { registration: {}, passwordReset: {}, passwordChange: {}, emailChange: {} };
    const planted = (more: object = {}) => ({
      options: { baseUrl: 'https://app.example.com', mail: { pages }, ...more },
      extras: { mailer: MemoryMailer, flows },
    });
    const rowsOf = async (of: Planted) =>
      (await examined(of)).checklist.filter(({ source }) => source.startsWith('A6.'));
    const required =
      'A6.1.1 A6.1.3 A6.2.1 A6.2.2 A6.2.3 A6.2.4 A6.2.5 A6.2.8 A6.2.9 A6.2.10 A6.2.11 A6.2.12 ' +
      'A6.3.1 A6.3.4 A6.3.6 A6.3.7 A6.3.8 A6.4.1 A6.4.2 A6.4.3 A6.4.4';
    const sources = (await rowsOf(planted())).map(({ source }) => source);
    expect(sources).toEqual(expect.arrayContaining([...required.split(' '), 'A6.5.5', 'A6.6.3']));
    expect((await rowsOf(planted())).filter(({ status }) => status !== 'PASS')).toEqual([]);
    const generous = { policies: { password_change: { limit: 5_000 }, mail_ip: { limit: 5_000 } } };
    const deviations = (await rowsOf(planted({ rateLimits: generous }))).filter(({ status }) => status !== 'PASS');
    expect(deviations.map(({ id }) => id).toSorted()).toEqual(['F16', 'F39']);
  });

  it('F33: where there are pages, they keep what is required of the fields of a password', async () => {
    const rowsOf = async (flows: object) => {
      const { checklist } = await examined({ options: { baseUrl: 'https://app.example.com' }, extras: { flows } });
      return checklist
        .filter(({ source }) => /^A6\.2\.[67]$/.test(source))
        .map(({ source, status }) => [source, status]);
    };
    expect(await rowsOf({ pages: {} })).toEqual([
      ['A6.2.6', 'PASS'],
      ['A6.2.7', 'PASS'],
    ]);
    expect(await rowsOf({})).toEqual([]);
  });

  it.each(PLANTED)('%s: %s', async (code, _, planted) => {
    const { findings } = await examined(planted);
    expect(findings.map((found) => found.code)).toEqual([code]);
    expect(findings[0]).toMatchObject({ severity: CODES[code][0] });
    expect(findings[0]!.message.length * findings[0]!.remedy.length).toBeGreaterThan(0);
    expect(JSON.stringify(findings)).not.toContain(SECRET);
  });

  it('every code has a planted case, but for those that need a module option of later', () => {
    const planted = new Set(PLANTED.map(([code]) => code));
    expect(Object.keys(CODES).filter((code) => !planted.has(code as FindingCode))).toEqual(['AUTH_D50']);
  });

  it('a cleanup that is turned off', async () => {
    expect(codesOf(await examined({ options: { cleanup: false } }))).toContain('AUTH_D50');
    expect(codesOf(await examined({ options: { cleanup: { enabled: false } } }))).toContain('AUTH_D50');
  });

  it('ten at once: none hides another, also where AuthModule would not start', async () => {
    const planted: Planted = {
      options: {
        secrets: ['password'.repeat(5)],
        cookie: { secure: false },
        trustedProxies: ['0.0.0.0/0'],
        session: { ttl: days(60), absoluteLifetime: days(365) },
        rateLimits: { policies: { login_attempt: { limit: 100_000 } }, onStoreError: 'allow' },
        cleanup: false,
      },
      sql: `DROP INDEX auth_ephemeral_tokens_token_key; DROP FUNCTION latchkey_close_family;
        SET default_transaction_isolation = 'serializable'`,
      clockAhead: 60_000,
    };
    const wanted = ['D01', 'D02', 'D10', 'D20', 'D30', 'D31', 'D40', 'D42', 'D50', 'D60', 'D63', 'D72', 'D73'];
    expect(codesOf(await examined(planted))).toEqual(wanted.map((code) => `AUTH_${code}`));
  });

  it.each([
    ['2', AT_AAL2],
    ['3', { ttl: minutes(15), extendBelow: minutes(5), absoluteLifetime: hours(12) }],
  ] as const)('--aal %s measures the lifetimes by NIST', async (aal, session) => {
    const now = () => Date.now();
    const extras = { flows: { passkeys: { rpName: 'Notes' } } };
    const of = (more: object) => host({ options: { baseUrl: 'https://app.example.com', ...more }, extras });
    expect(codesOf(await diagnose({ host: of({}), aal, now }))).toEqual(['AUTH_D30', 'AUTH_D31']);
    expect(codesOf(await diagnose({ host: of({ session }), aal, now }))).toEqual([]);
  });

  it.each([
    [undefined, {}, []],
    ['1', {}, []],
    ['2', {}, ['F57', 'F72']],
    ['2', { twoFactor: { totp: {} } }, ['F72']],
    ['3', { passkeys: { rpName: 'Notes' } }, []],
    ['2', { twoFactor: { totp: {}, trustedBrowsers: days(30) }, passkeys: { rpName: 'Notes' } }, ['F56']],
  ] as const)('F57: --aal %s with the flows %j deviates in %j', async (aal, flows, deviations) => {
    const planted = { options: { baseUrl: 'https://app.example.com' }, extras: { flows } };
    const { checklist } = await diagnose({ host: host(planted), ...(aal && { aal }), now: () => Date.now() });
    const ofFactors = checklist.filter(({ id, status }) => /^F(5[67]|72)$/.test(id) && status === 'DEVIATION');
    expect(ofFactors.map(({ id }) => id)).toEqual(deviations);
  });

  it('F47-F57: each factor that there is has its rows', async () => {
    const twoFactor = { totp: {}, backupCodes: {}, emailCode: {} };
    const pages = { first_factor_added: '/not-me', password_reset: '/reset' };
    const options = { baseUrl: 'https://app.example.com', mail: { pages } };
    const planted = { options, extras: { mailer: MemoryMailer, flows: { twoFactor } } };
    const all = await diagnose({ host: host(planted), now: () => Date.now() });
    const sources = new Set(
      all.checklist.filter(({ id }) => /^F(4[7-9]|5[1-7])$/.test(id)).map(({ source }) => source),
    );
    expect([...sources].toSorted()).toEqual(
      ['A6.3.6', 'A6.5.1', 'A6.5.2', 'A6.5.5', 'A6.5.8', 'A6.6.2', 'N3.1.3.1', 'N3.2.2'].toSorted(),
    );
    const none = await diagnose({ host: host(), now: () => Date.now() });
    expect(none.checklist.filter(({ id }) => /^F(4[7-9]|5[1-3])$/.test(id))).toEqual([]);
  });

  it.each([
    [{}, []],
    [{ assurance: { emailCounts: true } }, ['A6.3.6', 'N3.1.3.1']],
  ])('F54: mail that counts as a factor deviates: %j', async (options, sources) => {
    const { checklist } = await diagnose({ host: host({ options }), now: () => Date.now() });
    const deviations = checklist.filter(({ id, status }) => id === 'F54' && status === 'DEVIATION');
    expect(deviations.map(({ source }) => source)).toEqual(sources);
  });

  it('F67, F25: says at which providers there is a step-up, and what outlives a logout there', async () => {
    const rowsOf = async (ids: readonly ('google' | 'okta')[], more: object = {}) => {
      const client = { clientId: 'notes', clientSecret: 'secret' };
      const all = { google: google(client), okta: okta({ ...client, issuer: 'https://example.okta.com' }) };
      const flows = { oidc: { providers: ids.map((id) => all[id]) }, stepUp: {} };
      const planted = { options: { baseUrl: 'https://app.example.com', ...more }, extras: { flows } };
      const { checklist } = await diagnose({ host: host(planted), now: () => Date.now() });
      const rowOf = (asked: string) => checklist.find(({ source }) => source === asked)!;
      return { stepUp: rowOf('A7.5.3').value, logout: rowOf('A7.6.1').status };
    };
    expect(await rowsOf(['google', 'okta'])).toEqual({ stepUp: expect.stringMatching(/^at okta,/), logout: 'PASS' });
    expect(await rowsOf(['google'], { jwt: { sessions: true } })).toEqual({ stepUp: 'none', logout: 'DEVIATION' });
  });

  it('F46: without a mailer a first factor of a thief is taken back by an operator only', async () => {
    const mail = { pages: { first_factor_added: '/not-me', password_reset: '/reset' } };
    const rowOf = async (extras: object, more: object = {}) => {
      const options = { baseUrl: 'https://app.example.com', ...more };
      const planted = { options, extras: { flows: { passkeys: { rpName: 'Notes' } }, ...extras } };
      const { checklist } = await diagnose({ host: host(planted), now: () => Date.now() });
      return checklist.find(({ id }) => id === 'F46');
    };
    expect(await rowOf({})).toMatchObject({ status: 'DEVIATION' });
    expect(await rowOf({ mailer: MemoryMailer }, { mail })).toMatchObject({ status: 'PASS' });
  });

  it('no random secret is called weak', async () => {
    const secrets = Array.from({ length: 3_000 }, (_, i) => randomBytes(32).toString(i % 2 ? 'hex' : 'base64url'));
    secrets.push(...Array.from({ length: 1_000 }, () => randomBytes(16).toString('hex')));
    const { findings } = await diagnose({ host: host({ options: { secrets } }), now: () => Date.now() });
    expect(findings).toEqual([]);
  });

  it('every table, column, index, function and trigger of the migrations is missed when it is gone', async () => {
    expect(expected.unknown).toEqual([]);
    const drops: [FindingCode, string, string][] = [
      ...[...expected.tables.keys()].map((name): [FindingCode, string, string] => [
        'AUTH_D70',
        name,
        `DROP TABLE ${name} CASCADE`,
      ]),
      ...[...expected.tables].flatMap(([table, columns]) =>
        [...columns].map((name): [FindingCode, string, string] => [
          'AUTH_D71',
          name,
          `ALTER TABLE ${table} DROP COLUMN ${name} CASCADE`,
        ]),
      ),
      ...[...expected.functions.keys()].map((name): [FindingCode, string, string] => [
        'AUTH_D73',
        name,
        `DROP FUNCTION ${name} CASCADE`,
      ]),
      ...[...expected.triggers].map(([name, table]): [FindingCode, string, string] => [
        'AUTH_D74',
        name,
        `DROP TRIGGER ${name} ON ${table}`,
      ]),
      ...[...expected.indexes]
        .filter(([name]) => /_idx$|_token_key$/.test(name) && !name.includes('window'))
        .map(([name, { table }]): [FindingCode, string, string] => ['AUTH_D72', table, `DROP INDEX ${name}`]),
    ];
    expect(drops.length).toBeGreaterThan(60);
    for (const [code, name, sql] of drops) {
      const { findings } = await examined({ sql });
      expect(findings.filter((found) => found.code === code && found.message.includes(name))).toHaveLength(1);
    }
  });

  it('before the first migration: one finding with all tables, and one remedy', async () => {
    const drops = [...expected.tables.keys()].map((name) => `DROP TABLE ${name} CASCADE`);
    const { findings } = await examined({ sql: drops.join('; ') });
    expect(findings.map(({ code }) => code)).toEqual(['AUTH_D70']);
    for (const name of expected.tables.keys()) expect(findings[0]!.message).toContain(name);
    expect(findings[0]!.remedy).toContain('`npx nestjs-latchkey migrate`');
  });

  it('what is missing of one kind is one finding', async () => {
    const sql = `DROP TABLE auth_totp; DROP TABLE auth_passkeys;
      ALTER TABLE users DROP COLUMN roles, DROP COLUMN last_login_at;
      DROP FUNCTION latchkey_close_family; DROP FUNCTION latchkey_consume_rate`;
    const { findings } = await examined({ sql });
    expect(findings.map(({ message }) => message)).toEqual([
      'There are no tables auth_totp, auth_passkeys.',
      'There are no columns last_login_at, roles in users.',
      'There are no functions latchkey_close_family, latchkey_consume_rate.',
    ]);
  });

  it('a function that somebody has changed is seen; an index of another name that does the same is not', async () => {
    const changed = `CREATE OR REPLACE FUNCTION latchkey_close_family(of_user text, of_handle uuid) RETURNS integer
      LANGUAGE plpgsql AS $$ BEGIN RETURN 0; END $$`;
    expect(codesOf(await examined({ sql: changed }))).toEqual(['AUTH_D73']);
    expect(codesOf(await examined({ sql: changed.replace('text', 'uuid') }))).toEqual(['AUTH_D73']);
    const renamed = 'DROP INDEX sessions_user_id_idx; CREATE INDEX mine ON sessions (user_id, expires_at)';
    expect(codesOf(await examined({ sql: renamed }))).toEqual([]);
    const partial = 'DROP INDEX sessions_user_id_idx; CREATE INDEX mine ON sessions (user_id) WHERE ip IS NULL';
    expect(codesOf(await examined({ sql: partial }))).toEqual(['AUTH_D72']);
  });

  it.each(['uuid', 'integer', 'bigint', 'text'] as const)(
    'users elsewhere with %s ids: nothing is missing',
    async (userId) => {
      const own = await createTestDatabase({ migrated: false });
      const { migrations } = authSchemaFor({ userId });
      const dataSource = await new DataSource({
        type: 'postgres',
        url: own.url,
        migrations,
        migrationsRun: true,
      }).initialize();
      try {
        const schema = await expectedSchema({ userId });
        expect(schema.unknown).toEqual([]);
        const database = {
          query: <Row>(sql: string, values?: unknown[]) => dataSource.query<Row[]>(sql, values),
          expected: schema,
        };
        expect((await diagnose({ database, now: () => Date.now() })).findings).toEqual([]);
      } finally {
        await dataSource.destroy();
        await own.drop();
      }
    },
  );
});
