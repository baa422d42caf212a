import { AuthError } from '../auth.errors.js';
import { isActive } from './account.js';

/**
 * A user as guards and handlers see it. Add fields of your own by module augmentation.
 *
 * @example
 * ```ts
 * declare module 'nestjs-latchkey' {
 *   interface AuthUser {
 *     locale?: string;
 *   }
 * }
 * ```
 */
export interface AuthUser {
  /** Always a string, even if the table's key is an integer. */
  id: string;
  email: string;
  /** Epoch ms. While it is set, the account has no valid session, token or login. */
  disabledAt?: number | null;
  /** Epoch ms. Everything authenticated or issued up to and including this instant is revoked. */
  tokensInvalidatedAfter?: number | null;
  /**
   * Epoch ms: since when the mailbox is known to be the user's. `null` if nobody has asked, as in a row of another
   * program; missing if the directory does not know.
   */
  emailVerifiedAt?: number | null;
  /** What the account may do: see `@RequireRole`. Missing counts as none. */
  roles?: readonly string[];
}

/** An account that is to be created. */
export interface NewAccount {
  /** One mailbox. */
  readonly email: string;
  /** The hash of the password, or `NO_PASSWORD`. */
  readonly passwordHash: string;
  /** Epoch ms: when the owner has proved the mailbox, or `null`. */
  readonly emailVerifiedAt: number | null;
}

/** A change of address. */
export interface EmailChange {
  /** The address as it is stored, to the letter. */
  readonly from: string;
  readonly to: string;
  /** Epoch ms: when the owner has proved the new mailbox. */
  readonly verifiedAt: number;
}

/** A proof of the address that an account has. */
export interface VerifiedEmail {
  /** The address as it is stored, to the letter. */
  readonly email: string;
  /** Epoch ms: when the owner has proved the mailbox. */
  readonly verifiedAt: number;
}

/** Some of all accounts, in the order of their addresses. */
export interface UserListPart {
  /** Only those whose address contains this, in upper or lower case. */
  readonly containing?: string | undefined;
  /** Only those after this address, which may be that of the last one of the part before. */
  readonly after?: string | undefined;
  /** At most so many. */
  readonly limit: number;
}

/** Stands for the hash of an account without a password. No password matches it, after the same work. */
export const NO_PASSWORD = '!';

const CANNOT_CHANGE_PASSWORDS =
  'This UserDirectory cannot change passwords: override findPasswordHash() and setPasswordHash(), the latter with ' +
  '`UPDATE … SET password_hash = $hash WHERE id = $id AND password_hash = $replaces`.';

/**
 * Where the users are. `PostgresUserDirectory` on the table `users` is the default; an application with a table or
 * service of its own extends this class and passes it as `AuthModule.forRoot({ users: CustomerDirectory })`.
 *
 * Every method returns `null` for a missing account. It throws for faults only, and a fault is never an answer: the
 * request gets 503 and keeps its cookie. Methods may be called concurrently. The directory must not be request-scoped.
 *
 * @example
 * ```ts
 * @Injectable()
 * export class CustomerDirectory extends UserDirectory {
 *   constructor(
 *     @InjectRepository(Customer) private readonly customers: Repository<Customer>,
 *     private readonly hasher: PasswordHasher,
 *   ) {
 *     super();
 *   }
 *
 *   override async findById(id: string): Promise<AuthUser | null> {
 *     return toUser(await this.customers.findOneBy({ id: Number(id) }));
 *   }
 *
 *   override async findByLogin(login: string): Promise<AuthUser | null> {
 *     return toUser(await this.customers.findOneBy({ email: login }));
 *   }
 *
 *   override async verifyCredentials(login: string, password: string, ip?: string | null): Promise<AuthUser | null> {
 *     const customer = await this.customers.findOneBy({ email: login });
 *     const isActive = customer !== null && customer.blockedAt === null;
 *     const matches = await this.hasher.matches(isActive ? customer.passwordHash : null, password, { login, ip });
 *     return matches ? toUser(customer) : null;
 *   }
 * }
 *
 * function toUser(customer: Customer | null): AuthUser | null {
 *   if (customer === null) return null;
 *   return { id: `${customer.id}`, email: customer.email, disabledAt: customer.blockedAt?.getTime() };
 * }
 * ```
 */
