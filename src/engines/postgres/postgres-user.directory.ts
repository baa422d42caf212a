import { Injectable } from '@nestjs/common';
import { AuthError, isAuthError } from '../../auth.errors.js';
import { Clock } from '../../common/clock.js';
import { UUID } from '../../common/uuid.js';
import { toEpochSeconds } from '../../postgres/epoch-seconds.js';
import { PreparedStatements } from '../../postgres/prepared-statements.js';
import { quoted, SchemaNames } from '../../schema/schema-names.js';
import { sqlState } from '../../postgres/store-error.js';
import type { RevocationReason } from '../../events/auth-event.js';
import { AuthEvents } from '../../events/auth-events.js';
import { InvalidationChannel } from '../../invalidation/invalidation-channel.js';
import { isActive } from '../../user/account.js';
import { checkedEmail } from '../../user/email-address.js';
import { MAX_LOGIN_LENGTH, spellingsOf } from '../../user/login-name.js';
import { PasswordHasher } from '../../user/password-hasher.js';
import { NewPasswords } from '../../user/new-passwords.js';
import type { PasswordContext } from '../../user/password-policy.js';
import { checkedRoles } from '../../user/roles.js';
import {
  UserDirectory,
  type AuthUser,
  type EmailChange,
  type NewAccount,
  type UserListPart,
  type VerifiedEmail,
} from '../../user/user.directory.js';
import { importedUserId } from '../../user/imported-user-id.js';
import { HOLD_ACCOUNT } from './postgres-account-lock.js';
import { userStatements, type UserRow } from './postgres-user.statements.js';
import { userOfColumns, type UserFields } from './user-columns.js';

const UNIQUE_VIOLATION = '23505';
const TAKEN = 'an address that is not in use';
const ONE_MAILBOX = `one e-mail address of at most ${MAX_LOGIN_LENGTH} characters`;

/**
 * The default `UserDirectory`: table `users`, passwords in argon2id. Beyond the port it has what an application needs
 * to manage accounts.
 *
 * Whatever takes access away (`setPassword`, `disable`, `invalidateTokens`) moves the cutoff and deletes the sessions
 * in one transaction, so that no earlier session survives or comes back when the account is enabled again. That
 * includes a session opened by a concurrent login with the old password, whatever the clocks of the processes say. For
 * JWTs and signed cookies, this holds for those issued by a login through this module. A token that your code encodes
 * itself is compared by its time of issue, so there the clocks of the processes must agree.
 *
 * Every method throws `STORE_UNAVAILABLE` if the database does not answer, and `SCHEMA_MISSING` if the migrations have
 * not been run. An id that is not a UUID is the id of no account.
 *
 * @example
 * ```ts
 * const user = await accounts.create('ada@example.com', 'correct horse battery staple');
 * await accounts.setPassword(user.id, 'a better passphrase'); // ends her sessions and tokens
 * await accounts.disable(user.id); // from now on no session, token or login of hers is valid
 * ```
 */
@Injectable()
export class PostgresUserDirectory extends UserDirectory {
  private anyAccount = false;
  private readonly sql;
  private schemaOfCitext: Promise<string> | undefined;

  constructor(
    private readonly statements: PreparedStatements,
    private readonly hasher: PasswordHasher,
    private readonly newPasswords: NewPasswords,
    private readonly clock: Clock,
    private readonly channel: InvalidationChannel,
    private readonly events: AuthEvents,
    names: SchemaNames,
  ) {
    super();
    this.sql = userStatements(names, this.fields);
  }

  /**
   * Fields of your own on every user, read by the statements that are run anyway. Override it in a subclass, as a getter:
   * by name of the field, SQL for it. In it, `u` is the row of `users`, to which you may have added columns; another
   * table is read by a subquery. Values come as JSON, so an instant is a string. A field cannot have the name of one of
   * ours.
   *
   * Whoever holds users in memory hears of changes in `users`, not of those in other tables: after such a change publish
   * the id, as in "Scaling", or leave the cache off.
   *
   * @example
   * ```ts
   * declare module 'nestjs-latchkey' {
   *   interface AuthUser {
   *     locale?: string;
   *     plan?: string | null;
   *   }
   * }
   *
   * @Injectable()
   * export class Directory extends PostgresUserDirectory {
   *   override get fields() {
   *     return { locale: 'u.locale', plan: 'SELECT s.plan FROM subscriptions s WHERE s.user_id = u.id' };
   *   }
   * }
   * ```
   */
  get fields(): UserFields {
    return {};
  }

