import { days, minutes, seconds, type Duration } from '../common/duration.js';
import { isPositive, type OptionChecker } from './option-checker.js';

/** How long a session lives, and how many a user may have. */
export class SessionSettings {
  /**
   * `database` (default): an opaque token, and a row for each session; everything can be revoked and listed.
   * `signed-cookie`: the cookie holds the identity itself, readable and writable by a system beside this one that uses
   * itsdangerous.
   */
  scheme: 'database' | 'signed-cookie' = 'database';

  /**
   * The format of the token of a database session: `opaque` (default) or `signed` (`raw.hexHmac`), for a team that
   * moves from a system with such tokens. Changing it ends every session.
   */
  tokenFormat: 'opaque' | 'signed' = 'opaque';

  /**
   * Idle timeout: a session that is not used for this long ends. Default 30 days, the most that NIST 800-63B allows at
   * AAL1. It is pushed forward by use, see `extendBelow`.
   */
  ttl: Duration = days(30);

  /**
   * A used session is extended to a full `ttl` again once **less** than this is left; with exactly this much left
   * nothing is written. Default 7 days, so an active session costs one write in 23 days. It is also the resolution of
   * `lastSeenAt`: set it to `days(29)` to know the day a session was last used. 0 turns extension off.
   */
  extendBelow: Duration = days(7);

  /**
   * Absolute lifetime, counted from the authentication: no activity extends a session past it. Default 90 days, at
   * most 400; "unlimited" cannot be written (OWASP ASVS 7.3.2, NIST 800-63B 2.1.3).
   */
  absoluteLifetime: Duration = days(90);

  /** The most sessions of one user; one more login ends the least recently used. Default 25. */
  maxPerUser: number = 25;

  /**
   * How long after a rotation without a login (`SessionService.rotate`) the old token still leads to the new one, for
   * tabs whose requests were in flight. Presented later it counts as stolen and ends the session. Default 30 seconds,
   * at most 5 minutes; 0 refuses it at once, which logs out a user with two tabs open.
   */
  rotationGrace: Duration = seconds(30);
}

export function checkSession(check: OptionChecker, written: Partial<SessionSettings> | undefined): SessionSettings {
  const session = check.settings('session', new SessionSettings(), written);
  const { ttl, extendBelow, absoluteLifetime, rotationGrace } = session;
  check.oneOf('session.scheme', session.scheme, ['database', 'signed-cookie']);
  check.oneOf('session.tokenFormat', session.tokenFormat, ['opaque', 'signed']);
  check.duration('session.ttl', ttl);
  check.that(
    extendBelow === 0 || (isPositive(extendBelow) && extendBelow < ttl),
    'session.extendBelow must be 0 (never extend) or shorter than session.ttl, for example days(7).',
  );
  check.duration('session.absoluteLifetime', absoluteLifetime);
  check.that(
    !(ttl > absoluteLifetime),
    'session.ttl is longer than session.absoluteLifetime: shorten the one or lengthen the other.',
  );
  check.integer('session.maxPerUser', session.maxPerUser, 1, 10_000);
  // Signed cookies have no grace period, so for them the default may be longer than the ttl.
  const outlives = session.scheme === 'database' && rotationGrace >= ttl;
  check.that(
    rotationGrace === 0 || (isPositive(rotationGrace) && !outlives && rotationGrace <= minutes(5)),
    'session.rotationGrace must be 0 (none) or shorter than session.ttl, at most minutes(5), for example seconds(30).',
  );
  return session;
}
