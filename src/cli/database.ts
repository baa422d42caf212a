import { DataSource } from 'typeorm';
import type { Logger, MigrationInterface } from 'typeorm';
import { quoted } from '../schema/schema-names.js';
import { codeOf, connectionFault, type ConnectionPlace } from '../postgres/connection-fault.js';
import type { Option, Values } from './command.js';
import { CommandFailure, UsageError } from './failure.js';

export const DATABASE_OPTIONS: Readonly<Record<string, Option>> = {
  'database-url': {
    type: 'string',
    value: '<url>',
    help: 'postgres://user:password@host:port/database; other users can see arguments, so prefer the variable',
    env: 'DATABASE_URL',
  },
  schema: { type: 'string', value: '<name>', help: 'Schema of the tables. Default: where the search_path leads' },
};

const CONNECT_TIMEOUT = 5_000;
const REMEDY = 'Is it running, and is --database-url (or DATABASE_URL) right?';

export interface DatabaseUse {
  readonly migrations?: (new () => MigrationInterface)[];
  readonly migrationsTable?: string;
}

/** An open connection pool; the caller closes it. Throws a failure that names the address, never the password. */
export async function openDatabase(values: Values, use: DatabaseUse = {}): Promise<DataSource> {
  const address = values.text('database-url');
  if (address === undefined) throw new UsageError('Name the database: --database-url, or the variable DATABASE_URL.');
  shownAddress(address);
  const schema = values.text('schema');
  if (schema !== undefined && (Buffer.byteLength(schema) > 63 || schema.includes('\0'))) {
    throw new UsageError('--schema must be the name of a schema, as it is, without quotes.');
  }
  const dataSource = new DataSource({
    type: 'postgres',
    url: address,
    ...(schema === undefined ? {} : { schema }),
    entities: [],
    migrations: use.migrations ?? [],
    ...(use.migrationsTable === undefined ? {} : { migrationsTableName: use.migrationsTable }),
    applicationName: 'nestjs-latchkey command',
    connectTimeoutMS: CONNECT_TIMEOUT,
    logger: SILENT,
    extra: { max: 3, ...(schema === undefined ? {} : { options: `-c search_path=${escapedOption(quoted(schema))}` }) },
  });
  try {
    return await dataSource.initialize();
  } catch (error) {
    throw unusable('DATABASE_UNREACHABLE', error, values);
  }
}

/**
 * The work on such a pool, which is closed afterwards. Throws a failure with the statement to run where the schema is
 * missing, or the role may not use it.
 */
export async function withDatabase<T>(
  values: Values,
  work: (dataSource: DataSource) => Promise<T>,
  use: DatabaseUse = {},
): Promise<T> {
  const dataSource = await openDatabase(values, use);
  try {
    return await work(dataSource);
  } catch (error) {
    if (!connectionFault(error)) throw error;
    const [place] = await dataSource.query<ConnectionPlace[]>(PLACE).catch(() => []);
    throw unusable('SCHEMA_UNUSABLE', error, values, { role: place?.role, schema: place?.schema ?? undefined });
  } finally {
    await dataSource.destroy();
  }
}

const PLACE = 'SELECT current_user AS role, current_schema() AS schema';

/** What is wrong is the answer of the command: TypeORM prints it on stdout. */
const SILENT: Logger = {
  logQuery() {},
  logQueryError() {},
  logQuerySlow() {},
  logSchemaBuild() {},
  logMigration() {},
  log() {},
};

function unusable(failure: string, error: unknown, values: Values, place: ConnectionPlace = {}): CommandFailure {
  const address = values.text('database-url')!;
  const database = decodeURIComponent(new URL(address).pathname.slice(1)) || undefined;
  const named = { database, ...place, schema: place.schema ?? values.text('schema') };
  const { code = codeOf(error), remedy = REMEDY } = connectionFault(error, named) ?? {};
  const message = `Cannot use the database at ${shownAddress(address)}${code ? ` (${code})` : ''}. ${remedy}`;
  return new CommandFailure(failure, message, { cause: error });
}

/** In the connection's `options`, spaces separate arguments. */
const escapedOption = (value: string): string => value.replace(/[\\\s]/g, '\\$&');

/** `host:port/database`. An address that cannot be parsed is not repeated: its password may be anywhere in it. */
function shownAddress(address: string): string {
  if (!URL.canParse(address) || !/^postgres(ql)?:$/.test(new URL(address).protocol)) {
    throw new UsageError('The database’s address must be postgres://user:password@host:port/database.');
  }
  const { hostname, port, pathname, search, hash, searchParams } = new URL(address);
  // With an unescaped / # or ?, part of a password is parsed as host, path or the rest.
  if (!/^(\/[^/@]*)?$/.test(pathname) || hash !== '' || search.includes('@')) {
    throw new UsageError(
      'The database’s address must be postgres://user:password@host:port/database, escaped (%2F, %23).',
    );
  }
  return `${hostname || searchParams.get('host') || 'localhost'}:${port || 5432}${pathname}`;
}