  /** False in a subclass that overrides `findById`: it knows more about a user than the table does. */
  override get isJoinable(): boolean {
    return this.findById === PostgresUserDirectory.prototype.findById;
  }

  /** True: triggers on the table and the methods below publish every change. */
  override get publishesChanges(): boolean {
    return true;
  }

  /** The id that the command `import` gives such an account: see `importedUserId`. */
  override importedId(id: string): string {
    return importedUserId(id);
  }

  /**
   * The account with this id, disabled or not, or `null`.
   *
   * @throws {AuthError} `STORE_UNAVAILABLE` if the database did not answer.
   */
  override async findById(id: string): Promise<AuthUser | null> {
    return toUser(await this.rowById(id));
  }

  /**
   * The account with this login name, disabled or not, or `null`. Give it the spelling of `normalizeLogin`. An account
   * that another program stored under the Unicode spelling of its domain is found as well.
   *
   * @throws {AuthError} `SCHEMA_MISSING` if `users.email` is not of type `citext`.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the database did not answer.
   */
  override async findByLogin(login: string): Promise<AuthUser | null> {
    return toUser(await this.rowByLogin(login));
  }

  /**
   * The account with this login name and password, or `null`: an unknown account, a wrong password and a disabled
   * account look the same and take the same time. A hash with outdated parameters is renewed on the way.
   *
   * @throws {AuthError} `HASHER_OVERLOADED` if too many passwords are waiting to be hashed.
   * @throws {AuthError} `SCHEMA_MISSING` if `users.email` is not of type `citext`.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the database did not answer.
   */
  override async verifyCredentials(login: string, password: string, ip?: string | null): Promise<AuthUser | null> {
    const row = await this.rowByLogin(login);
    // Checks the hash of a disabled account too, so that its logins still take as long as before.
    const matches = await this.hasher.matches(row?.password_hash ?? null, password, { login, ip });
    const user = toUser(row);
    if (!row || !matches || !isActive(user)) return null;
    if (this.hasher.isOutdated(row.password_hash)) await this.rehash(row, password, ip);
    return user;
  }

  /**
   * Ends every session and token authenticated or issued up to and including `cutoff` (epoch ms). The cutoff never
   * moves back. Returns false if there is no such account.
   *
   * @throws {AuthError} `STORE_UNAVAILABLE` if the database did not answer.
   */
  override invalidateTokens(id: string, cutoff: number): Promise<boolean> {
    return this.endAccess(id, cutoff, null);
  }

  /**
   * Records `instant` as the last login if the account is enabled and its cutoff is still that of `user`; in one
   * statement, ordered against everything that takes access away.
   *
   * @throws {AuthError} `STORE_UNAVAILABLE` if the database did not answer.
   */
  override async confirmLogin({ id, tokensInvalidatedAfter }: AuthUser, instant: number): Promise<boolean> {
    const cutoff = tokensInvalidatedAfter ?? null;
    const values = [id, toEpochSeconds(instant), cutoff === null ? null : toEpochSeconds(cutoff)];
    await this.lock(id);
    return (await this.statements.run(this.sql.confirmLogin, values)).rowCount > 0;
  }

  /**
   * Whether any account exists. Asks the database until one does, then never again.
   *
   * @throws {AuthError} `STORE_UNAVAILABLE` if the database did not answer.
   */
  override async hasAccounts(): Promise<boolean> {
    if (!this.anyAccount) {
      const { rows } = await this.statements.run<{ found: boolean }>(this.sql.hasAccounts, []);
      this.anyAccount = rows[0]?.found === true;
    }
    return this.anyAccount;
  }

