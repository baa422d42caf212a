import { TableSettings } from '../config/table-settings.js';
import { PostgresUserDirectory } from '../engines/postgres/postgres-user.directory.js';
import type { AuthSchemaOptions } from '../schema/auth-schema.js';
import { quoted } from '../schema/schema-names.js';
import type { UserIdType } from '../schema/user-id-type.js';
import type { Option, Values } from './command.js';
import type { Query } from './doctor/query.js';
import { UsageError } from './failure.js';
import type { HostConfiguration } from './host.js';

const TYPES: readonly UserIdType[] = ['uuid', 'integer', 'bigint', 'text'];

export const USER_ID_OPTION: Readonly<Record<string, Option>> = {
  'user-id': {
    type: 'string',
    value: `<${TYPES.join('|')}>`,
    help: 'Users are in a table or service of your own, with ids of this type. Default: what --config and the tables say',
  },
};

/** The type of `user_id`, and whether it refers to a user table, as the migration with our own user table makes it. */
const SESSIONS = `SELECT pg_catalog.format_type(a.atttypid, NULL) AS type,
    EXISTS (SELECT FROM pg_catalog.pg_constraint c
      WHERE c.conrelid = a.attrelid AND c.contype = 'f' AND a.attnum = ANY (c.conkey)) AS refers,
    EXISTS (SELECT FROM pg_catalog.pg_attribute h WHERE h.attrelid = a.attrelid AND h.attname = 'handle') AS migrated
  FROM pg_catalog.pg_attribute a WHERE a.attrelid = pg_catalog.to_regclass($1) AND a.attname = 'user_id'`;

interface SessionsRow {
  readonly type: string;
  readonly refers: boolean;
  readonly migrated: boolean;
}

/**
 * The tables the application uses, according to `--user-id`; otherwise the configuration; otherwise the database: the
 * migrations that have run, or the type of `sessions.user_id`. A database without migrations gets our own user table.
 */
export async function schemaOptions(
  values: Values,
  host: HostConfiguration | undefined,
  query: Query | undefined,
): Promise<AuthSchemaOptions> {
  const tables = host?.options.tables;
  const userId = givenUserId(values);
  if (userId) return { userId, tables };
  const users = host?.extras.users;
  const hasOwnUsers = host && users !== undefined && !isOurs(users);
  if (host && !hasOwnUsers) return { tables };

  const sessions = query && (await sessionsOf(query, { ...new TableSettings(), ...tables }.sessions));
  const found = TYPES.find((known) => known === sessions?.type);
  if (hasOwnUsers) {
    if (found) return { userId: found, tables };
    const why = 'The configuration has a UserDirectory of its own, and no table says of which type its ids are';
    throw new UsageError(`${why}: give --user-id, one of ${TYPES.join(', ')}.`);
  }
  const ran = query ? await migrationsRun(query, values.text('migrations-table') ?? 'migrations') : [];
  if (ran.some((name) => name.startsWith('CreateUsers'))) return {};
  const isHosts = ran.some((name) => name.startsWith('CreateSessions')) || (sessions?.migrated && !sessions.refers);
  return isHosts && found ? { userId: found } : {};
}

/** Throws `UsageError` for an unknown type, so call it before a database is opened. */
export function givenUserId(values: Values): UserIdType | undefined {
  const given = values.text('user-id');
  const type = TYPES.find((known) => known === given);
  if (given !== undefined && !type) throw new UsageError(`--user-id must be one of ${TYPES.join(', ')}.`);
  return type;
}

/** A subclass of our directory reads our table. */
const isOurs = (users: unknown): boolean =>
  typeof users === 'function' && (users === PostgresUserDirectory || users.prototype instanceof PostgresUserDirectory);

async function sessionsOf(query: Query, table: string): Promise<SessionsRow | undefined> {
  return (await query<SessionsRow>(SESSIONS, [quoted(table)]))[0];
}

async function migrationsRun(query: Query, table: string): Promise<string[]> {
  const [found] = await query<{ found: boolean }>('SELECT pg_catalog.to_regclass($1) IS NOT NULL AS found', [
    quoted(table),
  ]);
  if (!found?.found) return [];
  return (await query<{ name: string }>(`SELECT name FROM ${quoted(table)}`)).map(({ name }) => name);
}
