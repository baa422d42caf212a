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

const table = (
  { identities, users }: SchemaNames['tables'],
  names: SchemaNames,
  userId: string | undefined,
): OwnTable => ({
  name: identities,
  seed: [
    `id uuid NOT NULL CONSTRAINT ${quoted(`${identities}_pkey`)} PRIMARY KEY`,
    userId === undefined
      ? `user_id uuid NOT NULL CONSTRAINT ${quoted(`${identities}_user_id_fkey`)}
          REFERENCES ${names.qualified(users)} (id) ON DELETE CASCADE`
      : `user_id ${userId} NOT NULL`,
    'provider varchar(32) NOT NULL',
    'issuer varchar(255) NOT NULL',
    'subject varchar(255) NOT NULL',
    'email varchar(320)',
    'linked_at timestamptz NOT NULL',
    'last_used_at timestamptz',
  ],
  own: ['provider_sessions jsonb'],
});

const indexes = (name: string): readonly OwnIndex[] => [
  { name: `${name}_subject_key`, on: '(issuer, subject)', unique: true },
  { name: `${name}_provider_key`, on: '(user_id, provider)', unique: true },
  { name: `${name}_provider_sessions_idx`, on: 'USING gin (provider_sessions jsonb_path_ops)' },
];

/** The table for `flows.oidc`. Nothing is published: no process has its rows in memory. */
export function createIdentities(settings: AuthSchemaSettings): new () => MigrationInterface {
  const { userId, tables } = settings;
  const name = tables.identities;
  return migrationClass(settings, {
    name: 'CreateIdentities1763683200018',

    async up(queryRunner, names) {
      await createOrAdopt(queryRunner, names, table(tables, names, userId));
      for (const index of indexes(name)) await createOwnIndex(queryRunner, names, name, index);
    },

    async down(queryRunner, names) {
      for (const index of indexes(name)) await dropOwnIndex(queryRunner, names, index.name);
      await dropOrRelease(queryRunner, names, name);
    },
  });
}
