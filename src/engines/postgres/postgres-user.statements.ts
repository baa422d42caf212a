import { instant } from '../../postgres/epoch-seconds.js';
import type { Statement } from '../../postgres/statement.js';
import { literal, type SchemaNames } from '../../schema/schema-names.js';
import { userColumns, type UserColumns, type UserFields } from './user-columns.js';

/** What `PostgresUserDirectory` asks of `users`, with the fields that the application adds. */
export function userStatements(names: SchemaNames, fields: UserFields) {
  const { users } = names;
  const columns = `u.id::text AS id, u.password_hash, ${userColumns(fields)}`;
  return {
    findById: {
      name: 'latchkey_user_by_id',
      text: `SELECT ${columns} FROM ${users} u WHERE u.id = $1`,
    },
    hasAccounts: {
      name: 'latchkey_user_any',
      text: `SELECT EXISTS (SELECT 1 FROM ${users}) AS found`,
    },
    insert: {
      name: 'latchkey_user_insert',
      text: `INSERT INTO ${users} AS u (email, password_hash, email_verified_at, created_at, updated_at)
    VALUES ($1, $2, ${instant('$4')}, ${instant('$3')}, ${instant('$3')}) RETURNING ${columns}`,
    },
    /** As `insert`; no row if the address is taken, without an error that would end the transaction around it. */
    register: {
      name: 'latchkey_user_register',
      text: `INSERT INTO ${users} AS u (email, password_hash, email_verified_at, created_at, updated_at)
    VALUES ($1, $2, ${instant('$4')}, ${instant('$3')}, ${instant('$3')}) ON CONFLICT (email) DO NOTHING RETURNING ${columns}`,
    },
    /** Only from the address that was read, so that of concurrent changes exactly one takes effect. */
    setEmail: {
      name: 'latchkey_user_set_email',
      text: `UPDATE ${users} SET email = $3, email_verified_at = ${instant('$4')}, updated_at = ${instant('$5')}
    WHERE id = $1 AND email::text = $2::text AND disabled_at IS NULL`,
    },
    /** Only the address that was proved, and only once. */
    verifyEmail: {
      name: 'latchkey_user_verify_email',
      text: `UPDATE ${users} SET email_verified_at = ${instant('$3')}, updated_at = ${instant('$3')}
    WHERE id = $1 AND email::text = $2::text AND email_verified_at IS NULL AND disabled_at IS NULL`,
    },
    setRoles: {
      name: 'latchkey_user_set_roles',
      text: `UPDATE ${users} SET roles = $2::text[], updated_at = ${instant('$3')} WHERE id = $1`,
    },
    delete: {
      name: 'latchkey_user_delete',
      text: `WITH locked AS MATERIALIZED (SELECT ${names.qualified('latchkey_lock_owners')}('{}'::text[], $1::uuid) AS done)
    DELETE FROM ${users} u USING locked WHERE u.id = $1::uuid`,
    },
    /** Replaces only the hash that was verified, so that a password changed meanwhile is kept. */
    rehash: {
      name: 'latchkey_user_rehash',
      text: `UPDATE ${users} SET password_hash = $3, updated_at = ${instant('$4')} WHERE id = $1 AND password_hash = $2`,
    },
    /** Moves the cutoff, ends the sessions, and changes what is not null: see the migration. */
    endAccess: {
      name: 'latchkey_user_end_access',
      text: `SELECT ${names.qualified('latchkey_end_access')}($1::uuid, ${instant('$2')}, $3::text, $4::boolean) AS found`,
    },
    /**
     * `endAccess` if the hash is still the one that was verified and the account enabled. It takes the locks in the same
     * order, and FOR UPDATE judges the row as it is once both are held.
     */
    endAccessReplacing: {
      name: 'latchkey_user_end_access_replacing',
      text: `WITH locked AS MATERIALIZED (SELECT ${names.qualified('latchkey_lock_owners')}('{}'::text[], $1::uuid) AS done),
      account AS MATERIALIZED (SELECT u.id FROM locked CROSS JOIN ${users} u
        WHERE u.id = $1::uuid AND u.password_hash = $5::text AND u.disabled_at IS NULL FOR UPDATE OF u)
    SELECT ${names.qualified('latchkey_end_access')}(id, ${instant('$2')}, $3::text, $4::boolean) AS found FROM account`,
    },
    /**
     * The row lock orders it against `latchkey_end_access`: either this sees the new cutoff, or that sees this login.
     */
    confirmLogin: {
      name: 'latchkey_user_confirm_login',
      text: `UPDATE ${users} SET last_login_at = greatest(last_login_at, ${instant('$2')}) WHERE id = $1
    AND disabled_at IS NULL AND tokens_invalidated_after IS NOT DISTINCT FROM ${instant('$3')}`,
    },
    enable: {
      name: 'latchkey_user_enable',
      text: `UPDATE ${users} SET disabled_at = NULL, updated_at = ${instant('$2')} WHERE id = $1`,
    },
    /** The citext extension may be in a schema outside the search path; its operator ignores case. */
    findByEmail: (citextSchema: string): Statement => ({
      name: 'latchkey_user_by_email',
      text: `SELECT ${columns} FROM ${users} u WHERE u.email OPERATOR(${citextSchema}.=) $1::${citextSchema}.citext`,
    }),
    /** In the order of the index of the addresses, from the first one or from `$1`. */
    list: (citextSchema: string): Statement => ({
      name: 'latchkey_user_list',
      text: `SELECT ${columns} FROM ${users} u WHERE u.email OPERATOR(${citextSchema}.>) coalesce($1::text, '')::${citextSchema}.citext
      AND ($2::text IS NULL OR pg_catalog.strpos(lower(u.email::text), lower($2::text)) > 0)
    ORDER BY u.email LIMIT $3`,
    }),
    citextSchema: {
      name: 'latchkey_user_citext_schema',
      text: `SELECT n.nspname AS schema FROM pg_catalog.pg_attribute a
        JOIN pg_catalog.pg_type t ON t.oid = a.atttypid JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
        WHERE a.attrelid = ${literal(users)}::regclass AND a.attname = 'email' AND t.typname = 'citext'`,
    },
  };
}

/** The row of the statements on `users`. */
export interface UserRow extends UserColumns {
  id: string;
  password_hash: string;
}
