import type { INestApplicationContext } from '@nestjs/common';
import { Clock } from '../../common/clock.js';
import { PostgresUserDirectory } from '../../engines/postgres/postgres-user.directory.js';
import { epochSeconds, instant, toEpochSeconds } from '../../postgres/epoch-seconds.js';
import { PreparedStatements } from '../../postgres/prepared-statements.js';
import { sqlState, sqlStateOrCause } from '../../postgres/store-error.js';
import { quoted, quotedTable, SchemaNames } from '../../schema/schema-names.js';
import { checkedEmail, mailboxOf } from '../../user/email-address.js';
import { normalizeLogin } from '../../user/login-name.js';
import { NO_PASSWORD, UserDirectory } from '../../user/user.directory.js';
import { withAuth } from '../auth-context.js';
import { required, type Answer, type Command, type Option, type Values } from '../command.js';
import { DATABASE_OPTIONS } from '../database.js';
import { CommandFailure } from '../failure.js';
import { CONFIG_OPTION } from '../host.js';

/** As the old system has it. `id` orders the batches. */
interface OldAccount {
  readonly id: string;
  readonly email: string | null;
  readonly hash: string | null;
  /** Epoch seconds. */
  readonly created_at: number | null;
  readonly is_verified: boolean;
  readonly is_disabled: boolean;
  readonly has_second_factor: boolean;
}

/** What to read, as SQL. */
interface OldSystem {
  /** The columns of `OldAccount` and the tables they are in. */
  readonly accounts: string;
  /** Selects `left`: the number of sessions that are still alive at `$1`. */
  readonly sessions: string | null;
}

const BATCH = 1_000;
/** How many conflicts an error names. */
const NAMED = 10;

const OPTIONS: Readonly<Record<string, Option>> = {
  'addresses-changed': { type: 'boolean', help: 'Accounts with another address here are still the same people' },
  'dry-run': { type: 'boolean', help: 'Says what would be done, and changes nothing' },
  ...DATABASE_OPTIONS,
  ...CONFIG_OPTION,
};

const NOTES = `
The old tables must be in the same database. Everything is done in one transaction or not at all, and running it again
adds only the accounts that are new. A UUID stays the account's id; from any other a UUID is made, the same every time
(importedUserId). Hashes are copied as they are: name their kind in password.legacy.`;

export const importBetterAuth: Command = {
  name: 'import better-auth',
  summary: 'Copies the accounts of better-auth and their password hashes into the table of users',
  options: {
    'from-schema': {
      type: 'string',
      value: '<name>',
      help: 'Schema of its tables. Default: where the search_path leads',
    },
    'without-second-factors': { type: 'boolean', help: 'Also accounts that have one, which is not copied' },
    ...OPTIONS,
  },
  notes: NOTES,
  run(values) {
    const schema = values.text('from-schema');
    const table = (name: string) => (schema === undefined ? quoted(name) : `${quoted(schema)}.${quoted(name)}`);
    // Columns of plugins are read as JSON, since they may not be there.
    const optional = (name: string) => `pg_catalog.to_jsonb(u) ->> '${name}'`;
    return importFrom(values, {
      accounts: `SELECT u.id::text AS id, u.email::text AS email, a.password AS hash,
          ${epochSeconds('u."createdAt"')} AS created_at, u."emailVerified" AS is_verified,
          coalesce((${optional('banned')})::boolean, false) AS is_disabled,
          coalesce((${optional('twoFactorEnabled')})::boolean, false) AS has_second_factor
        FROM ${table('user')} u LEFT JOIN LATERAL (SELECT password FROM ${table('account')}
          WHERE "userId" = u.id AND "providerId" = 'credential' LIMIT 1) a ON true`,
      sessions: `SELECT count(*)::integer AS left FROM ${table('session')} WHERE "expiresAt" > ${instant('$1')}`,
    });
  },
};

const TABLE_OPTIONS: Readonly<Record<string, Option>> = {
  table: { type: 'string', value: '<name>', help: 'Where the accounts are, such as old.users' },
  id: { type: 'string', value: '<column>', help: 'Default: id' },
  email: { type: 'string', value: '<column>', help: 'Default: email' },
  'password-hash': { type: 'string', value: '<column>', help: 'Default: none is copied' },
  active: {
    type: 'string',
    value: '<column>',
    help: 'Boolean; accounts without true are disabled. Default: all are active',
  },
};

