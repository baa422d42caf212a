import { Injectable } from '@nestjs/common';
import { AuthError, isAuthError } from '../../auth.errors.js';
import { Clock } from '../../common/clock.js';
import { epochSeconds, fromEpochSeconds, instant, toEpochSeconds } from '../../postgres/epoch-seconds.js';
import { PreparedStatements } from '../../postgres/prepared-statements.js';
import type { Statement } from '../../postgres/statement.js';
import { literal, quoted, SchemaNames } from '../../schema/schema-names.js';
import { sqlState } from '../../postgres/store-error.js';
import type { RevocationReason } from '../../events/auth-event.js';
import { AuthEvents } from '../../events/auth-events.js';
import { InvalidationChannel } from '../../invalidation/invalidation-channel.js';
import { checkedEmail } from '../../user/email-address.js';
import { MAX_LOGIN_LENGTH, spellingsOf } from '../../user/login-name.js';
import { PASSWORD_LENGTH, PasswordHasher } from '../../user/password-hasher.js';
import { UserDirectory, type AuthUser } from '../../user/user.directory.js';

const UNIQUE_VIOLATION = '23505';
const TAKEN = 'an address that is not in use';
export const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

const COLUMNS = `id::text AS id, email::text AS email, password_hash,
  ${epochSeconds('disabled_at')} AS disabled_at,
  ${epochSeconds('tokens_invalidated_after')} AS tokens_invalidated_after`;

function userStatements(names: SchemaNames) {
  const { users } = names;
  return {
    findById: {
      name: 'latchkey_user_by_id',
      text: `SELECT ${COLUMNS} FROM ${users} WHERE id = $1`,
    },
    hasAccounts: {
      name: 'latchkey_user_any',
      text: `SELECT EXISTS (SELECT 1 FROM ${users}) AS found`,
    },
    insert: {
      name: 'latchkey_user_insert',
      text: `INSERT INTO ${users} (email, password_hash, created_at, updated_at)
    VALUES ($1, $2, ${instant('$3')}, ${instant('$3')}) RETURNING ${COLUMNS}`,
    },
    /** Only over the hash that was verified, so that a password changed meanwhile is not undone. */
    rehash: {
      name: 'latchkey_user_rehash',
      text: `UPDATE ${users} SET password_hash = $3, updated_at = ${instant('$4')} WHERE id = $1 AND password_hash = $2`,
    },
    /** Moves the cutoff, ends the sessions, and changes what is not null: see the migration. */
    endAccess: {
      name: 'latchkey_user_end_access',
      text: `SELECT ${names.qualified('latchkey_end_access')}($1::uuid, ${instant('$2')}, $3::text, $4::boolean) AS found`,
    },
    /** The row lock orders it against `latchkey_end_access`: either this sees the new cutoff, or that sees this login. */
    confirmLogin: {
      name: 'latchkey_user_confirm_login',
      text: `UPDATE ${users} SET last_login_at = greatest(last_login_at, ${instant('$2')}) WHERE id = $1
    AND disabled_at IS NULL AND tokens_invalidated_after IS NOT DISTINCT FROM ${instant('$3')}`,
    },
    enable: {
      name: 'latchkey_user_enable',
      text: `UPDATE ${users} SET disabled_at = NULL, updated_at = ${instant('$2')} WHERE id = $1`,
    },
    /** The extension of citext may be in a schema that is on no search path: its operator compares without case. */
    findByEmail: (citextSchema: string): Statement => ({
      name: 'latchkey_user_by_email',
      text: `SELECT ${COLUMNS} FROM ${users} WHERE email OPERATOR(${citextSchema}.=) $1::${citextSchema}.citext`,
    }),
    citextSchema: {
      name: 'latchkey_user_citext_schema',
      text: `SELECT n.nspname AS schema FROM pg_catalog.pg_attribute a
        JOIN pg_catalog.pg_type t ON t.oid = a.atttypid JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
        WHERE a.attrelid = ${literal(users)}::regclass AND a.attname = 'email' AND t.typname = 'citext'`,
    },
  };
}

/** What a statement on `users` returns; also the user half of the session lookup's join. */
export interface UserRow {
  id: string;
  email: string;
  password_hash: string;
  disabled_at: number | null;
  tokens_invalidated_after: number | null;
}

