import type { MigrationInterface, QueryRunner } from 'typeorm';
import { AuthError } from '../../auth.errors.js';
import { sqlState } from '../../postgres/store-error.js';
import { quoted } from '../schema-names.js';
import { migrationClass, type AuthSchemaSettings } from './auth-migration.js';
import { createOrAdopt, dropOrRelease, type OwnTable } from './own-table.js';
import { publishChanges, stopPublishing, type PublishedTable } from './publish-changes.js';

const CITEXT = `SELECT n.nspname AS schema FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
  WHERE e.extname = 'citext'`;
const INSUFFICIENT_PRIVILEGE = '42501';
const FEATURE_NOT_SUPPORTED = '0A000';
const UNDEFINED_FILE = '58P01';

/** The columns that change with every login, which no cache holds; the application's own columns may be cached. */
const UNCACHED = "'{last_login_at,updated_at,password_hash}'::text[]";

/** The spelling of `userKey` for a uuid. */
const KEY = "pg_catalog.replace(id::text, '-'::text, ''::text)";

const table = (name: string, citext: string): OwnTable => ({
  name,
  seed: [
    `id uuid NOT NULL DEFAULT gen_random_uuid() CONSTRAINT ${quoted(`${name}_pkey`)} PRIMARY KEY`,
    `email ${citext} NOT NULL CONSTRAINT ${quoted(`${name}_email_key`)} UNIQUE`,
    'password_hash text NOT NULL',
    'created_at timestamptz NOT NULL DEFAULT now()',
    'updated_at timestamptz NOT NULL DEFAULT now()',
  ],
  own: ['tokens_invalidated_after timestamptz', 'disabled_at timestamptz', 'last_login_at timestamptz'],
});

const published = (name: string): PublishedTable => ({
  table: name,
  kind: 'users',
  feature: 'users',
  changes: {
    UPDATE: [
      'OLD TABLE AS before NEW TABLE AS after',
      // EXCEPT hashes the rows, even in a plan made for the first statement of this connection, where a join might
      // compare every row with every other.
      `SELECT ${KEY} FROM (SELECT id, pg_catalog.to_jsonb(b) - ${UNCACHED} FROM before b
         EXCEPT SELECT id, pg_catalog.to_jsonb(a) - ${UNCACHED} FROM after a) changed_rows`,
    ],
    DELETE: ['OLD TABLE AS before', `SELECT ${KEY} FROM before`],
  },
});

/** Accounts: the columns of xtablo, and three nullable ones of our own. */
export function createUsers(settings: AuthSchemaSettings): new () => MigrationInterface {
  const { users } = settings.tables;
  return migrationClass(settings, {
    name: 'CreateUsers1763683200001',

    async up(queryRunner, names) {
      await createOrAdopt(queryRunner, names, table(users, await citext(queryRunner)));
      await publishChanges(queryRunner, names, published(users));
    },

    /** The extension stays: other tables may be using it. */
    async down(queryRunner, names) {
      await stopPublishing(queryRunner, names, published(users));
      await dropOrRelease(queryRunner, names, users);
    },
  });
}

/** The type, qualified by its extension's schema, which need not be on the search path. */
async function citext(queryRunner: QueryRunner): Promise<string> {
  const [found] = (await queryRunner.query(CITEXT)) as { schema: string }[];
  if (found) return `${quoted(found.schema)}.citext`;
  try {
    await queryRunner.query('CREATE EXTENSION citext');
  } catch (error) {
    throw refusal(error);
  }
  const [created] = (await queryRunner.query(CITEXT)) as [{ schema: string }];
  return `${quoted(created.schema)}.citext`;
}

function refusal(error: unknown): unknown {
  const remedies: Readonly<Record<string, string>> = {
    [INSUFFICIENT_PRIVILEGE]:
      'and this role may not create it: let the owner of the database, or a role with CREATE on it, run ' +
      '`CREATE EXTENSION citext;` in it once, and start again.',
    [FEATURE_NOT_SUPPORTED]:
      "and the server does not have it: install PostgreSQL's contrib package (postgresql-contrib), and start again.",
    [UNDEFINED_FILE]:
      "and the server does not have it: install PostgreSQL's contrib package (postgresql-contrib), and start again.",
  };
  const remedy = remedies[sqlState(error) ?? ''];
  if (remedy === undefined) return error;
  const mistake = `The extension citext, the type of users.email, is not in this database, ${remedy}`;
  return new AuthError('INVALID_CONFIG', mistake, { mistakes: [mistake] }, { cause: error });
}