export const importExpressSession: Command = {
  name: 'import express-session',
  summary: 'Copies the accounts of an application with express-session, and counts its sessions',
  options: {
    ...TABLE_OPTIONS,
    'sessions-table': { type: 'string', value: '<name>', help: 'Of connect-pg-simple. Default: session' },
    ...OPTIONS,
  },
  notes: NOTES,
  run: (values) =>
    importFrom(values, {
      ...ownTable(values),
      sessions: `SELECT count(*)::integer AS left FROM ${quotedTable(values.text('sessions-table') ?? 'session')}
        WHERE expire > ${instant('$1')}`,
    }),
};

export const importPassportJwt: Command = {
  name: 'import passport-jwt',
  summary: 'Copies the accounts of an application with passport-jwt',
  options: { ...TABLE_OPTIONS, ...OPTIONS },
  notes: NOTES,
  run: (values) => importFrom(values, { ...ownTable(values), sessions: null }),
};

/** These libraries have no accounts: the application has them in a table of its own. */
function ownTable(values: Values): Pick<OldSystem, 'accounts'> {
  const table = quotedTable(required(values, 'table'));
  const column = (option: string, otherwise?: string) => {
    const name = values.text(option) ?? otherwise;
    return name === undefined ? undefined : `u.${quoted(name)}`;
  };
  const [hash, active] = [column('password-hash'), column('active')];
  return {
    accounts: `SELECT ${column('id', 'id')}::text AS id, ${column('email', 'email')}::text AS email,
        ${hash ?? 'NULL'}::text AS hash, NULL::float8 AS created_at, false AS is_verified,
        ${active === undefined ? 'false' : `${active} IS NOT TRUE`} AS is_disabled, false AS has_second_factor
      FROM ${table} u`,
  };
}

interface Imported {
  accounts: number;
  imported: number;
  present: number;
  disabled: number;
  withoutPassword: number;
  withSecondFactor: number;
  /** What keeps the accounts out, by its account. */
  conflicts: string[];
}

/** Rolls a dry run back, and brings what it found. */
class DryRun extends Error {}

async function importFrom(values: Values, system: OldSystem): Promise<Answer> {
  const isDryRun = values.flag('dry-run');
  return withAuth(values, async (auth) => {
    const users = auth.get(UserDirectory);
    if (!(users instanceof PostgresUserDirectory)) {
      const why = 'The accounts are in a UserDirectory of your own, which has them already: there is nothing to copy.';
      throw new CommandFailure('UNSUPPORTED', why);
    }
    let found: Imported | undefined;
    let sessionsLeft: number | null = null;
    try {
      await auth.get(PreparedStatements).transaction(async () => {
        found = await copy(auth, users, system, values.flag('addresses-changed'));
        sessionsLeft = await countSessions(auth, system);
        refuse(found, values);
        if (isDryRun) throw new DryRun();
      });
    } catch (error) {
      if (!(error instanceof DryRun)) throw readable(error);
    }
    const { conflicts: _, ...counts } = found!;
    return { data: { dryRun: isDryRun, ...counts, sessionsLeft }, text: told(counts, sessionsLeft, isDryRun) };
  });
}

