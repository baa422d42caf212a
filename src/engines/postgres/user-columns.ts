import { readInstants, selectInstants } from '../../postgres/epoch-seconds.js';
import { literal } from '../../schema/schema-names.js';
import type { AuthUser } from '../../user/user.directory.js';

/** What `userColumns` selects. */
export interface UserColumns {
  email: string;
  /** In order: disabled, tokens invalidated after, address verified; then a line for each role. */
  user_facts: string;
  /** The fields that the application adds: see `PostgresUserDirectory.fields`. */
  user_fields?: Record<string, unknown>;
}

/** By name of the field: SQL for it, in which `u` is the row of `users`. */
export type UserFields = Readonly<Record<string, string>>;

/**
 * SQL for what an `AuthUser` is made of, from the table `u`. Two columns, since the driver spends time on each column of
 * each row, and a guarded request reads them; one more for the application's fields. Roles are null only in a table of
 * another program that had the column.
 */
export function userColumns(fields: UserFields): string {
  const ours = `u.email::text AS email,
    ${selectInstants('u.disabled_at', 'u.tokens_invalidated_after', 'u.email_verified_at')} ||
      coalesce(pg_catalog.array_to_string(u.roles, E'\\n'::text), '') AS user_facts`;
  const theirs = Object.entries(fields).map(([name, sql]) => `${literal(name)}::text, (${sql})`);
  return theirs.length === 0 ? ours : `${ours}, pg_catalog.jsonb_build_object(${theirs.join(', ')}) AS user_fields`;
}

const NO_ROLES: readonly string[] = Object.freeze([]);

/** The account of a row of `userColumns`. */
export function userOfColumns(id: string, { email, user_facts: facts, user_fields }: UserColumns): AuthUser {
  const end = facts.indexOf('}') + 1;
  const [disabledAt, tokensInvalidatedAfter, emailVerifiedAt] = readInstants(facts.slice(0, end));
  return {
    ...user_fields,
    id,
    email,
    disabledAt: disabledAt!,
    tokensInvalidatedAfter: tokensInvalidatedAfter!,
    emailVerifiedAt: emailVerifiedAt!,
    // Frozen: caches share it.
    roles: facts.length === end ? NO_ROLES : Object.freeze(facts.slice(end).split('\n')),
  };
}
