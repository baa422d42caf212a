import { randomBytes } from 'node:crypto';
import type { Client } from 'pg';
import { withClient } from '../../../test/support/test-server.js';
import { sha256Hex } from '../../../src/crypto/hash.js';
import { sessionStatements } from '../../../src/engines/postgres/postgres-session.statements.js';
import { SchemaNames } from '../../../src/schema/schema-names.js';
import { quantile } from '../../harness/quantile.js';
import { spreadOf } from '../../harness/samples.js';
import type { Bench, Result, Row } from '../../harness/scenario.js';
import { fillUsers } from '../fill.js';
import { migrated } from '../our-app.js';
import { one, TTL_MS } from './creation.js';

interface Step {
  readonly name: string;
  readonly kind: Row['kind'];
  readonly text: string;
  readonly values: (id: string, user: string) => unknown[];
}

const COLUMNS = `(id, user_id, created_at, expires_at, handle, last_seen_at, authenticated_at, absolute_expires_at, ip, user_agent)`;
const insertInto = (table: string) => `INSERT INTO ${table} ${COLUMNS}
  VALUES ($1, $2, $3, $4, gen_random_uuid(), $3, $3, $5, '203.0.113.7', 'bench') RETURNING handle AS added`;

/** Tables without a foreign key, each with one index more. */
const BARE = `
  CREATE TABLE IF NOT EXISTS bare_heap (LIKE sessions INCLUDING DEFAULTS);
  CREATE TABLE IF NOT EXISTS bare_key (LIKE bare_heap INCLUDING DEFAULTS, PRIMARY KEY (id));
  CREATE TABLE IF NOT EXISTS bare_user (LIKE bare_key INCLUDING ALL);
  CREATE INDEX IF NOT EXISTS bare_user_id ON bare_user (user_id);
  CREATE TABLE IF NOT EXISTS bare_sessions (LIKE sessions INCLUDING DEFAULTS INCLUDING INDEXES)`;
const TABLES = 'sessions, bare_heap, bare_key, bare_user, bare_sessions';

/** As ours is, with a search path of its own or without, and with the lock or without. */
const functionNamed = (name: string, path: string) => `
  CREATE OR REPLACE FUNCTION ${name}(new_id text, owner uuid, instant timestamptz, ends timestamptz,
    last timestamptz, locks boolean) RETURNS uuid LANGUAGE plpgsql ${path} AS $$
  DECLARE
    family uuid := gen_random_uuid();
  BEGIN
    IF locks AND NOT pg_try_advisory_xact_lock(hashtextextended('bench:' || owner::text, 0)) THEN
      RETURN NULL;
    END IF;
    INSERT INTO sessions ${COLUMNS}
      VALUES (new_id, owner, instant, ends, family, instant, instant, last, '203.0.113.7', 'bench');
    RETURN family;
  END $$`;

const instants = () => [0, TTL_MS, 3 * TTL_MS].map((ms) => new Date(Date.now() + ms));
const inserted: Step['values'] = (id, user) => [id, user, ...instants()];
const inFunction =
  (locks: boolean): Step['values'] =>
  (id, user) => [...inserted(id, user), locks];

const call = (name: string) => `SELECT ${name}($1, $2, $3, $4, $5, $6) AS added`;
const OURS = sessionStatements(new SchemaNames()).add.text;
const MAX_PER_USER = 25;

/** The statement of `PostgresSessionStore`, with and without the account as it was read for the login. */
const ours =
  (checksCutoff: boolean): Step['values'] =>
  (id, user) => {
    const now = Date.now() / 1000;
    const ttl = TTL_MS / 1000;
    const lifetimes = [now, ttl, 3 * ttl, now];
    return [id, user, ...lifetimes, '203.0.113.7', 'bench', MAX_PER_USER, checksCutoff, null, null, 1, []];
  };

