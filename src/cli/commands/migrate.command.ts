import type { DataSource } from 'typeorm';
import { sqlState } from '../../postgres/store-error.js';
import type { Answer, Command, Values } from '../command.js';
import { DATABASE_OPTIONS, openDatabase } from '../database.js';
import { CommandFailure, UsageError } from '../failure.js';
import { authSchemaFor, type AuthSchemaOptions } from '../../schema/auth-schema.js';
import { CONFIG_OPTION, hostConfiguration } from '../host.js';
import { givenUserId, schemaOptions, USER_ID_OPTION } from '../user-id.js';

/** With two deployments at once, the second waits for the first and then finds nothing to do. */
const LOCK = "SELECT pg_advisory_lock(hashtextextended('nestjs-latchkey:migrate', 0))";
const LOCK_NOT_AVAILABLE = '55P03';

export const migrate: Command = {
  name: 'migrate',
  summary: 'Runs the pending migrations of this module, all in one transaction',
  options: {
    ...DATABASE_OPTIONS,
    ...USER_ID_OPTION,
    ...CONFIG_OPTION,
    'migrations-table': {
      type: 'string',
      value: '<name>',
      help: "TypeORM's table of what has run. Default: migrations",
    },
    'dry-run': { type: 'boolean', help: 'Lists what would run, and changes nothing' },
  },
  notes: `
For programs that run authMigrations by their own DataSource (migrationsRun, or TypeORM's command line) this finds nothing
to do: the table of what has run is the same. --config tells of users and tables of your own.`,
  async run(values) {
    const migrationsTable = values.text('migrations-table') ?? 'migrations';
    if (!/^[A-Za-z_][\w$]{0,62}$/.test(migrationsTable)) throw new UsageError('--migrations-table must be a name.');
    const { migrations } = authSchemaFor(await schemaOptionsOf(values));
    const dataSource = await openDatabase(values, { migrations, migrationsTable });
    try {
      if (values.flag('dry-run')) {
        const run = await namesOf(dataSource, migrationsTable);
        const names = migrations.map((Migration) => new Migration().name!);
        return answer(
          'pending',
          names.filter((name) => !run.includes(name)),
        );
      }
      return answer('ran', await runLocked(dataSource));
    } finally {
      await dataSource.destroy();
    }
  },
};

async function schemaOptionsOf(values: Values): Promise<AuthSchemaOptions> {
  givenUserId(values);
  const host = await hostConfiguration(values);
  const dataSource = await openDatabase(values);
  try {
    return await schemaOptions(values, host, (sql, parameters) => dataSource.query(sql, parameters));
  } finally {
    await dataSource.destroy();
  }
}

function answer(key: 'pending' | 'ran', names: readonly string[]): Answer {
  const heading = key === 'ran' ? 'Ran:' : 'Would run:';
  const text = names.length === 0 ? 'Nothing to do: every migration has run.' : [heading, ...names].join('\n  ');
  return { data: { [key]: names }, text };
}

async function namesOf(dataSource: DataSource, table: string): Promise<string[]> {
  const [found] = await dataSource.query<{ found: boolean }[]>('SELECT to_regclass($1) IS NOT NULL AS found', [
    `"${table}"`,
  ]);
  if (!found?.found) return [];
  return (await dataSource.query<{ name: string }[]>(`SELECT name FROM "${table}"`)).map(({ name }) => name);
}

async function runLocked(dataSource: DataSource): Promise<string[]> {
  const lock = dataSource.createQueryRunner();
  try {
    await lock.query("SET lock_timeout = '60s'");
    await lock.query(LOCK);
    const ran = await dataSource.runMigrations({ transaction: 'all' });
    return ran.map(({ name }) => name);
  } catch (error) {
    if (sqlState(error) !== LOCK_NOT_AVAILABLE) throw error;
    throw new CommandFailure('MIGRATING', 'Another process has been migrating for a minute: see what is blocking it.');
  } finally {
    // The lock ends with the connection, which closes when the command ends.
    await lock.release();
  }
}
