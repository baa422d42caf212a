import { Injectable } from '@nestjs/common';
import { AuthError } from '../auth.errors.js';
import { Clock } from '../common/clock.js';
import { AuthConfig } from '../config/auth-config.js';
import type { FirstFactor, PendingProofs } from '../config/ephemeral-token-settings.js';
import { sha256Hex } from '../crypto/hash.js';
import { randomToken } from '../crypto/random.js';
import { EphemeralTokenService } from '../ephemeral-token/ephemeral-token.service.js';
import { normalizeLogin } from '../user/login-name.js';
import type { AuthUser } from '../user/user.directory.js';
import { aalOf } from './assurance.js';
import { dueFactors } from './due-factors.js';
import { EnrolledFactors } from './enrolled-factors.js';
import type { CookieValue } from './session-scheme.js';

/** A login of which a factor is still due, or that must enrol one first. It opens nothing but its own completion. */
export interface PendingLogin {
  readonly status: 'second_factor' | 'enrolment_required';
  /** Completes the login, once, together with the right response. It is shown only this once. */
  readonly token: string;
  /**
   * The value of the HttpOnly cookie without which the token is nothing, so that a token that leaks cannot be completed
   * elsewhere. `null` for a client without cookies.
   */
  readonly challenge: CookieValue | null;
  /** The methods of which one is due; empty if the user must enrol one. */
  readonly methods: readonly string[];
  /** Epoch ms. */
  readonly expiresAt: number;
}

/** What is kept between the steps. */
export interface HeldLogin extends FirstFactor, PendingProofs {
  /** The account's login name. */
  readonly username: string;
}

/**
 * Logins between their factors: a `pre_auth` token in the store, bound to the browser by a cookie. It ends after five
 * minutes, with its completion, and with a new password, a disabling or "sign out everywhere" in between.
 */
@Injectable()
export class PendingLogins {
  private readonly ttl: number;

  constructor(
    private readonly tokens: EphemeralTokenService,
    private readonly clock: Clock,
    private readonly factors: EnrolledFactors,
    private readonly config: AuthConfig,
  ) {
    this.ttl = config.ephemeralTokens.get('pre_auth')!.ttl;
  }

  /**
   * Ends every login of this account that is under way: one that is held until another factor is proved, and one that a
   * provider has begun and a page will complete. For a change after which its first factor counts no longer.
   *
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async endAllOf({ email }: Pick<AuthUser, 'email'>): Promise<void> {
    for (const type of ['pre_auth', 'oidc_exchange'] as const) {
      await this.tokens.revokeOfType(type, normalizeLogin(email));
    }
  }

  /**
   * Holds the login of this user if something is due after these proofs, and its browser is not trusted; otherwise `null`.
   */
  async hold(
    user: AuthUser,
    { proofs, transport, remember, providerSession, isTrusted }: Omit<PendingProofs, 'userId'> & { isTrusted: boolean },
    authenticatedAt: number,
  ): Promise<PendingLogin | null> {
    const { assurance } = this.config;
    const enrolled = await this.factors.methodsOf(user);
    const due = dueFactors(proofs, enrolled, assurance);
    const mustEnrol = enrolled.length === 0 && aalOf(proofs, assurance) === 1 && this.isRequired(user);
    if ((due === 'nothing' || isTrusted) && !mustEnrol) return null;
    const challenge = transport === 'cookie' ? randomToken().toString('base64url') : null;
    const expiresAt = this.clock.now() + this.ttl;
    const token = await this.tokens.issue('pre_auth', {
      username: normalizeLogin(user.email),
      firstFactor: { authenticatedAt, tokensInvalidatedAfter: user.tokensInvalidatedAfter ?? null },
      proved: {
        userId: user.id,
        proofs,
        transport,
        ...(remember === undefined ? {} : { remember }),
        ...(mustEnrol && { mustEnrol }),
        ...(providerSession && { providerSession }),
      },
      ...(challenge === null ? {} : { challengeId: sha256Hex(challenge) }),
    });
    return {
      status: mustEnrol ? 'enrolment_required' : 'second_factor',
      token,
      challenge: challenge === null ? null : { value: challenge, expiresAt },
      methods: due === 'nothing' ? [] : due,
      expiresAt,
    };
  }

  /** The login of this token, which stays usable; `null` if it is over, or none of the challenges belongs to it. */
  async find(token: string, challenges: readonly string[]): Promise<HeldLogin | null> {
    for (const binding of bindingsOf(challenges)) {
      const held = await this.tokens.peek('pre_auth', token, binding);
      // One that a host's own login has issued is the host's to complete.
      if (held?.firstFactor && held.proved) return { username: held.username, ...held.firstFactor, ...held.proved };
    }
    return null;
  }

  /** Ends it. True for exactly one of concurrent calls. */
  async complete(token: string, challenges: readonly string[]): Promise<boolean> {
    for (const binding of bindingsOf(challenges)) {
      if ((await this.tokens.consume('pre_auth', token, binding)) !== null) return true;
    }
    return false;
  }

  /** Whether this user must have a second factor. What the application's function throws is a fault. */
  private isRequired(user: AuthUser): boolean {
    const isRequired: unknown = this.config.flows.twoFactor?.required?.(user) ?? false;
    if (typeof isRequired === 'boolean') return isRequired;
    const mistake = 'flows.twoFactor.required must return true or false, and no promise of it.';
    throw new AuthError('INVALID_CONFIG', mistake, { mistakes: [mistake] });
  }
}

/** The newest few cookies of a browser; without any, a client that has none. */
function bindingsOf(challenges: readonly string[]): (string | null)[] {
  return challenges.length === 0
    ? [null]
    : challenges.slice(0, MAX_CHALLENGES).map((challenge) => sha256Hex(challenge));
}

const MAX_CHALLENGES = 5;
