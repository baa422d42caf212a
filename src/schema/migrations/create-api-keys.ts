import type { MigrationInterface } from 'typeorm';
import { quoted, type SchemaNames } from '../schema-names.js';
import { migrationClass, type AuthSchemaSettings } from './auth-migration.js';
import {
  createOrAdopt,
  createOwnIndex,
  dropOrRelease,
  dropOwnIndex,
  type OwnIndex,
  type OwnTable,
} from './own-table.js';
import { publishChanges, stopPublishing, type PublishedTable } from './publish-changes.js';

const table = (
  { apiKeys, users }: SchemaNames['tables'],
  names: SchemaNames,
  userId: string | undefined,
): OwnTable => ({
  name: apiKeys,
  seed: [
    `id uuid NOT NULL DEFAULT gen_random_uuid() CONSTRAINT ${quoted(`${apiKeys}_pkey`)} PRIMARY KEY`,
    userId === undefined
      ? `user_id uuid NOT NULL CONSTRAINT ${quoted(`${apiKeys}_user_id_fkey`)}
          REFERENCES ${names.qualified(users)} (id) ON DELETE CASCADE`
      : `user_id ${userId} NOT NULL`,
    'name varchar(100) NOT NULL',
    'prefix varchar(16) NOT NULL',
    'key_hash varchar(64) NOT NULL',
    'scopes text[] NOT NULL',
    'created_at timestamptz NOT NULL',
    // In hours: a day may have 23 or 25 in the time zone of the connection.
    `expires_at timestamptz NOT NULL CONSTRAINT ${quoted(`${apiKeys}_expires_at_check`)}
      CHECK (expires_at <= created_at + '8784:00:00'::interval)`,
    'last_used_at timestamptz',
    'revoked_at timestamptz',
  ],
  own: [],
});

const indexes = (name: string): readonly OwnIndex[] => [
  { name: `${name}_user_id_idx`, on: '(user_id)' },
  { name: `${name}_key_hash_idx`, on: '(key_hash)', unique: true },
  { name: `${name}_expires_at_idx`, on: '(expires_at)' },
  { name: `${name}_revoked_at_idx`, on: '(revoked_at) WHERE revoked_at IS NOT NULL' },
];

/** The spelling of `userKey`, whatever the type of the ids. */
const BARE = "pg_catalog.lower(pg_catalog.translate(user_id::text, '{}-'::text, ''::text))";
const OWNER = `CASE WHEN ${BARE} ~ '^[0-9a-f]{32}$'::text THEN ${BARE} ELSE user_id::text END`;
/** Every use changes it, and it decides nothing. */
const UNCACHED = "'last_used_at'::text";

/** As a change of the owner: processes have keys in memory with their owners, and forget both. */
const published = (name: string): PublishedTable => ({
  table: name,
  kind: 'users',
  feature: 'api_keys',
  changes: {
    UPDATE: [
      'OLD TABLE AS before NEW TABLE AS after',
      `SELECT DISTINCT ${OWNER} FROM (SELECT id, user_id, pg_catalog.to_jsonb(b) - ${UNCACHED} FROM before b
         EXCEPT SELECT id, user_id, pg_catalog.to_jsonb(a) - ${UNCACHED} FROM after a) changed_rows`,
    ],
    DELETE: ['OLD TABLE AS before', `SELECT DISTINCT ${OWNER} FROM before`],
  },
});

/** The keys of `flows.apiKeys`. */
export function createApiKeys(settings: AuthSchemaSettings): new () => MigrationInterface {
  const { userId, tables } = settings;
  const name = tables.apiKeys;
  return migrationClass(settings, {
    name: 'CreateApiKeys1763683200019',

    async up(queryRunner, names) {
      await createOrAdopt(queryRunner, names, table(tables, names, userId));
      for (const index of indexes(name)) await createOwnIndex(queryRunner, names, name, index);
      await publishChanges(queryRunner, names, published(name));
    },

    async down(queryRunner, names) {
      await stopPublishing(queryRunner, names, published(name));
      for (const index of indexes(name)) await dropOwnIndex(queryRunner, names, index.name);
      await dropOrRelease(queryRunner, names, name);
    },
  });
}
