import type { OptionChecker } from './option-checker.js';

/**
 * The names of the module's tables. Change them if the database already has tables of your own with the default names,
 * and pass the same object to `authSchemaFor({ tables })`, which creates them.
 *
 * @example
 * ```ts
 * const tables = { users: 'auth_users', sessions: 'auth_sessions' };
 * const auth = authSchemaFor({ tables });
 * TypeOrmModule.forRoot({ type: 'postgres', entities: auth.entities, migrations: auth.migrations });
 * AuthModule.forRoot({ secrets, tables });
 * ```
 */
export class TableSettings {
  /** Accounts, unless users are in a table or service of your own. Default `users`. */
  users: string = 'users';

  /** Default `sessions`. */
  sessions: string = 'sessions';

  /** Single-use tokens. Default `auth_ephemeral_tokens`. */
  ephemeralTokens: string = 'auth_ephemeral_tokens';

  /** Default `auth_rate_limit_events`. */
  rateLimitEvents: string = 'auth_rate_limit_events';

  /** JWTs and signed cookies that were revoked before they expired. Default `revoked_tokens`. */
  revokedTokens: string = 'revoked_tokens';

  /** Session JWTs that were handed out, with `jwt.registry`. Default `auth_jwt_sessions`. */
  jwtSessions: string = 'auth_jwt_sessions';

  /** Consecutive failures of passwords. Default `auth_password_attempts`. */
  passwordAttempts: string = 'auth_password_attempts';

  /** The secrets of authenticator apps. Default `auth_totp`. */
  totp: string = 'auth_totp';

  /** Default `auth_backup_codes`. */
  backupCodes: string = 'auth_backup_codes';

  /** Users who are mailed a code as their second step. Default `auth_email_factors`. */
  emailFactors: string = 'auth_email_factors';

  /** The public keys of passkeys, with `flows.passkeys`. Default `auth_passkeys`. */
  passkeys: string = 'auth_passkeys';

  /** Default `auth_api_keys`. */
  apiKeys: string = 'auth_api_keys';

  /** The accounts at providers by which users log in, with `flows.oidc`. Default `auth_identities`. */
  identities: string = 'auth_identities';

  /** Default `auth_audit_events`. */
  auditEvents: string = 'auth_audit_events';
}

export type TableKey = keyof TableSettings;

/** Indexes and constraints are named after the table, and PostgreSQL truncates names after 63 bytes. */
const TABLE_NAME = /^[A-Za-z_][A-Za-z0-9_$]{0,39}$/;

export function checkTables(check: OptionChecker, written: Partial<TableSettings> | undefined): TableSettings {
  const tables = check.settings('tables', new TableSettings(), written);
  const names = Object.values(tables) as unknown[];
  for (const [key, name] of Object.entries(tables)) {
    check.that(
      typeof name === 'string' && TABLE_NAME.test(name),
      `tables.${key} must be the name of a table without its schema, at most 40 of A-Z, a-z, 0-9, _ and $.`,
    );
  }
  check.that(new Set(names).size === names.length, 'tables gives two tables the same name: give each its own.');
  return tables;
}
