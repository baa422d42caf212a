import { Injectable } from '@nestjs/common';
import { AuthError } from '../auth.errors.js';
import { later } from '../common/instant.js';
import { TokenRevocationService } from '../revocation/token-revocation.service.js';
import type { FullIdentity } from '../session/identity.js';
import { isPersistent, type EndedSession, type Session } from '../session/session.js';
import { SignedCookieSession } from '../session/signed-cookie.codec.js';
import type { AuthUser } from '../user/user.directory.js';
import {
  SessionScheme,
  type AuthenticateOptions,
  type CookieValue,
  type ElevatedSession,
  type OpenedCredential,
  type OpeningContext,
  type AuthenticationResult,
} from './session-scheme.js';

/** The `provider_id` of a login with e-mail address and password. */
const PROVIDER = 'basic';
/** How many rotations a logout follows; only a client that rotates with every request comes near it. */
const MAX_ROTATIONS = 32;

/**
 * `scheme: 'signed-cookie'`: the value is the signed identity itself. It is re-issued once strictly more than half of
 * its lifetime is over. Beyond what itsdangerous does, it ends with its absolute lifetime, with a logout (its `sid` is
 * listed as revoked) and with "sign out everywhere" (the user's cutoff), and its user is looked up with every request.
 */
@Injectable()
export class SignedCookieScheme extends SessionScheme {
  constructor(
    private readonly cookies: SignedCookieSession,
    private readonly revocation: TokenRevocationService,
  ) {
    super();
  }

  override async open(user: AuthUser, presented: string | null, context: OpeningContext): Promise<OpenedCredential> {
    const identity = this.cookies.makeIdentity({
      sub: user.id,
      providerId: PROVIDER,
      email: user.email,
      remember: context.remember,
    });
    // Later than the cutoff that was read with the password, even if the clock that set it was ahead.
    const authenticatedAt = later(context.authenticatedAt, user.tokensInvalidatedAfter);
    const value = this.sign({ ...identity, authenticatedAt });
    await this.revocation.confirmLogin(user, authenticatedAt);
    if (presented !== null) await this.revoke([presented]);
    return { ...value, handle: null };
  }

  override async authenticate(
    value: string,
    { extend = true }: AuthenticateOptions = {},
  ): Promise<AuthenticationResult | null> {
    const identity = this.cookies.decode(value);
    if (!identity) return null;
    const user = await this.userOf(identity);
    if (!user) return null;
    const reissue = extend && this.cookies.shouldReissue(identity) ? this.sign(this.cookies.reissue(identity)) : null;
    return { user, session: sessionOf(identity, user), reissue };
  }

  /**
   * Across all processes, exactly one concurrent call gets the new value, the others get `null`; the old value is
   * refused at once.
   */
  override async rotate(value: string): Promise<CookieValue | null> {
    const identity = this.cookies.decode(value);
    if (!identity || !(await this.userOf(identity))) return null;
    const isFirst = await this.revocation.revoke(identity.sid, identity.absoluteExpiresAt);
    return isFirst ? this.sign(this.cookies.rotate(identity)) : null;
  }

  /** A signed cookie does not say how its user was authenticated, so that it gains nothing by another proof. */
  override elevate(): Promise<ElevatedSession | null> {
    const mistake =
      'A signed cookie does not say how its user was authenticated, so there is no step-up: use session: { scheme: ' +
      '"database" }.';
    return Promise.reject(new AuthError('INVALID_CONFIG', mistake, { mistakes: [mistake] }));
  }

  override async revoke(values: readonly string[]): Promise<readonly EndedSession[]> {
    const ended: EndedSession[] = [];
    for (const value of values) {
      const identity = this.cookies.decode(value);
      if (!identity) continue;
      await this.end(identity);
      ended.push({ userId: identity.sub, handle: identity.sid });
    }
    return ended;
  }

  /**
   * Whatever this cookie has been rotated to ends too: each rotation has revoked one `sid`, so the first that was not
   * revoked is the one in force. Followed once: a logout that is sent again and again must not fill the list.
   */
  private async end({ sid, absoluteExpiresAt }: FullIdentity): Promise<void> {
    // Until the end of the absolute lifetime, since a request in progress may still re-issue this sid.
    if (await this.revocation.revoke(sid, absoluteExpiresAt)) return;
    const followed = this.cookies.sidAfter(`${sid} was followed`);
    if (await this.revocation.isRevoked(followed)) return;
    let next = this.cookies.sidAfter(sid);
    for (let i = 1; i < MAX_ROTATIONS && !(await this.revocation.revoke(next, absoluteExpiresAt)); i++) {
      next = this.cookies.sidAfter(next);
    }
    await this.revocation.revoke(followed, absoluteExpiresAt);
  }

  private sign(identity: FullIdentity): CookieValue {
    const { expiresAt, remembered } = identity;
    return { value: this.cookies.encode(identity), expiresAt, persistent: isPersistent({ remembered }) };
  }

  private async userOf({ sub, sid, authenticatedAt }: FullIdentity): Promise<AuthUser | null> {
    try {
      return await this.revocation.userOf({ sub, jti: sid, iat: authenticatedAt });
    } catch (error) {
      if (error instanceof AuthError && ENDED.has(error.code)) return null;
      throw error;
    }
  }
}

const ENDED = new Set(['TOKEN_REVOKED', 'ACCOUNT_INACTIVE', 'TOKENS_INVALIDATED']);

/** The session that the identity represents. Nothing is stored, so it was last seen when its cookie was issued. */
function sessionOf(identity: FullIdentity, user: AuthUser): Session {
  return {
    id: identity.sid,
    handle: identity.sid,
    userId: user.id,
    createdAt: identity.authenticatedAt,
    expiresAt: identity.expiresAt,
    absoluteExpiresAt: identity.absoluteExpiresAt,
    authenticatedAt: identity.authenticatedAt,
    aal: 1,
    amr: [],
    lastSeenAt: identity.issuedAt,
    ip: null,
    userAgent: null,
    ...(identity.remembered === undefined ? {} : { remembered: identity.remembered }),
    data: {},
  };
}