export abstract class UserDirectory {
  /**
   * Whether `findById` returns exactly what the module's own table `users` holds, so that a store may join that table
   * instead of calling it. Leave it false in a directory of your own.
   */
  get isJoinable(): boolean {
    return false;
  }

  /** Whether account changes made here are published automatically; if not, the caller must publish them. */
  get publishesChanges(): boolean {
    return false;
  }

  /**
   * The id here of the account that the system before knew by `id`, for `legacySessions`. The default is that id itself.
   */
  importedId(id: string): string {
    return id;
  }

  /** The account with this id, disabled or not (`disabledAt` says so), or `null` if there is none. */
  abstract findById(id: string): Promise<AuthUser | null>;

  /** The account with this login name, in the spelling of `normalizeLogin`, disabled or not, or `null`. */
  abstract findByLogin(login: string): Promise<AuthUser | null>;

  /**
   * The account with this login name and password. `null` for an unknown account, a wrong password and a disabled
   * account alike, after the same work: `PasswordHasher.matches(null, password, { login, ip })` does it where there is
   * no hash to compare with. `ip` is the client's address; pass it to `PasswordHasher`, which shares its capacity
   * fairly among addresses.
   */
  abstract verifyCredentials(login: string, password: string, ip?: string | null): Promise<AuthUser | null>;

  /**
   * Moves the account's `tokensInvalidatedAfter` to `cutoff` (epoch ms), never back, in one statement: "sign out
   * everywhere" for JWTs and signed cookies. Returns false if there is no such account.
   *
   * @throws {AuthError} `UNSUPPORTED` unless it is overridden: a directory without such a field keeps this default.
   */
  async invalidateTokens(_id: string, _cutoff: number): Promise<boolean> {
    return cannot('end all tokens of a user', 'invalidateTokens');
  }

  /**
   * The stored hash of this account's password, for `PasswordChangeService`; `null` for an unknown or disabled account.
   *
   * @throws {AuthError} `UNSUPPORTED` unless it is overridden.
   */
  async findPasswordHash(_id: string): Promise<string | null> {
    throw new AuthError('UNSUPPORTED', CANNOT_CHANGE_PASSWORDS, { operation: 'findPasswordHash' });
  }

  /**
   * Sets the password's hash in one statement; with `replaces`, only where that is still the stored hash and the account
   * is not disabled, so that of concurrent changes exactly one returns true. False if nothing was changed.
   *
   * @throws {AuthError} `UNSUPPORTED` unless it is overridden.
   */
  async setPasswordHash(_id: string, _hash: string, _condition: { replaces?: string } = {}): Promise<boolean> {
    throw new AuthError('UNSUPPORTED', CANNOT_CHANGE_PASSWORDS, { operation: 'setPasswordHash' });
  }

  /**
   * Creates an account without roles, in one statement. `null` if the address is taken, in any spelling: of concurrent
   * calls exactly one gets the account. For `flows.registration`.
   *
   * @throws {AuthError} `UNSUPPORTED` unless it is overridden.
   */
  async register(_account: NewAccount): Promise<AuthUser | null> {
    return cannot('create accounts', 'register');
  }

  /**
   * Changes the address of an account that is not disabled, in one statement: `done`, `taken` if another account has
   * it, `changed` if it is not `from` any more. For `flows.emailChange`.
   *
   * @throws {AuthError} `UNSUPPORTED` unless it is overridden.
   */
  async setEmail(_id: string, _change: EmailChange): Promise<'done' | 'taken' | 'changed'> {
    return cannot('change addresses', 'setEmail');
  }