/** Each keeps the promises of those before it, and one more. */
const STEPS: readonly Step[] = [
  { name: 'a round trip', kind: 'limit', text: 'SELECT $1::text AS added', values: (id) => [id] },
  { name: 'the row is written', kind: 'limit', text: insertInto('bare_heap'), values: inserted },
  { name: 'it is found by its id (primary key)', kind: 'limit', text: insertInto('bare_key'), values: inserted },
  { name: 'and by its user (index)', kind: 'limit', text: insertInto('bare_user'), values: inserted },
  {
    name: 'and by its end, for the cleanup (index)',
    kind: 'limit',
    text: insertInto('bare_sessions'),
    values: inserted,
  },
  { name: 'the account exists (foreign key)', kind: 'limit', text: insertInto('sessions'), values: inserted },
  { name: 'one statement decides (function)', kind: 'limit', text: call('bench_call'), values: inFunction(false) },
  {
    name: 'on any search path (SET of the function)',
    kind: 'limit',
    text: call('bench_own'),
    values: inFunction(false),
  },
  { name: 'no revocation misses it (lock)', kind: 'limit', text: call('bench_own'), values: inFunction(true) },
  { name: 'no more than 25 of a user (cap)', kind: 'ours', text: OURS, values: ours(false) },
  { name: 'the account is as it was when the password was read', kind: 'ours', text: OURS, values: ours(true) },
];

const USERS = 10_000;
/** Calls in a row of one step; the steps take turns. */
const CALLS = 200;
const TURNS = 10;

/** What each promise about a new session costs. */
export async function promises(bench: Bench): Promise<Omit<Result, 'title'>> {
  const url = await migrated(bench, 'login_promises');
  const rounds: number[][] = [];
  await withClient(url, async (client) => {
    const users = await fillUsers(client, USERS);
    await client.query('VACUUM ANALYZE users');
    await client.query('SET synchronous_commit = off');
    await client.query(BARE);
    await client.query(functionNamed('bench_call', ''));
    await client.query(functionNamed('bench_own', 'SET search_path = pg_catalog, public, pg_temp'));
    for (let round = 0; round < bench.rounds; round++)
      rounds.push(await oneRound(client, users, bench.smoke ? 1 : TURNS));
  });
  const micros = 'µs a call';
  const own = 'more than the row above';
  return {
    about: [
      'What each promise costs: one call after the other on one connection, without waiting for the disk (`synchronous_commit = off`), so that little but the work of the database and the round trip is left. Every row keeps the promises of those above it; the fifth is the prepared INSERT of the first table.',
    ],
    tables: [
      {
        title: 'What each promise of a new session costs',
        columns: [micros, own],
        rows: STEPS.map(({ name, kind }, i) => ({
          name,
          kind,
          cells: {
            [micros]: spreadOf(rounds.map((each) => each[i]!)),
            [own]: i === 0 ? null : spreadOf(rounds.map((each) => each[i]! - each[i - 1]!)),
          },
        })),
      },
    ],
    goals: [],
  };
}

/** By step: the median over its turns. The first turn, with new plans, does not count. */
async function oneRound(client: Client, users: readonly string[], turns: number): Promise<number[]> {
  await client.query(`TRUNCATE ${TABLES}`);
  const took: number[][] = STEPS.map(() => []);
  for (let turn = 0; turn <= turns; turn++) {
    for (const [i, step] of STEPS.entries()) {
      const micros = await oneTurn(client, step, users);
      if (turn > 0) took[i]!.push(micros);
    }
  }
  return took.map((each) => quantile(each, 0.5));
}

async function oneTurn(client: Client, { name, text, values }: Step, users: readonly string[]): Promise<number> {
  const began = performance.now();
  for (let call = 0; call < CALLS; call++) {
    const query = { name, text, values: values(sha256Hex(randomBytes(32)), one(users)) };
    const { rows } = await client.query<{ added: string | null }>(query);
    if (!rows[0]?.added) throw new Error(`"${name}" opened no session.`);
  }
  return ((performance.now() - began) * 1000) / CALLS;
}