  /**
   * Creates an account. The address is stored in the spelling of `normalizeLogin`; the password is one
   * that the `PasswordPolicy` accepts.
   *
   * An address that is taken is `INVALID_INPUT` too. A public sign-up form should answer both cases the same, so that
   * it does not reveal which addresses are registered.
   *
   * `emailVerifiedAt` (epoch ms) is for an address that you know to be the owner's. Default `null`: the first proof of
   * the mailbox, as by a reset, takes the account over, see "Whose account it is".
   *
   * @throws {AuthError} `INVALID_INPUT` if the address is not exactly one mailbox or is taken.
   * @throws {AuthError} `WEAK_PASSWORD` if the `PasswordPolicy` refuses the password.
   * @throws {AuthError} `HASHER_OVERLOADED` if too many passwords are waiting to be hashed.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the database did not answer.
   */
  async create(
    email: string,
    password: string,
    { emailVerifiedAt = null }: { emailVerifiedAt?: number | null } = {},
  ): Promise<AuthUser> {
    const login = checkedEmail(email);
    if (login === null) throw invalid('email', ONE_MAILBOX);
    if (spellingsOf(login).length > 1 && (await this.rowByLogin(login))) throw invalid('email', TAKEN);
    const hash = await this.hashOf(password, { email: login });
    const verifiedAt = emailVerifiedAt === null ? null : toEpochSeconds(emailVerifiedAt);
    try {
      const { rows } = await this.statements.run<UserRow>(this.sql.insert, [login, hash, this.now(), verifiedAt]);
      return toUser(rows[0] ?? null)!;
    } catch (error) {
      if (sqlState(error) !== UNIQUE_VIOLATION) throw error;
      throw invalid('email', TAKEN, { cause: error });
    }
  }

  /**
   * Sets the password, and ends every session and token of the account in the same statement. Returns false if there is
   * no such account.
   *
   * @throws {AuthError} `WEAK_PASSWORD` if the `PasswordPolicy` refuses it.
   * @throws {AuthError} `HASHER_OVERLOADED` if too many passwords are waiting to be hashed.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the database did not answer.
   */
  async setPassword(id: string, password: string): Promise<boolean> {
    const account = await this.findById(id);
    return this.setPasswordHash(id, await this.hashOf(password, { userId: id, email: account?.email }));
  }

  /**
   * The hash of an acceptable password, for `setPasswordHash`. With `context`, of one for that account.
   *
   * @throws {AuthError} `WEAK_PASSWORD` if the `PasswordPolicy` refuses it.
   * @throws {AuthError} `HASHER_OVERLOADED` if too many passwords are waiting to be hashed.
   */
  async hashOf(password: string, context: PasswordContext = {}): Promise<string> {
    await this.newPasswords.accept(password, context);
    return this.hasher.hash(password);
  }

  /**
   * `setPassword` with a hash made beforehand, so that a transaction need not wait for it. Returns false if there is no
   * such account. With `replaces`, also if that is not its hash any more or the account is disabled: of concurrent calls
   * with the same `replaces` exactly one returns true.
   *
   * @throws {AuthError} `STORE_UNAVAILABLE` if the database did not answer.
   */
  override setPasswordHash(id: string, hash: string, { replaces }: { replaces?: string } = {}): Promise<boolean> {
    return this.endAccess(id, this.clock.now(), 'password_changed', { hash, replaces });
  }

  /**
   * The stored hash of an account that is not disabled, or `null`.
   *
   * @throws {AuthError} `STORE_UNAVAILABLE` if the database did not answer.
   */
  override async findPasswordHash(id: string): Promise<string | null> {
    const row = await this.rowById(id);
    return isActive(toUser(row)) ? row!.password_hash : null;
  }

  /**
   * Creates an account whose mailbox and password hash are known to be good, or returns `null` if its address is taken,
   * also in the other spelling of an international domain.
   *
   * @throws {AuthError} `INVALID_INPUT` if the address is not exactly one mailbox.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the database did not answer.
   */
  override async register({ email, passwordHash, emailVerifiedAt }: NewAccount): Promise<AuthUser | null> {
    const login = checkedEmail(email);
    if (login === null) throw invalid('email', ONE_MAILBOX);
    if (spellingsOf(login).length > 1 && (await this.rowByLogin(login))) return null;
    const values = [login, passwordHash, this.now(), emailVerifiedAt === null ? null : toEpochSeconds(emailVerifiedAt)];
    return toUser((await this.statements.run<UserRow>(this.sql.register, values)).rows[0] ?? null);
  }

