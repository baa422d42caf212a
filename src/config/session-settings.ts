import { days, minutes, seconds, type Duration } from '../common/duration.js';
import { isPositive, type OptionChecker } from './option-checker.js';

/** How long a session lives. */
export class SessionLifetimes {
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
}

/** How long a session lives, and how many a user may have. */
export class SessionSettings extends SessionLifetimes {
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

  /** The most sessions of one user; one more login ends the least recently used. Default 25. */
  maxPerUser: number = 25;

  /**
   * How long after a rotation without a login (`SessionService.rotate`) the old token still leads to the new one, for
   * tabs whose requests were in flight. Presented later it counts as stolen and ends the session. Default 30 seconds,
   * at most 5 minutes; 0 refuses it at once, which logs out a user with two tabs open.
   */
  rotationGrace: Duration = seconds(30);

  /**
   * "Remember me": the lifetimes of a login with `remember: true`, each with the same default as above. Every other
   * login then gets the lifetimes above and a cookie without Max-Age, which the browser forgets when it is closed.
   * Default `null`: all logins have the lifetimes above and a cookie that outlives the browser, whatever they ask for.
   */
  remembered: SessionLifetimes | null = null;
}

/** As in the options: `remembered` needs only what differs from the defaults. */
export interface SessionOptions extends Partial<Omit<SessionSettings, 'remembered'>> {
  remembered?: Partial<SessionLifetimes> | null;
}

/** The lifetimes of a session: `remembered` is what its login chose, missing if there was nothing to choose. */
export function lifetimesOf(
  { remembered = false }: { readonly remembered?: boolean | undefined },
  settings: Readonly<SessionSettings>,
): Readonly<SessionLifetimes> {
  return (remembered && settings.remembered) || settings;
}

export function checkSession(check: OptionChecker, written: SessionOptions | undefined): SessionSettings {
  const session = check.settings('session', new SessionSettings(), written as Partial<SessionSettings> | undefined);
  const { ttl, rotationGrace } = session;
  check.oneOf('session.scheme', session.scheme, ['database', 'signed-cookie']);
  check.oneOf('session.tokenFormat', session.tokenFormat, ['opaque', 'signed']);
  checkLifetimes(check, 'session', session);
  check.integer('session.maxPerUser', session.maxPerUser, 1, 10_000);
  if (session.remembered !== null) {
    session.remembered = check.settings('session.remembered', new SessionLifetimes(), session.remembered);
    checkLifetimes(check, 'session.remembered', session.remembered);
    Object.freeze(session.remembered);
  }
  // Signed cookies have no grace period, so for them the default may be longer than the ttl.
  const shortest = Math.min(ttl, session.remembered?.ttl ?? ttl);
  const outlives = session.scheme === 'database' && rotationGrace >= shortest;
  check.that(
    rotationGrace === 0 || (isPositive(rotationGrace) && !outlives && rotationGrace <= minutes(5)),
    'session.rotationGrace must be 0 (none) or shorter than session.ttl, at most minutes(5), for example seconds(30).',
  );
  return session;
}

function checkLifetimes(check: OptionChecker, name: string, lifetimes: SessionLifetimes): void {
  const { ttl, extendBelow, absoluteLifetime } = lifetimes;
  check.duration(`${name}.ttl`, ttl);
  check.that(
    extendBelow === 0 || (isPositive(extendBelow) && extendBelow < ttl),
    `${name}.extendBelow must be 0 (never extend) or shorter than ${name}.ttl, for example days(7).`,
  );
  check.duration(`${name}.absoluteLifetime`, absoluteLifetime);
  check.that(
    !(ttl > absoluteLifetime),
    `${name}.ttl is longer than ${name}.absoluteLifetime: shorten the one or lengthen the other.`,
  );
}