async function copy(
  auth: INestApplicationContext,
  users: PostgresUserDirectory,
  { accounts }: OldSystem,
  addressesChanged: boolean,
): Promise<Imported> {
  const statements = auth.get(PreparedStatements);
  const now = toEpochSeconds(auth.get(Clock).now());
  const table = auth.get(SchemaNames).users;
  const ask = async <Row>(text: string, parameters: unknown[]) =>
    (await statements.run<Row>({ name: '', text }, parameters)).rows;
  const all: Imported = {
    accounts: 0,
    imported: 0,
    present: 0,
    disabled: 0,
    withoutPassword: 0,
    withSecondFactor: 0,
    conflicts: [],
  };
  for (let after: string | null = null; ;) {
    const batch: OldAccount[] = await ask<OldAccount>(
      `SELECT * FROM (${accounts}) old WHERE $1::text IS NULL OR id COLLATE "C" > $1 ORDER BY id COLLATE "C" LIMIT ${BATCH}`,
      [after],
    );
    if (batch.length === 0) return all;
    after = batch.at(-1)!.id;
    all.accounts += batch.length;
    all.withSecondFactor += batch.filter((account) => account.has_second_factor).length;

    const known = batch.map((account) => ({
      ...account,
      newId: users.importedId(account.id),
      address: checkedEmail(account.email ?? ''),
    }));
    const usable = known.filter(({ address }) => address !== null);
    const inserted = await ask<{ id: string }>(
      `INSERT INTO ${table} (id, email, password_hash, created_at, updated_at, email_verified_at, disabled_at)
      SELECT id, email, hash, coalesce(${instant('created')}, ${instant('$7')}), ${instant('$7')},
        CASE WHEN verified THEN ${instant('$7')} END, CASE WHEN disabled THEN ${instant('$7')} END
      FROM ROWS FROM (pg_catalog.unnest($1::uuid[]), pg_catalog.unnest($2::text[]), pg_catalog.unnest($3::text[]),
        pg_catalog.unnest($4::float8[]), pg_catalog.unnest($5::boolean[]), pg_catalog.unnest($6::boolean[]))
        AS old (id, email, hash, created, verified, disabled)
      ON CONFLICT DO NOTHING RETURNING id::text AS id`,
      [
        usable.map(({ newId }) => newId),
        usable.map(({ address }) => address),
        usable.map(({ hash }) => hash ?? NO_PASSWORD),
        usable.map(({ created_at }) => created_at),
        // Not an address that is spelled with other letters here: nobody has proved that one.
        usable.map(({ is_verified, email }) => is_verified && mailboxOf(email!) !== null),
        usable.map(({ is_disabled }) => is_disabled),
        now,
      ],
    );
    const created = new Set(inserted.map(({ id }) => id));
    const rest = known.filter(({ newId }) => !created.has(newId));
    const present = new Map(
      (
        await ask<{ id: string; email: string }>(
          `SELECT id::text AS id, email::text AS email FROM ${table} WHERE id = ANY ($1::uuid[])`,
          [rest.map(({ newId }) => newId)],
        )
      ).map(({ id, email }) => [id, email]),
    );
    const added = known.filter(({ newId }) => created.has(newId));
    all.imported += added.length;
    all.disabled += added.filter((account) => account.is_disabled).length;
    all.withoutPassword += added.filter(({ hash }) => hash === null).length;
    all.present += present.size;
    for (const { id, newId, address } of rest) {
      const here = present.get(newId);
      if (here !== undefined && (addressesChanged || normalizeLogin(here) === address)) continue;
      // As where two systems have the same ids: whoever logs in to one would be somebody of the other.
      const other =
        here === undefined
          ? `${address} is another account's here`
          : 'its id is that of another address here: with --addresses-changed they are the same people';
      const why = address === null ? 'its address is not one mailbox' : other;
      all.conflicts.push(`${JSON.stringify(id)}: ${why}`);
    }
  }
}

async function countSessions(auth: INestApplicationContext, { sessions }: OldSystem): Promise<number | null> {
  if (sessions === null) return null;
  const now = toEpochSeconds(auth.get(Clock).now());
  const { rows } = await auth.get(PreparedStatements).run<{ left: number }>({ name: '', text: sessions }, [now]);
  return rows[0]!.left;
}

function refuse({ conflicts, withSecondFactor }: Imported, values: Values): void {
  if (conflicts.length > 0) {
    const more = conflicts.length > NAMED ? ` And ${conflicts.length - NAMED} more.` : '';
    const named = conflicts.slice(0, NAMED).join('; ');
    const message = `Nothing was imported: ${conflicts.length} accounts cannot be. ${named}.${more} Change or delete them where they are.`;
    throw new CommandFailure('IMPORT_CONFLICT', message);
  }
  if (withSecondFactor > 0 && !values.flag('without-second-factors')) {
    const message =
      `Nothing was imported: ${withSecondFactor} accounts have a second factor, which is not copied, so a password alone would ` +
      'open them. With --without-second-factors they are imported all the same.';
    throw new CommandFailure('SECOND_FACTORS', message);
  }
}

/** Tables and columns are those that the caller named. */
function readable(error: unknown): unknown {
  const state = sqlStateOrCause(error);
  if (!['42P01', '42703', '42883', '42501', '3F000'].includes(state ?? '')) return error;
  const { message } = sqlState(error) === undefined ? ((error as Error).cause as Error) : (error as Error);
  return new CommandFailure('IMPORT_UNREADABLE', `The old tables cannot be read: ${message}.`, { cause: error });
}

function told(counts: Omit<Imported, 'conflicts'>, sessionsLeft: number | null, isDryRun: boolean): string {
  const { accounts, imported, present, disabled, withoutPassword, withSecondFactor } = counts;
  return [
    `${isDryRun ? 'Would import' : 'Imported'} ${imported} of ${accounts} accounts; ${present} were here before.`,
    `Of those, ${disabled} are disabled, and ${withoutPassword} have no password.`,
    ...(withSecondFactor > 0
      ? [`${withSecondFactor} accounts of the old system have a second factor, which was not copied.`]
      : []),
    ...(sessionsLeft === null ? [] : [`Sessions left to take over (legacySessions): ${sessionsLeft}.`]),
  ].join('\n');
}
