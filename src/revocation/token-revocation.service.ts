import { Injectable } from '@nestjs/common';
import { asAuthError, AuthError, isAuthError } from '../auth.errors.js';
import { Clock } from '../common/clock.js';
import { AuthConfig } from '../config/auth-config.js';
import { AuthEvents } from '../events/auth-events.js';
import { InvalidationChannel } from '../invalidation/invalidation-channel.js';
import { isActive, isBeforeCutoff } from '../user/account.js';
import { checkedUserId } from '../user/checked-user-id.js';
import { UserDirectory, type AuthUser } from '../user/user.directory.js';
import { TokenStates } from './token-states.js';

/**
 * What revocation needs to know of a self-contained credential: a JWT's claims, or a signed cookie's `sid` as `jti`.
 */
export interface SelfContainedToken {
  readonly sub: string;
  readonly jti: string;
  /** Epoch ms: when it was issued, or its user authenticated. */
  readonly iat: number;
}

/**
 * Ends self-contained tokens (JWTs and signed cookies) before they expire (OWASP ASVS 7.4.1): one by its `jti`, or all
 * of a user by a cutoff. An outage never makes a token valid. Stored sessions are judged by `isLive` in
 * `src/session/session.ts`.
 *
 * @example
 * ```ts
 * const { jti, exp } = codec.decode(token, { purpose: 'invitation' });
 * if (!(await revocation.revoke(jti, exp))) throw new ConflictException('This invitation has been used.');
 * ```
 */
@Injectable()
export class TokenRevocationService {
  constructor(
    private readonly states: TokenStates,
    private readonly channel: InvalidationChannel,
    private readonly users: UserDirectory,
    private readonly clock: Clock,
    private readonly events: AuthEvents,
    private readonly config: AuthConfig,
  ) {}

  /**
   * Ends the token with this `jti`; `exp` (epoch ms) is when it would have expired. Idempotent: of any number of
   * concurrent calls, in any number of processes, exactly one returns true. Within an `AuthTransaction` it is part of
   * that.
   *
   * @throws {TypeError} if `jti` is not a string of 1 to 64 characters, or `exp` not a finite number.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async revoke(jti: string, exp: number): Promise<boolean> {
    if (typeof jti !== 'string' || jti === '' || jti.length > 64 || !Number.isFinite(exp)) {
      throw new TypeError('revoke() takes the jti (1 to 64 characters) and exp (epoch ms) of a decoded token.');
    }
    return this.states.revoke(jti, exp);
  }

  /**
   * Whether this token was ended by `revoke`. Cutoffs and disabled accounts are not considered: see `userOf`. With
   * `cache.enabled` it usually costs no query.
   *
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  isRevoked(jti: string): Promise<boolean> {
    return this.states.isRevoked(jti);
  }

  /**
   * Ends everything the user has, in one statement: tokens issued and sessions authenticated up to this instant, opaque
   * ones included. Whatever is issued from the next microsecond on is valid. Returns false if there is no such account.
   *
   * @throws {AuthError} `INVALID_INPUT` if `userId` is not a string, or empty.
   * @throws {AuthError} `UNSUPPORTED` if your `UserDirectory` does not override `invalidateTokens`.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async revokeAllForUser(userId: string): Promise<boolean> {
    const at = this.clock.now();
    const found = await this.moveCutoff(userId);
    const event = { type: 'session.revoked', at, userId, handle: null, reason: 'revoked_all', count: null } as const;
    if (found) this.events.emitAfterTransaction(event);
    return found;
  }

  /**
   * As `revokeAllForUser`, for a caller that emits the event itself.
   *
   * @throws {AuthError} `INVALID_INPUT` if `userId` is not a string, or empty.
   * @throws {AuthError} `UNSUPPORTED` if your `UserDirectory` does not override `invalidateTokens`.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async moveCutoff(userId: string): Promise<boolean> {
    const found = await this.users.invalidateTokens(checkedUserId(userId), this.clock.now());
    if (!this.users.publishesChanges) await this.channel.publish({ users: [userId] });
    return found;
  }

  /**
   * Ends what has no row, for a caller that ends the stored sessions too. A directory without cutoffs is enough then,
   * unless there are stateless sessions. `isTold`: the caller has emitted the event, which otherwise is done here. Returns
   * whether there is a cutoff now, by which everything older is over.
   *
   * @throws {AuthError} `UNSUPPORTED` with signed cookies or JWT sessions, if your `UserDirectory` does not override
   *   `invalidateTokens`.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async endStateless(userId: string, { isTold }: { isTold: boolean }): Promise<boolean> {
    try {
      await (isTold ? this.moveCutoff(userId) : this.revokeAllForUser(userId));
      return true;
    } catch (error) {
      if (this.config.hasStatelessSessions || !isAuthError(error, 'UNSUPPORTED')) throw error;
      return false;
    }
  }

  /**
   * The user of a token whose signature is valid, unless the token has been ended since. One round trip, and none with
   * `cache.enabled` for a user who was seen recently. The codes below are checked in this order. This is where JWTs and
   * signed cookies are decided, as `isLive` in `src/session/session.ts` decides stored sessions.
   *
   * @throws {AuthError} `TOKEN_REVOKED` if it was ended by `revoke`, as a logout does.
   * @throws {AuthError} `ACCOUNT_INACTIVE` if the account is disabled or deleted.
   * @throws {AuthError} `TOKENS_INVALIDATED` if the user signed out everywhere or changed the password since.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async userOf({ sub, jti, iat }: SelfContainedToken): Promise<AuthUser> {
    const { revoked, user } = await this.states.of(jti, sub);
    if (revoked) throw new AuthError('TOKEN_REVOKED', 'The token was revoked.', {});
    if (!isActive(user)) {
      throw new AuthError('ACCOUNT_INACTIVE', 'The account of the token is disabled or deleted.', {});
    }
    if (isBeforeCutoff(iat, user.tokensInvalidatedAfter)) {
      throw new AuthError(
        'TOKENS_INVALIDATED',
        'The account has invalidated all tokens issued up to then; log in again.',
        {},
      );
    }
    return user;
  }

  /**
   * For a login that is about to hand out something self-contained, counting from `instant` (epoch ms).
   *
   * @throws {AuthError} `INVALID_CREDENTIALS` if the account was disabled or got another cutoff since its password was
   *   read.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async confirmLogin(user: AuthUser, instant: number): Promise<void> {
    if (await this.users.confirmLogin(user, instant)) return;
    throw new AuthError('INVALID_CREDENTIALS', 'The account was changed while this login was under way.', {});
  }

  /**
   * Before a second factor is written in the same transaction, for the account as it was when its session was found: either
   * this sees what has ended everything since, or that waits and sees the factor. Of concurrent enrolments one waits too.
   *
   * @throws {AuthError} `UNAUTHENTICATED` if the account was disabled, or everything of it ended, since it was read.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async confirmOwner(user: AuthUser): Promise<void> {
    const isOwner = await this.users.confirmLogin(user, this.clock.now()).catch((error: unknown) => {
      throw asAuthError(error, 'The user directory');
    });
    if (isOwner) return;
    throw new AuthError('UNAUTHENTICATED', 'The account was changed meanwhile: let its user log in again.', {});
  }
}
