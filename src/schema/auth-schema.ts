import type { MigrationInterface } from 'typeorm';
import { OptionChecker } from '../config/option-checker.js';
import { checkTables, TableSettings } from '../config/table-settings.js';
import { ApiKeyEntity, apiKeyEntityFor } from './entities/api-key.entity.js';
import { AuditEventEntity } from './entities/audit-event.entity.js';
import { BackupCodeEntity, backupCodeEntityFor } from './entities/backup-code.entity.js';
import { EmailFactorEntity, emailFactorEntityFor } from './entities/email-factor.entity.js';
import { entityOnTable } from './entities/entity-on-table.js';
import { EphemeralTokenEntity } from './entities/ephemeral-token.entity.js';
import { IdentityEntity, identityEntityFor } from './entities/identity.entity.js';
import { JwtSessionEntity, jwtSessionEntityFor } from './entities/jwt-session.entity.js';
import { PasskeyEntity, passkeyEntityFor } from './entities/passkey.entity.js';
import { PasswordAttemptEntity } from './entities/password-attempt.entity.js';
import { RateLimitEventEntity } from './entities/rate-limit-event.entity.js';
import { RevokedTokenEntity } from './entities/revoked-token.entity.js';
import { SessionEntity, sessionEntityFor } from './entities/session.entity.js';
import { TotpEntity, totpEntityFor } from './entities/totp.entity.js';
import { UserEntity } from './entities/user.entity.js';
import type { AuthSchemaSettings } from './migrations/auth-migration.js';
import { addAccountFields } from './migrations/add-account-fields.js';
import { addAssurance } from './migrations/add-assurance.js';
import { addSessionData } from './migrations/add-session-data.js';
import { createApiKeys } from './migrations/create-api-keys.js';
import { createAuditEvents } from './migrations/create-audit-events.js';
import { createEmailFactors } from './migrations/create-email-factors.js';
import { createEphemeralTokens } from './migrations/create-ephemeral-tokens.js';
import { createIdentities } from './migrations/create-identities.js';
import { createInvalidationKey } from './migrations/create-invalidation-key.js';
import { createJwtSessions } from './migrations/create-jwt-sessions.js';
import { createPasskeys } from './migrations/create-passkeys.js';
import { createPasswordAttempts } from './migrations/create-password-attempts.js';
import { createRateLimits } from './migrations/create-rate-limits.js';
import { createRevokedTokens } from './migrations/create-revoked-tokens.js';
import { createSessions } from './migrations/create-sessions.js';
import { createTwoFactor } from './migrations/create-two-factor.js';
import { createUsers } from './migrations/create-users.js';
import { rememberSessions } from './migrations/remember-sessions.js';
import { timeRotations } from './migrations/time-rotations.js';
import type { UserIdType } from './user-id-type.js';

/** For the options `entities` and `migrations` of a TypeORM DataSource. */
export interface AuthSchema {
  readonly entities: (new () => object)[];
  readonly migrations: (new () => MigrationInterface)[];
}

export interface AuthSchemaOptions {
  /**
   * The type of your users' ids, if they are in a table or service of your own. Without it the module creates a user
   * table.
   */
  readonly userId?: UserIdType;
  /** Other names for the tables: the same as the option `tables` of `AuthModule`. */
  readonly tables?: Partial<TableSettings>;
}

/**
 * Entities and migrations in place of `authEntities` and `authMigrations`, for an application with a user table of its
 * own or with other table names.
 *
 * - `userId`: users live in a table or service of yours. There is no table `users` and no foreign key, and `user_id`
 *   has this type.
 * - `tables`: names for our tables, where yours already use the default ones. Give `AuthModule.forRoot` the same.
 *
 * The migrations refuse to run, and change nothing, if an existing table with one of these names cannot be adopted.
 *
 * @throws {AuthError} `INVALID_CONFIG` for a table name that is longer than 40 characters, contains anything but
 *   letters, digits, `_` and `$`, or is given twice, and for an unknown `userId`.
 *
 * @example
 * ```ts
 * const auth = authSchemaFor({ userId: 'bigint', tables: { sessions: 'auth_sessions' } });
 * TypeOrmModule.forRoot({
 *   type: 'postgres',
 *   entities: [...auth.entities, Customer],
 *   migrations: [...auth.migrations],
 * });
 * ```
 */
