import { readInstants, selectInstants } from '../../postgres/epoch-seconds.js';
import type { AuthUser } from '../../user/user.directory.js';

/** What `userColumns` selects. */
export interface UserColumns {
  email: string;
  /** In order: disabled, tokens invalidated after, address verified; then a line for each role. */
  user_facts: string;
}

/**
 * SQL for what an `AuthUser` is made of, from the table of this alias. Two columns, since the driver spends time on each
 * column of each row, and a guarded request reads them.
 */
export const userColumns = (table: string): string =>
  `${table}.email::text AS email,
  ${selectInstants(`${table}.disabled_at`, `${table}.tokens_invalidated_after`, `${table}.email_verified_at`)} ||
    pg_catalog.array_to_string(${table}.roles, E'\\n'::text) AS user_facts`;

/** The account of a row of `userColumns`. */
export function userOfColumns(id: string, { email, user_facts: facts }: UserColumns): AuthUser {
  const end = facts.indexOf('}') + 1;
  const [disabledAt, tokensInvalidatedAfter, emailVerifiedAt] = readInstants(facts.slice(0, end));
  return {
    id,
    email,
    disabledAt: disabledAt!,
    tokensInvalidatedAfter: tokensInvalidatedAfter!,
    emailVerifiedAt: emailVerifiedAt!,
    roles: facts.length === end ? [] : facts.slice(end).split('\n'),
  };
}
