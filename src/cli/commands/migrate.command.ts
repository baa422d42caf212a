import type { DataSource, QueryRunner } from 'typeorm';
import { TableSettings } from '../../config/table-settings.js';
import { literal, quoted } from '../../schema/schema-names.js';
import { sqlState } from '../../postgres/store-error.js';
import type { Answer, Command, Values } from '../command.js';
import { DATABASE_OPTIONS, withDatabase } from '../database.js';
import { CommandFailure, UsageError } from '../failure.js';
import { authSchemaFor, type AuthSchemaOptions } from '../../schema/auth-schema.js';
import { CONFIG_OPTION, hostConfiguration } from '../host.js';
import { givenUserId, schemaOptions, USER_ID_OPTION } from '../user-id.js';

/** With two deployments at once, the second waits for the first and then finds nothing to do. */
const LOCK = "SELECT pg_advisory_lock(hashtextextended('nestjs-latchkey:migrate', 0))";
const LOCK_IN_TRANSACTION = LOCK.replace('lock(', 'xact_lock(');
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
    revert: {
      type: 'boolean',
      help: 'Takes them all back; refused while there is an account, a session or a revoked token',
    },
  },
  notes: `
For programs that run authMigrations by their own DataSource (migrationsRun, or TypeORM's command line) this finds nothing
to do: the table of what has run is the same. --config tells of users and tables of your own.`,
  async run(values) {
    const migrationsTable = values.text('migrations-table') ?? 'migrations';
    if (!/^[A-Za-z_][\w$]{0,62}$/.test(migrationsTable)) throw new UsageError('--migrations-table must be a name.');
    const options = await schemaOptionsOf(values);
    if (values.flag('revert')) return revert(values, options, migrationsTable);
    const { migrations } = authSchemaFor(options);
    const run = async (dataSource: DataSource) => {
      if (!values.flag('dry-run')) return answer('ran', await runLocked(dataSource));
      const ran = await namesOf(dataSource, migrationsTable);
      const names = migrations.map((Migration) => new Migration().name!);
      return answer(
        'pending',
        names.filter((name) => !ran.includes(name)),
      );
    };
    return withDatabase(values, run, { migrations, migrationsTable });
  },
};

async function schemaOptionsOf(values: Values): Promise<AuthSchemaOptions> {
  givenUserId(values);
  const host = await hostConfiguration(values);
  return withDatabase(values, (dataSource) =>
    schemaOptions(values, host, (sql, parameters) => dataSource.query(sql, parameters)),
  );
}

/** What ran decides, not what the configuration would make: with users of one's own it may have been the wrong ones. */
function revert(values: Values, { userId, tables }: AuthSchemaOptions, table: string): Promise<Answer> {
  return withDatabase(values, async (dataSource) => {
    const ran = await namesOf(dataSource, table);
    const withUsers = ran.some((name) => name.startsWith('CreateUsers'));
    const { migrations } = authSchemaFor(withUsers || userId === undefined ? { tables } : { userId, tables });
    const reverted = migrations
      .map((Migration) => new Migration())
      .filter(({ name }) => ran.includes(name!))
      .toReversed();
    const names = reverted.map(({ name }) => name!);
    if (values.flag('dry-run')) return answer('reverted', names, 'Would take back:');
    await dataSource.transaction(async ({ queryRunner }) => {
      await queryRunner!.query("SET LOCAL lock_timeout = '60s'");
      await queryRunner!.query(LOCK_IN_TRANSACTION);
      const { users, sessions, jwtSessions, revokedTokens, passkeys, apiKeys, identities } = {
        ...new TableSettings(),
        ...tables,
      };
      // Without what was revoked, tokens that have not expired would be valid again.
      // And nobody can register a lost passkey again, or link an identity, without another way in.
      const kept = [sessions, jwtSessions, revokedTokens, passkeys, apiKeys, identities];
      for (const name of withUsers ? [users, ...kept] : kept) await refuseRows(queryRunner!, name);
      for (const migration of reverted) {
        await migration.down(queryRunner!);
        await queryRunner!.query(`DELETE FROM "${table}" WHERE name = $1`, [migration.name]);
      }
    });
    return answer('reverted', names);
  });
}

async function refuseRows(queryRunner: QueryRunner, table: string): Promise<void> {
  const rows = async (from: string) => (await queryRunner.query(from)) as { found: boolean }[];
  const [exists] = await rows(`SELECT to_regclass(${literal(quoted(table))}) IS NOT NULL AS found`);
  if (!exists?.found) return;
  await queryRunner.query(`LOCK TABLE ${quoted(table)} IN ACCESS EXCLUSIVE MODE`);
  const [row] = await rows(`SELECT EXISTS (SELECT FROM ${quoted(table)}) AS found`);
  if (!row?.found) return;
  throw new CommandFailure('NOT_EMPTY', `The table ${table} has rows, which would be lost: nothing was changed.`);
}

const HEADINGS = { pending: 'Would run:', ran: 'Ran:', reverted: 'Taken back:' };

function answer(key: keyof typeof HEADINGS, names: readonly string[], heading = HEADINGS[key]): Answer {
  const nothing = key === 'reverted' ? 'none has run' : 'every migration has run';
  const text = names.length === 0 ? `Nothing to do: ${nothing}.` : [heading, ...names].join('\n  ');
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