  /**
   * Changes the address in one statement, if it still is `from` and the account is not disabled. It ends no session.
   *
   * @throws {AuthError} `INVALID_INPUT` if `to` is not exactly one mailbox.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the database did not answer.
   */
  override async setEmail(id: string, { from, to, verifiedAt }: EmailChange): Promise<'done' | 'taken' | 'changed'> {
    const login = checkedEmail(to);
    if (login === null) throw invalid('to', ONE_MAILBOX);
    if (!UUID.test(id)) return 'changed';
    const owner = await this.rowByLogin(login);
    if (owner && owner.id !== id.toLowerCase()) return 'taken';
    const values = [id, from, login, toEpochSeconds(verifiedAt), this.now()];
    try {
      await this.lock(id);
      const { rowCount } = await this.changing(id, () => this.statements.run(this.sql.setEmail, values));
      return rowCount > 0 ? 'done' : 'changed';
    } catch (error) {
      if (sqlState(error) !== UNIQUE_VIOLATION) throw error;
      return 'taken';
    }
  }

  /**
   * Records that the owner has proved the mailbox, unless somebody has before.
   *
   * @throws {AuthError} `STORE_UNAVAILABLE` if the database did not answer.
   */
  override async verifyEmail(id: string, { email, verifiedAt }: VerifiedEmail): Promise<boolean> {
    if (!UUID.test(id)) return false;
    const values = [id, email, toEpochSeconds(verifiedAt)];
    await this.lock(id);
    return this.changing(id, async () => (await this.statements.run(this.sql.verifyEmail, values)).rowCount > 0);
  }

  /**
   * Sets what the account may do, in place of what it could before. Every process knows with the next request, or within
   * the bound of its cache; no session ends. Emits `role.changed`. False if there is no such account.
   *
   * @throws {AuthError} `INVALID_INPUT` unless there are at most 32 roles, each of 1 to 64 of `a-z 0-9 : _ -`.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the database did not answer.
   */
  override async setRoles(id: string, roles: readonly string[]): Promise<boolean> {
    const checked = checkedRoles(roles);
    const values = [id, checked, this.now()];
    if (!UUID.test(id)) return false;
    await this.lock(id);
    return this.changing(id, async () => {
      if ((await this.statements.run(this.sql.setRoles, values)).rowCount === 0) return false;
      const of = { userId: id.toLowerCase(), roles: checked };
      this.events.emitAfterTransaction({ type: 'role.changed', at: this.clock.now(), ...of });
      return true;
    });
  }

  /**
   * Deletes the account. Its stored sessions and JWTs go with it. False if there is no such account.
   *
   * @throws {AuthError} `STORE_UNAVAILABLE` if the database did not answer.
   */
  override async delete(id: string): Promise<boolean> {
    if (!UUID.test(id)) return false;
    return this.changing(id, async () => {
      const { rowCount } = await this.statements.runLocking(`user ${id.toLowerCase()}`, this.sql.delete, [id]);
      return rowCount > 0;
    });
  }

  /**
   * The accounts in the order of their addresses, disabled ones too, by the index of the addresses. With `containing` it
   * reads until enough are found, up to the whole table: for operators.
   *
   * @throws {AuthError} `SCHEMA_MISSING` if `users.email` is not of type `citext`.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the database did not answer.
   */
  override async list({ containing, after, limit }: UserListPart): Promise<AuthUser[]> {
    // No text of PostgreSQL has it.
    if (`${containing}${after}`.includes('\0')) return [];
    const statement = this.sql.list(await this.citextSchema());
    const { rows } = await this.statements.run<UserRow>(statement, [after ?? null, containing ?? null, limit]);
    return rows.map((row) => userOfColumns(row.id, row));
  }

