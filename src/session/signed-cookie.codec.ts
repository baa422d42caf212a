import { Injectable } from '@nestjs/common';
import { SampledLogger } from '../common/sampled-logger.js';
import { Clock } from '../common/clock.js';
import { minutes, type Duration } from '../common/duration.js';
import { microseconds } from '../common/instant.js';
import { AuthConfig } from '../config/auth-config.js';
import { lifetimesOf } from '../config/session-settings.js';
import { sha256Hex } from '../crypto/hash.js';
import { KeyRing } from '../crypto/key-ring.js';
import { randomId } from '../crypto/random.js';
import { TimedSerializer, type DecodeResult } from '../crypto/timed-serializer.js';
import { identityFromJson, identityToJson, type FullIdentity, type Identity } from './identity.js';

/** The user of a login. `ttl` defaults to `session.ttl`. */
export interface IdentityFacts {
  sub: string;
  providerId: string;
  email?: string | null;
  name?: string | null;
  ttl?: Duration;
  /** Whether the login asked to be remembered; no effect without `session.remembered`. Default false. */
  remember?: boolean | undefined;
}

/** A salt is a key of its own: a value signed for another use is not a session cookie, nor the reverse. */
const SALT = 'reflow-session-v1';

/**
 * How far the clock of the machine that issued a cookie may be ahead of this one. It does not lengthen the life of any
 * cookie.
 */
const LEEWAY = minutes(1);

/** For the operator's log, which never shows the value. An expired cookie is an everyday event and is not logged. */
const WARNINGS = {
  bad_signature: 'Session cookie failed signature verification',
  bad_payload: 'Failed to decode session cookie',
  no_identity: 'Session cookie payload failed Identity validation',
};

/**
 * Stateless sessions: the cookie holds the identity itself, signed, and wire-compatible in both directions with the
 * `URLSafeTimedSerializer` of itsdangerous. Anyone who has the cookie can read it, so put no secrets in an identity.
 *
 * It knows nothing of logouts: the same bytes are valid until they expire. `TokenRevocationService` ends a session by
 * its `sid`, and all of a user's by `authenticatedAt`.
 */
@Injectable()
export class SignedCookieSession {
  private readonly logger = new SampledLogger();
  private readonly serializer: TimedSerializer;

  constructor(
    keyRing: KeyRing,
    private readonly clock: Clock,
    private readonly config: AuthConfig,
  ) {
    this.serializer = new TimedSerializer(keyRing.forSalt(SALT));
  }

  /** The cookie's value. Signing starts a full `session.ttl`, within the identity's absolute lifetime. */
  encode(identity: Identity): string {
    return this.serializer.encode(identityToJson(identity), { now: this.clock.now() });
  }

  /**
   * The identity, or `null` for a value that is tampered with, expired, malformed or not a string; never throws.
   * Expired means: signed more than `session.ttl` ago or more than a minute in the future (in whole seconds), or
   * past the absolute lifetime.
   *
   * Fields that a cookie of equalify-reflow lacks are filled in: its `sid` is the hash of its own bytes, so that a
   * logout can end it too, and its absolute lifetime starts with its signature.
   */
  decode(value: string): FullIdentity | null {
    const now = this.clock.now();
    const { session } = this.config;
    const longest = Math.max(session.ttl, session.remembered?.ttl ?? 0);
    let opened = this.serializer.decode(value, { now, maxAge: longest, leeway: LEEWAY });
    if (opened.status !== 'ok') return this.refuse(opened.status);
    const identity = identityFromJson(opened.payload);
    if (identity === null) return this.refuse('no_identity');
    const { ttl, absoluteLifetime } = lifetimesOf(identity, session);
    if (ttl < longest) opened = this.serializer.decode(value, { now, maxAge: ttl, leeway: LEEWAY });
    if (opened.status !== 'ok') return this.refuse(opened.status);
    const {
      sid = sha256Hex(value),
      authenticatedAt = identity.issuedAt,
      absoluteExpiresAt = opened.signedAt + absoluteLifetime,
    } = identity;
    return now >= absoluteExpiresAt ? null : { ...identity, sid, authenticatedAt, absoluteExpiresAt };
  }

  /** The identity of a user who has just proved who they are. Its absolute lifetime starts now. */
  makeIdentity({ sub, providerId, email = null, name = null, ttl, remember = false }: IdentityFacts): FullIdentity {
    if (ttl !== undefined && !Number.isFinite(ttl)) {
      throw new TypeError('The ttl of an identity must be a number: write it as hours(8).');
    }
    const now = this.clock.now();
    const remembered = this.config.session.remembered ? remember : undefined;
    const absoluteExpiresAt = now + lifetimesOf({ remembered }, this.config.session).absoluteLifetime;
    const login = { sid: randomId(), authenticatedAt: now, absoluteExpiresAt, remembered };
    return this.issue({ sub, providerId, email, name, ...login }, now, ttl);
  }

  /**
   * Whether a session in use is due for a new cookie: strictly more than half of its lifetime is over, and a new one
   * would last longer.
   */
  shouldReissue({ issuedAt, expiresAt, absoluteExpiresAt }: Identity): boolean {
    if (absoluteExpiresAt !== undefined && expiresAt >= absoluteExpiresAt) return false;
    const elapsed = microseconds(this.clock.now()) - microseconds(issuedAt);
    return 2 * elapsed > microseconds(expiresAt) - microseconds(issuedAt);
  }

  /**
   * The same user and login for another full `session.ttl`, but not past the absolute lifetime, which stays as the
   * login set it.
   */
  reissue(identity: FullIdentity): FullIdentity {
    return this.issue(identity, this.clock.now());
  }

  /** As `reissue`, under the `sid` that follows: revoking the old one does not end it. */
  rotate(identity: FullIdentity): FullIdentity {
    return this.issue({ ...identity, sid: this.sidAfter(identity.sid) }, this.clock.now());
  }

  /** The `sid` of the session once it is rotated, so that a logout with an older cookie finds the one in force. */
  sidAfter(sid: string): string {
    return sha256Hex(`${SALT}\n${sid}`);
  }

  private issue(
    identity: Omit<FullIdentity, 'issuedAt' | 'expiresAt'>,
    issuedAt: number,
    ttl: Duration = lifetimesOf(identity, this.config.session).ttl,
  ): FullIdentity {
    return { ...identity, issuedAt, expiresAt: Math.min(issuedAt + ttl, identity.absoluteExpiresAt) };
  }

  private refuse(reason: Exclude<DecodeResult['status'], 'ok'> | 'no_identity'): null {
    if (reason !== 'expired') this.logger.warn(WARNINGS[reason]);
    return null;
  }
}
