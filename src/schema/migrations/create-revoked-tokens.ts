import type { MigrationInterface } from 'typeorm';
import { quoted } from '../schema-names.js';
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

const table = (name: string): OwnTable => ({
  name,
  seed: [`jti varchar(64) NOT NULL CONSTRAINT ${quoted(`${name}_pkey`)} PRIMARY KEY`, 'exp timestamptz NOT NULL'],
  own: [],
});

const expIndex = (name: string): OwnIndex => ({ name: `${name}_exp_idx`, on: '(exp)' });

const REVOKED = 'SELECT jti::text FROM after';

/** Rows are deleted only once they have expired, which need not be published. */
const published = (name: string): PublishedTable => ({
  table: name,
  kind: 'tokens',
  feature: 'revoked_tokens',
  changes: { INSERT: ['NEW TABLE AS after', REVOKED], UPDATE: ['NEW TABLE AS after', REVOKED] },
});

/** The list of revoked self-contained tokens: `jti` and `exp`, as in regstack. */
export function createRevokedTokens(settings: AuthSchemaSettings): new () => MigrationInterface {
  const name = settings.tables.revokedTokens;
  return migrationClass(settings, {
    name: 'CreateRevokedTokens1763683200005',

    async up(queryRunner, names) {
      await createOrAdopt(queryRunner, names, table(name));
      await createOwnIndex(queryRunner, names, name, expIndex(name));
      await publishChanges(queryRunner, names, published(name));
    },

    async down(queryRunner, names) {
      await stopPublishing(queryRunner, names, published(name));
      await dropOwnIndex(queryRunner, names, expIndex(name).name);
      await dropOrRelease(queryRunner, names, name);
    },
  });
}