  /**
   * Records that the owner has proved the mailbox, in one statement: if the account still has this address, is not
   * disabled, and nobody has proved it before. False if nothing was changed. Asked only of a directory whose accounts
   * have `emailVerifiedAt: null`.
   *
   * @throws {AuthError} `UNSUPPORTED` unless it is overridden.
   */
  async verifyEmail(_id: string, _proof: VerifiedEmail): Promise<boolean> {
    return cannot('record that an address was proved', 'verifyEmail');
  }

  /**
   * Sets what the account may do, in place of what it could before. False if there is no such account.
   *
   * @throws {AuthError} `UNSUPPORTED` unless it is overridden.
   */
  async setRoles(_id: string, _roles: readonly string[]): Promise<boolean> {
    return cannot('change roles', 'setRoles');
  }

  /**
   * Deletes the account. False if there is no such account. For `flows.accountDeletion`.
   *
   * @throws {AuthError} `UNSUPPORTED` unless it is overridden.
   */
  async delete(_id: string): Promise<boolean> {
    return cannot('delete accounts', 'delete');
  }

  /**
   * The accounts in the order of their addresses, disabled ones too. For `flows.admin`.
   *
   * @throws {AuthError} `UNSUPPORTED` unless it is overridden.
   */
  async list(_part: UserListPart): Promise<AuthUser[]> {
    return cannot('list accounts', 'list');
  }

  /**
   * Disables the account: from then on it has no valid session, token or login. False if there is no such account. For
   * `flows.admin`.
   *
   * @throws {AuthError} `UNSUPPORTED` unless it is overridden.
   */
  async disable(_id: string): Promise<boolean> {
    return cannot('disable accounts', 'disable');
  }

  /**
   * Lets a disabled account log in again; what has ended stays ended. False if there is no such account. For
   * `flows.admin`.
   *
   * @throws {AuthError} `UNSUPPORTED` unless it is overridden.
   */
  async enable(_id: string): Promise<boolean> {
    return cannot('enable accounts', 'enable');
  }

  /**
   * Called when a login is about to hand out a JWT or a signed cookie that counts from `instant` (epoch ms). Returns
   * true if the account is as it was when its password was read: not disabled, with the same cutoff. This default
   * compares with the account as it is now; an implementation that records `instant` on the account, and never sets a
   * cutoff before it, closes the remaining gap.
   */
  async confirmLogin(user: AuthUser, _instant: number): Promise<boolean> {
    const now = await this.findById(user.id);
    if (!isActive(now)) return false;
    return (now.tokensInvalidatedAfter ?? null) === (user.tokensInvalidatedAfter ?? null);
  }

  /**
   * Whether any account exists; until then a login is answered 503 "setup not complete". Called only after a refused
   * login. The default is true.
   */
  async hasAccounts(): Promise<boolean> {
    return true;
  }
}

/** Whether a directory of this class has only the default of an operation, which throws `UNSUPPORTED`. */
export function lacks(
  directory: (abstract new (...args: never[]) => UserDirectory) | undefined,
  operation: string,
): boolean {
  const key = operation as keyof UserDirectory;
  return directory !== undefined && directory.prototype?.[key] === UserDirectory.prototype[key];
}

function cannot(what: string, operation: string): never {
  throw new AuthError('UNSUPPORTED', `This UserDirectory cannot ${what}: override ${operation}().`, { operation });
}

/**
 * A copy, so that a handler which writes to its `request.user` does not write into a cache. Nested objects are still
 * shared, and class instances are not copied.
 */
export function copyOfUser(user: AuthUser): AuthUser {
  if (Object.getPrototypeOf(user) !== Object.prototype) return user;
  const { id, email, disabledAt, tokensInvalidatedAfter, roles } = user;
  const copy = { ...user, id, email, disabledAt, tokensInvalidatedAfter };
  if (roles !== undefined) copy.roles = [...roles];
  return copy;
}