/**
 * The default `UserDirectory`: table `users`, argon2id. Besides the port it has what an application needs to manage
 * accounts. Everything that takes access away (`setPassword`, `disable`, `invalidateTokens`) moves the cutoff and deletes
 * the sessions in one transaction, so that none from before survives it, nor comes back when the account is enabled
 * again: also not one that a concurrent login opens with the old password, whatever the clocks of the processes say.
 * Of JWTs and signed cookies that goes for those that a login here has given out. One that the host's code encodes itself
 * is compared by its time of issue, so there the processes' clocks must agree.
 */
@Injectable()
export class PostgresUserDirectory extends UserDirectory {
  private anyAccount = false;
  private readonly sql;
  private findByEmail: Promise<Statement> | undefined;

  constructor(
    private readonly statements: PreparedStatements,
    private readonly hasher: PasswordHasher,
    private readonly clock: Clock,
    private readonly channel: InvalidationChannel,
    private readonly events: AuthEvents,
    names: SchemaNames,
  ) {
    super();
    this.sql = userStatements(names);
  }

  /** A subclass that overrides `findById` knows more about a user than the table does. */
  override get isJoinable(): boolean {
    return this.findById === PostgresUserDirectory.prototype.findById;
  }

  /** By triggers on the table, and by the methods below. */
  override get publishesChanges(): boolean {
    return true;
  }

  override async findById(id: string): Promise<AuthUser | null> {
    return toUser(await this.rowById(id));
  }

  override async findByLogin(login: string): Promise<AuthUser | null> {
    return toUser(await this.rowByLogin(login));
  }

  override async verifyCredentials(login: string, password: string, ip?: string | null): Promise<AuthUser | null> {
    const row = await this.rowByLogin(login);
    // Also that of a disabled account, which goes on to cost what it did.
    const matches = await this.hasher.matches(row?.password_hash ?? null, password, { login, ip });
    if (!row || !matches || row.disabled_at !== null) return null;
    if (this.hasher.isOutdated(row.password_hash)) await this.rehash(row, password, ip);
    return toUser(row);
  }

  override invalidateTokens(id: string, cutoff: number): Promise<boolean> {
    return this.endAccess(id, cutoff, null);
  }

  override async confirmLogin({ id, tokensInvalidatedAfter }: AuthUser, instant: number): Promise<boolean> {
    const cutoff = tokensInvalidatedAfter ?? null;
    const values = [id, toEpochSeconds(instant), cutoff === null ? null : toEpochSeconds(cutoff)];
    return (await this.statements.run(this.sql.confirmLogin, values)).rowCount > 0;
  }

  /** Asks until the first account exists, then never again. */
  override async hasAccounts(): Promise<boolean> {
    if (!this.anyAccount) {
      const { rows } = await this.statements.run<{ found: boolean }>(this.sql.hasAccounts, []);
      this.anyAccount = rows[0]?.found === true;
    }
    return this.anyAccount;
  }

  /**
   * A new account. Throws `INVALID_INPUT` for an address or password that cannot be used, and for an address that is
   * taken: a public sign-up form should answer both cases the same, so that it does not reveal which addresses are
   * registered.
   */
  async create(email: string, password: string): Promise<AuthUser> {
    const login = checkedEmail(email);
    if (login === null) throw invalid('email', `one e-mail address of at most ${MAX_LOGIN_LENGTH} characters`);
    if (spellingsOf(login).length > 1 && (await this.rowByLogin(login))) throw invalid('email', TAKEN);
    const hash = await this.hashOf(password);
    try {
      const { rows } = await this.statements.run<UserRow>(this.sql.insert, [login, hash, this.now()]);
      return toUser(rows[0] ?? null)!;
    } catch (error) {
      if (sqlState(error) !== UNIQUE_VIOLATION) throw error;
      throw invalid('email', TAKEN, { cause: error });
    }
  }

  /** Also ends every session and token of the account, in the same statement. False if there is no such account. */
  async setPassword(id: string, password: string): Promise<boolean> {
    return this.setPasswordHash(id, await this.hashOf(password));
  }

  /** The hash of a password that may be set. Throws `INVALID_INPUT` for one that is too short or too long. */
  hashOf(password: string): Promise<string> {
    return this.hasher.hash(checkedPassword(password));
  }

  /** `setPassword` with the hash made before, so that a transaction need not wait for it. */
  setPasswordHash(id: string, hash: string): Promise<boolean> {
    return this.endAccess(id, this.clock.now(), 'password_changed', { hash });
  }

  /**
   * Idempotent. From this statement on the account has no valid session, token or login. False if there is no such
   * account.
   */
  disable(id: string): Promise<boolean> {
    return this.endAccess(id, this.clock.now(), 'disabled', { disables: true });
  }

