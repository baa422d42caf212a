import { AuthError } from '../../auth.errors.js';
import type { PreparedStatements } from '../../postgres/prepared-statements.js';
import { sqlStateOrCause } from '../../postgres/store-error.js';
import { literal, type SchemaNames } from '../../schema/schema-names.js';
import type { UserDirectory } from '../../user/user.directory.js';

const INVALID_TEXT_REPRESENTATION = '22P02';
const NUMERIC_VALUE_OUT_OF_RANGE = '22003';

/** For each type of `user_id`: the other types whose ids fit too, and an id that nobody has. */
const COLUMN_TYPES: Readonly<Record<string, { fits: readonly string[]; nobody: string }>> = {
  uuid: { fits: [], nobody: '00000000-0000-0000-0000-000000000000' },
  integer: { fits: [], nobody: '0' },
  bigint: { fits: ['integer'], nobody: '0' },
};

/** The type of `sessions.user_id`, or `undefined` where the column is not known. */
export async function userIdType(statements: PreparedStatements, names: SchemaNames): Promise<string | undefined> {
  const { rows } = await statements.runAlone<{ type: string }>(
    {
      name: '',
      text: `SELECT pg_catalog.format_type(atttypid, NULL) AS type FROM pg_catalog.pg_attribute
        WHERE attrelid = ${literal(names.sessions)}::regclass AND attname = 'user_id'`,
    },
    [],
  );
  return rows[0]?.type;
}

/** The error for a `UserDirectory` of the application's own whose ids do not fit into `sessions.user_id`. */
export function idsDoNotFit(names: SchemaNames, column: string | undefined, ids?: string): AuthError {
  const command = `npx nestjs-latchkey migrate --user-id ${ids ?? '<type>'}`;
  const mistake =
    `The column ${names.tables.sessions}.user_id has the type ${column}, and the ids of your UserDirectory ` +
    `${ids ? `the type ${ids}` : 'are of another type, or of users that are not in the module’s table'}: make the ` +
    `tables with \`${command}\`, or with authSchemaFor({ userId: '${ids ?? '<type>'}' }). Where the module’s tables ` +
    'are still empty, `npx nestjs-latchkey migrate --revert` removes them first.';
  return new AuthError('INVALID_CONFIG', mistake, { mistakes: [mistake] });
}

/**
 * Fails the boot if a directory of the application's own cannot have ids of the type of `sessions.user_id`: otherwise
 * every login would fail. It can tell where the DataSource has the entities of `authSchemaFor({ userId })`, and where
 * the directory's database refuses an id of the column's type.
 *
 * @throws {AuthError} `INVALID_CONFIG` with both types and the commands.
 */
export async function checkUserIds(
  statements: PreparedStatements,
  names: SchemaNames,
  users: UserDirectory,
): Promise<void> {
  const column = await userIdType(statements, names);
  const known = COLUMN_TYPES[column ?? ''];
  if (!known) return;
  // The entities of `authEntities` say uuid, whatever the ids are.
  const declared = statements.entityColumnType(names.tables.sessions, 'user_id');
  if (declared !== undefined && declared !== 'uuid' && declared !== column && !known.fits.includes(declared)) {
    throw idsDoNotFit(names, column, declared);
  }
  try {
    await users.findById(known.nobody);
  } catch (error) {
    // Any other fault is no news of the ids: the directory may not be ready yet.
    const state = sqlStateOrCause(error);
    if (state === INVALID_TEXT_REPRESENTATION || state === NUMERIC_VALUE_OUT_OF_RANGE) throw idsDoNotFit(names, column);
  }
}