export function authSchemaFor({ userId, tables: written }: AuthSchemaOptions): AuthSchema {
  const check = new OptionChecker();
  const tables = checkTables(check, written);
  check.that(
    userId === undefined || ['uuid', 'integer', 'bigint', 'text'].includes(userId),
    "userId must be 'uuid', 'integer', 'bigint' or 'text': the type of your users' ids.",
  );
  check.throwIfAny();
  return schemaOf({ userId, tables: Object.freeze(tables) });
}

function schemaOf(settings: AuthSchemaSettings): AuthSchema {
  return { entities: entitiesOf(settings), migrations: migrationsOf(settings) };
}

function entitiesOf({ userId, tables }: AuthSchemaSettings): (new () => object)[] {
  const users = entityOnTable(UserEntity, tables.users);
  const session = userId === undefined ? SessionEntity : sessionEntityFor(userId);
  const jwtSession = userId === undefined ? JwtSessionEntity : jwtSessionEntityFor(userId);
  const totp = userId === undefined ? TotpEntity : totpEntityFor(userId);
  const backupCode = userId === undefined ? BackupCodeEntity : backupCodeEntityFor(userId);
  const emailFactor = userId === undefined ? EmailFactorEntity : emailFactorEntityFor(userId);
  const passkey = userId === undefined ? PasskeyEntity : passkeyEntityFor(userId);
  const apiKey = userId === undefined ? ApiKeyEntity : apiKeyEntityFor(userId);
  const identity = userId === undefined ? IdentityEntity : identityEntityFor(userId);
  return [
    ...(userId === undefined ? [users] : []),
    entityOnTable(session, tables.sessions, new Map([[UserEntity, users]])),
    entityOnTable(EphemeralTokenEntity, tables.ephemeralTokens),
    entityOnTable(RateLimitEventEntity, tables.rateLimitEvents),
    entityOnTable(RevokedTokenEntity, tables.revokedTokens),
    entityOnTable(jwtSession, tables.jwtSessions, new Map([[UserEntity, users]])),
    entityOnTable(PasswordAttemptEntity, tables.passwordAttempts),
    entityOnTable(totp, tables.totp, new Map([[UserEntity, users]])),
    entityOnTable(backupCode, tables.backupCodes, new Map([[UserEntity, users]])),
    entityOnTable(emailFactor, tables.emailFactors, new Map([[UserEntity, users]])),
    entityOnTable(passkey, tables.passkeys, new Map([[UserEntity, users]])),
    entityOnTable(AuditEventEntity, tables.auditEvents),
    entityOnTable(apiKey, tables.apiKeys, new Map([[UserEntity, users]])),
    entityOnTable(identity, tables.identities, new Map([[UserEntity, users]])),
  ];
}

/** One per feature, each after those whose tables it refers to. */
function migrationsOf(settings: AuthSchemaSettings): (new () => MigrationInterface)[] {
  return [
    createInvalidationKey(settings),
    ...(settings.userId === undefined ? [createUsers(settings)] : []),
    createSessions(settings),
    createEphemeralTokens(settings),
    createRateLimits(settings),
    createRevokedTokens(settings),
    createAuditEvents(settings),
    createPasswordAttempts(settings),
    rememberSessions(settings),
    addSessionData(settings),
    createJwtSessions(settings),
    timeRotations(settings),
    addAssurance(settings),
    ...(settings.userId === undefined ? [addAccountFields(settings)] : []),
    createTwoFactor(settings),
    createEmailFactors(settings),
    createPasskeys(settings),
    createApiKeys(settings),
    createIdentities(settings),
  ];
}

const standard = schemaOf({ userId: undefined, tables: Object.freeze(new TableSettings()) });

/**
 * The TypeORM entities of this module, on tables with the default names.
 *
 * @example
 * ```ts
 * TypeOrmModule.forRoot({ type: 'postgres', entities: [...authEntities, Note], migrations: [...authMigrations] });
 * ```
 */
export const authEntities = standard.entities;

/**
 * The TypeORM migrations of this module, forward and back. They create the tables or adopt those of a system listed in
 * docs/compatibility.md; any other table of the same name is refused before anything is changed.
 *
 * @example
 * ```ts
 * export default new DataSource({ type: 'postgres', entities: [...authEntities], migrations: [...authMigrations] });
 * ```
 */
export const authMigrations = standard.migrations;
