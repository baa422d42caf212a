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
  { jwtSessions, users }: SchemaNames['tables'],
  names: SchemaNames,
  userId: string | undefined,
): OwnTable => ({
  name: jwtSessions,
  seed: [
    `jti varchar(64) NOT NULL CONSTRAINT ${quoted(`${jwtSessions}_pkey`)} PRIMARY KEY`,
    userId === undefined
      ? `user_id uuid NOT NULL CONSTRAINT ${quoted(`${jwtSessions}_user_id_fkey`)}
          REFERENCES ${names.qualified(users)} (id) ON DELETE CASCADE`
      : `user_id ${userId} NOT NULL`,
    'handle uuid NOT NULL',
    'issued_at timestamptz NOT NULL',
    'expires_at timestamptz NOT NULL',
    'ip text',
    'user_agent text',
  ],
  own: [],
});

const indexes = (name: string): readonly OwnIndex[] => [
  { name: `${name}_user_id_idx`, on: '(user_id)' },
  { name: `${name}_expires_at_idx`, on: '(expires_at)' },
];

/** The table for `jwt: { registry: true }`. Nothing is published: no process has its rows in memory. */
export function createJwtSessions(settings: AuthSchemaSettings): new () => MigrationInterface {
  const { userId, tables } = settings;
  const name = tables.jwtSessions;
  return migrationClass(settings, {
    name: 'CreateJwtSessions1763683200010',

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
