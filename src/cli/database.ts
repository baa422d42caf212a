import { DataSource } from 'typeorm';
import type { MigrationInterface } from 'typeorm';
import { quoted } from '../schema/schema-names.js';
import { sqlState } from '../postgres/store-error.js';
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

const REMEDIES: Readonly<Record<string, string>> = {
  '3D000': 'There is no database of this name: create it, or correct the address.',
  '28P01': 'It refuses this user or password: correct the address.',
  '28000': 'It refuses this user: correct the address, or the server’s pg_hba.conf.',
  '53300': 'It has no free connection: try again, or raise max_connections.',
  '57P03': 'It is starting or stopping: try again.',
};
const REMEDY = 'Is it running, and is --database-url (or DATABASE_URL) right?';

export interface DatabaseUse {
  readonly migrations?: (new () => MigrationInterface)[];
  readonly migrationsTable?: string;
}

/** An open connection pool; the caller closes it. Throws a failure that names the address, never the password. */
export async function openDatabase(values: Values, use: DatabaseUse = {}): Promise<DataSource> {
  const address = values.text('database-url');
  if (address === undefined) throw new UsageError('Name the database: --database-url, or the variable DATABASE_URL.');
  const shown = shownAddress(address);
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
    logging: false,
    extra: { max: 3, ...(schema === undefined ? {} : { options: `-c search_path=${escapedOption(quoted(schema))}` }) },
  });
  try {
    return await dataSource.initialize();
  } catch (error) {
    const code = codeOf(error);
    const remedy = REMEDIES[code ?? ''] ?? REMEDY;
    const message = `Cannot use the database at ${shown}${code ? ` (${code})` : ''}. ${remedy}`;
    throw new CommandFailure('DATABASE_UNREACHABLE', message, { cause: error });
  }
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

/** For several addresses of one host (`AggregateError`), the error of the first. */
function codeOf(error: unknown): string | undefined {
  const state = sqlState(error);
  if (state !== undefined) return state;
  const { code, errors } = (error ?? {}) as { code?: unknown; errors?: unknown[] };
  if (typeof code === 'string' && /^[A-Z_]+$/.test(code)) return code;
  return Array.isArray(errors) ? codeOf(errors[0]) : undefined;
}