  /**
   * Disables the account: from this statement on it has no valid session, token or login. Idempotent. Returns false if
   * there is no such account.
   *
   * @throws {AuthError} `STORE_UNAVAILABLE` if the database did not answer.
   */
  override disable(id: string): Promise<boolean> {
    return this.endAccess(id, this.clock.now(), 'disabled', { disables: true });
  }

  /**
   * Lets a disabled account log in again; its earlier sessions and tokens stay ended. Returns false if there is no such
   * account.
   *
   * @throws {AuthError} `STORE_UNAVAILABLE` if the database did not answer.
   */
  override async enable(id: string): Promise<boolean> {
    if (!UUID.test(id)) return false;
    await this.lock(id);
    return this.changing(id, async () => (await this.statements.run(this.sql.enable, [id, this.now()])).rowCount > 0);
  }

  /** If the hasher is overloaded, the next login does it. */
  private async rehash(row: UserRow, password: string, ip?: string | null): Promise<void> {
    try {
      const hash = await this.hasher.hash(password, { ip });
      await this.lock(row.id);
      await this.statements.run(this.sql.rehash, [row.id, row.password_hash, hash, this.now()]);
    } catch (error) {
      if (!isAuthError(error, 'HASHER_OVERLOADED')) throw error;
    }
  }

  /** Tries both spellings of an international domain, since another program may have stored the other one. */
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
    const statement = this.sql.findByEmail(await this.citextSchema());
    return (await this.statements.run<UserRow>(statement, [email])).rows[0] ?? null;
  }

  private citextSchema(): Promise<string> {
    return (this.schemaOfCitext ??= this.readCitextSchema());
  }

  /** Read once; after a failure the next caller tries again. */
  private async readCitextSchema(): Promise<string> {
    try {
      const { rows } = await this.statements.runAlone<{ schema: string }>(this.sql.citextSchema, []);
      if (rows[0]) return quoted(rows[0].schema);
      const detail = 'the column email of the user table is not of type citext';
      throw new AuthError(
        'SCHEMA_MISSING',
        `Accounts cannot be found by address: ${detail}. Run \`npx nestjs-latchkey migrate\`.`,
        {
          detail,
        },
      );
    } catch (error) {
      this.schemaOfCitext = undefined;
      throw error;
    }
  }

  private async endAccess(
    id: string,
    cutoff: number,
    reason: RevocationReason | null,
    { hash = null, disables = false, replaces }: { hash?: string | null; disables?: boolean; replaces?: string } = {},
  ): Promise<boolean> {
    if (!UUID.test(id)) return false;
    const values = [id, toEpochSeconds(cutoff), hash, disables, ...(replaces === undefined ? [] : [replaces])];
    const statement = replaces === undefined ? this.sql.endAccess : this.sql.endAccessReplacing;
    return this.changing(id, async () => {
      const { rows } = await this.statements.runLocking<{ found: boolean }>(
        `user ${id.toLowerCase()}`,
        statement,
        values,
      );
      if (rows[0]?.found !== true) return false;
      const of = { userId: id.toLowerCase(), handle: null, count: null };
      if (reason) this.events.emitAfterTransaction({ type: 'session.revoked', at: this.clock.now(), ...of, reason });
      return true;
    });
  }

  /** For a statement that keeps the row locked: a transaction may go on to open or end sessions of the account. */
  private async lock(id: string): Promise<void> {
    if (this.statements.inTransaction) await this.statements.run(HOLD_ACCOUNT, [id.toLowerCase()]);
  }

  /** Makes the caches of this process forget the user at once, even if the outcome is unknown. */
  private async changing<T>(id: string, change: () => Promise<T>): Promise<T> {
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

/** The fields that the application adds, if users are in our table. */
export function fieldsOf(users: UserDirectory): UserFields {
  return users instanceof PostgresUserDirectory ? users.fields : {};
}

function toUser(row: UserRow | null): AuthUser | null {
  return row && userOfColumns(row.id, row);
}

function invalid(field: string, expected: string, options?: ErrorOptions): AuthError {
  return new AuthError(
    'INVALID_INPUT',
    `${field} must be ${expected}.`,
    { fields: { [field]: `must be ${expected}` } },
    options,
  );
}
