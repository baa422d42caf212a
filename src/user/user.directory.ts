import { AuthError } from '../auth.errors.js';
import { isActive } from './account.js';

/**
 * A user as guards and handlers see it. Hosts add their own fields by module augmentation:
 *
 * ```ts
 * declare module 'nestjs-latchkey' { interface AuthUser { roles: string[] } }
 * ```
 */
export interface AuthUser {
  /** Always a string, also where the table's key is an integer. */
  id: string;
  email: string;
  /** Epoch ms; set: the account has no valid session, token or login. */
  disabledAt?: number | null;
  /** Epoch ms; what was authenticated or issued up to and at this instant is revoked. */
  tokensInvalidatedAfter?: number | null;
}

/**
 * Who the users are: the host's port. `PostgresUserDirectory` on the table `users` is the default; a host with a table
 * or a service of its own extends this class and passes it as `AuthModule.forRoot({ users: MyDirectory })`.
 *
 * Every method returns `null` for a missing account. It throws for faults only, and a fault is never an answer: the
 * request gets 503 and keeps its cookie.
 */
export abstract class UserDirectory {
  /**
   * Whether `findById` answers what the module's own table `users` holds and nothing else, so that a store may join that
   * table instead of asking. Never for a directory of the host's.
   */
  get isJoinable(): boolean {
    return false;
  }

  /** Whether what changes an account here reaches caches and `AuthEvents` by itself; else the caller publishes it. */
  get publishesChanges(): boolean {
    return false;
  }

  /** The account with this id, disabled or not (`disabledAt` says so), or `null` if there is none. */
  abstract findById(id: string): Promise<AuthUser | null>;

  /** The account of this login name in the spelling of `normalizeLogin`, disabled or not, or `null`. */
  abstract findByLogin(login: string): Promise<AuthUser | null>;

  /**
   * The account whose password this is. `null` for an unknown account, a wrong password and a disabled account alike,
   * after the same work: hash a dummy if there is no hash to compare with. `ip` is the client's address: hand it to
   * `PasswordHasher`, which shares out its places by it.
   */
  abstract verifyCredentials(login: string, password: string, ip?: string | null): Promise<AuthUser | null>;

  /**
   * Moves `tokensInvalidatedAfter` of the account to `cutoff` (epoch ms), never back, in one statement: "sign out
   * everywhere" for what is self-contained. False when there is no such account. A directory that keeps no such field
   * keeps this default, which throws `UNSUPPORTED`.
   */
  async invalidateTokens(_id: string, _cutoff: number): Promise<boolean> {
    const message = 'This UserDirectory cannot end all tokens of a user: override invalidateTokens().';
    throw new AuthError('UNSUPPORTED', message, { operation: 'invalidateTokens' });
  }

  /**
   * Called when a login is about to be answered with something self-contained (JWT, signed cookie) that counts from
   * `instant`: true when the account is as it was when its password was read, neither disabled nor with another cutoff.
   * An implementation that keeps `instant` on the account, and never sets a cutoff before it, makes this exact; this
   * default compares with the account as it is now.
   */
  async confirmLogin(user: AuthUser, _instant: number): Promise<boolean> {
    const now = await this.findById(user.id);
    if (!isActive(now)) return false;
    return (now.tokensInvalidatedAfter ?? null) === (user.tokensInvalidatedAfter ?? null);
  }

  /**
   * Whether any account exists; login answers 503 "setup not complete" while none does. Called only after a refused
   * login. A directory that does not know keeps this default.
   */
  async hasAccounts(): Promise<boolean> {
    return true;
  }
}

/**
 * A handler that writes to its `request.user` must not write into a cache. What hangs below is shared, and so is a user
 * that is no plain object: only its class knows how to copy it.
 */
export function copyOfUser(user: AuthUser): AuthUser {
  if (Object.getPrototypeOf(user) !== Object.prototype) return user;
  const { id, email, disabledAt, tokensInvalidatedAfter } = user;
  return { ...user, id, email, disabledAt, tokensInvalidatedAfter };
}