  /**
   * Lets a disabled account log in again; earlier sessions and tokens stay ended. False if there is no such account.
   */
  async enable(id: string): Promise<boolean> {
    if (!UUID.test(id)) return false;
    return this.changing(id, async () => (await this.statements.run(this.sql.enable, [id, this.now()])).rowCount > 0);
  }

  /** A full hasher only puts it off to the next login. */
  private async rehash(row: UserRow, password: string, ip?: string | null): Promise<void> {
    try {
      const hash = await this.hasher.hash(password, { ip });
      await this.statements.run(this.sql.rehash, [row.id, row.password_hash, hash, this.now()]);
    } catch (error) {
      if (!isAuthError(error, 'HASHER_OVERLOADED')) throw error;
    }
  }

  /** Also one that another program has stored under the other spelling of an international domain. */
  private async rowByLogin(login: string): Promise<UserRow | null> {
    for (const spelling of spellingsOf(login)) {
      const row = await this.rowByEmail(spelling);
      if (row) return row;
    }
    return null;
  }

  private async rowById(id: string): Promise<UserRow | null> {
    if (!UUID.test(id)) return null;
    return (await this.statements.run<UserRow>(this.sql.findById, [id])).rows[0] ?? null;
  }

  private async rowByEmail(email: string): Promise<UserRow | null> {
    const statement = await (this.findByEmail ??= this.readCitextSchema());
    return (await this.statements.run<UserRow>(statement, [email])).rows[0] ?? null;
  }

  /** Asked once; after a failure the next caller asks again. */
  private async readCitextSchema(): Promise<Statement> {
    try {
      const { rows } = await this.statements.runAlone<{ schema: string }>(this.sql.citextSchema, []);
      if (rows[0]) return this.sql.findByEmail(quoted(rows[0].schema));
      const detail = 'the column email of the user table is not of type citext';
      throw new AuthError('SCHEMA_MISSING', `Accounts cannot be found by address: ${detail}. Run authMigrations.`, {
        detail,
      });
    } catch (error) {
      this.findByEmail = undefined;
      throw error;
    }
  }

  private async endAccess(
    id: string,
    cutoff: number,
    reason: RevocationReason | null,
    { hash = null, disables = false }: { hash?: string | null; disables?: boolean } = {},
  ): Promise<boolean> {
    if (!UUID.test(id)) return false;
    const values = [id, toEpochSeconds(cutoff), hash, disables];
    return this.changing(id, async () => {
      const { rows } = await this.statements.runLocking<{ found: boolean }>(
        `user ${id.toLowerCase()}`,
        this.sql.endAccess,
        values,
      );
      if (rows[0]?.found !== true) return false;
      const of = { userId: id.toLowerCase(), handle: null, count: null };
      if (reason) this.events.emitAfterTransaction({ type: 'session.revoked', at: this.clock.now(), ...of, reason });
      return true;
    });
  }

  /** Caches of this process forget the user at once, also when it is not known whether the change was made. */
  private async changing(id: string, change: () => Promise<boolean>): Promise<boolean> {
    try {
      return await change();
    } finally {
      this.statements.afterTransaction(() => this.channel.deliver({ users: [id] }));
    }
  }

  private now(): number {
    return toEpochSeconds(this.clock.now());
  }
}

function toUser(row: UserRow | null): AuthUser | null {
  return row && userOf(row.id, row.email, row.disabled_at, row.tokens_invalidated_after);
}

/** An `AuthUser` from the columns as `date_part('epoch', …)` returns them. */
export function userOf(
  id: string,
  email: string,
  disabledAt: number | null,
  invalidatedAfter: number | null,
): AuthUser {
  return {
    id,
    email,
    disabledAt: disabledAt === null ? null : fromEpochSeconds(disabledAt),
    tokensInvalidatedAfter: invalidatedAfter === null ? null : fromEpochSeconds(invalidatedAfter),
  };
}

function checkedPassword(password: string): string {
  const length = [...password.normalize('NFC')].length;
  if (length < PASSWORD_LENGTH.min || length > PASSWORD_LENGTH.max) {
    throw invalid('password', `${PASSWORD_LENGTH.min} to ${PASSWORD_LENGTH.max} characters`);
  }
  return password;
}

function invalid(field: string, expected: string, options?: ErrorOptions): AuthError {
  return new AuthError(
    'INVALID_INPUT',
    `${field} must be ${expected}.`,
    { fields: { [field]: `must be ${expected}` } },
    options,
  );
}
