import { AuthError } from '../../auth.errors.js';
import { InvalidationDigest } from '../../invalidation/invalidation-digest.js';
import type { PreparedStatements } from '../../postgres/prepared-statements.js';
import { sqlStateOrCause } from '../../postgres/store-error.js';
import type { SchemaNames } from '../../schema/schema-names.js';

const INSUFFICIENT_PRIVILEGE = '42501';

/** The digest by which this schema's triggers name changed rows. Throws if its key is missing or may not be read. */
export async function readInvalidationDigest(
  statements: PreparedStatements,
  { invalidationKey }: SchemaNames,
): Promise<InvalidationDigest> {
  const rows = await statements
    .runAlone<{ key: Buffer }>({ name: '', text: `SELECT key FROM ${invalidationKey}` }, [])
    .then((result) => result.rows)
    .catch((error: unknown) => {
      if (sqlStateOrCause(error) !== INSUFFICIENT_PRIVILEGE) throw error;
      const mistake =
        `This role may not read ${invalidationKey}, the key of the messages that keep caches current: as the owner of ` +
        `the tables run GRANT SELECT ON ${invalidationKey} TO this role, or turn the cache off.`;
      throw new AuthError('INVALID_CONFIG', mistake, { mistakes: [mistake] }, { cause: error });
    });
  if (rows[0]) return new InvalidationDigest(rows[0].key);
  const detail = `${invalidationKey} is empty`;
  throw new AuthError(
    'SCHEMA_MISSING',
    `The key of the messages that keep caches current is missing (${detail}). Delete the row of ` +
      'CreateInvalidationKey1763683200000 from the table of migrations, and run the migrations.',
    { detail },
  );
}
