import { Injectable } from '@nestjs/common';
import { AuthError } from '../auth.errors.js';
import { Clock } from '../common/clock.js';
import { AuthEvents } from '../events/auth-events.js';
import { InvalidationChannel } from '../invalidation/invalidation-channel.js';
import { isActive, isBeforeCutoff } from '../user/account.js';
import { UserDirectory, type AuthUser } from '../user/user.directory.js';
import { TokenStates } from './token-states.js';

/** What revocation needs to know of a self-contained credential: a JWT's claims, or a signed cookie's `sid` as `jti`. */
export interface SelfContainedToken {
  readonly sub: string;
  readonly jti: string;
  /** Epoch ms: when it was issued, or its user authenticated. */
  readonly iat: number;
}

/**
 * Ends self-contained tokens before they expire (OWASP ASVS 7.4.1): one by its `jti`, all of a user by a cutoff. Every
 * method throws `STORE_UNAVAILABLE` when the storage has a fault; an outage never makes a token valid.
 */
@Injectable()
export class TokenRevocationService {
  constructor(
    private readonly states: TokenStates,
    private readonly channel: InvalidationChannel,
    private readonly users: UserDirectory,
    private readonly clock: Clock,
    private readonly events: AuthEvents,
  ) {}

  /** Ends the token of this `jti`; `exp` (epoch ms) is when it would have expired. Idempotent: true for the call that ended it. */
  async revoke(jti: string, exp: number): Promise<boolean> {
    if (typeof jti !== 'string' || jti === '' || jti.length > 64 || !Number.isFinite(exp)) {
      throw new TypeError('revoke() takes the jti (1 to 64 characters) and exp (epoch ms) of a decoded token.');
    }
    return this.states.revoke(jti, exp);
  }

  isRevoked(jti: string): Promise<boolean> {
    return this.states.isRevoked(jti);
  }

  /**
   * Ends everything the user has, in one statement: tokens issued and sessions authenticated up to this instant, opaque
   * sessions included. What is issued from the next microsecond on is valid. False when there is no such account;
   * throws `UNSUPPORTED` with a directory that has no `invalidateTokens`.
   */
  async revokeAllForUser(userId: string): Promise<boolean> {
    const at = this.clock.now();
    const found = await this.moveCutoff(userId);
    const event = { type: 'session.revoked', at, userId, handle: null, reason: 'revoked_all', count: null } as const;
    if (found) this.events.emitAfterTransaction(event);
    return found;
  }

  /** As `revokeAllForUser`, for a caller that emits the event itself. */
  async moveCutoff(userId: string): Promise<boolean> {
    const found = await this.users.invalidateTokens(userId, this.clock.now());
    if (!this.users.publishesChanges) await this.channel.publish({ users: [userId] });
    return found;
  }

  /**
   * The user of a token whose signature holds, if it was not ended since. Throws, in this order, `TOKEN_REVOKED`,
   * `ACCOUNT_INACTIVE` (disabled or deleted) or `TOKENS_INVALIDATED`. One round trip, and none with `cache.enabled` for
   * a user who was seen lately.
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
   * For a login that is about to give out something self-contained, counting from `instant`: throws
   * `INVALID_CREDENTIALS` when the account was disabled or got another cutoff since its password was read.
   */
  async confirmLogin(user: AuthUser, instant: number): Promise<void> {
    if (await this.users.confirmLogin(user, instant)) return;
    throw new AuthError('INVALID_CREDENTIALS', 'The account was changed while this login was under way.', {});
  }
}
