import type { Instant } from '../common/instant.js';
import { isRecord, type OptionChecker } from './option-checker.js';

/** A session of the system that the application moves in from. */
export interface LegacySession {
  /** The account's id, as that system has it. */
  readonly userId: string;
  /** Epoch ms: when the user logged in there; `null` if that system does not say. */
  readonly authenticatedAt: Instant | null;
  /**
   * Whether that instant may be of a mere renewal, as the `iat` of a JWT is where there are refresh tokens: then it does
   * not make the session a fresh one. Default false.
   */
  readonly isRenewal?: boolean;
}

/** What a source may use. */
export interface LegacySessionContext {
  /** Epoch ms. */
  readonly now: Instant;
  /** Until when old sessions are accepted at all; epoch ms. */
  readonly until: Instant;
  /** Runs one statement on the module's database, and in its transaction. A fault is thrown. */
  readonly query: <Row>(text: string, values: unknown[]) => Promise<readonly Row[]>;
  /**
   * Remembers this key (1 to 64 characters) until `expiresAt` (epoch ms): for what has no row to delete. Of any number
   * of concurrent callers, in any number of processes, exactly one gets true.
   */
  readonly spend: (key: string, expiresAt: Instant) => Promise<boolean>;
}

/** A cookie of the old system. Domain and path are those with which it was set, or a browser does not clear it. */
export interface LegacyCookie {
  readonly name: string;
  readonly domain?: string;
  readonly path?: string;
}

/**
 * Where old sessions come from. Ready-made ones are `expressSessions`, `betterAuthSessions` and `passportJwt`; for
 * another system implement it.
 *
 * A credential that is malformed, tampered with, expired, unknown or spent is `null` or false; a fault is thrown, and
 * the client keeps it. Methods may be called concurrently.
 */
export interface LegacySessionSource {
  /** For events and metrics, such as `express-session`: 1 to 40 of a-z, 0-9 and `-`. */
  readonly name: string;
  /** The cookies that may have the credential. None: it is a bearer token, see `HttpSessions.exchangeToken`. */
  readonly cookies: readonly LegacyCookie[];
  /** Verifies the signature in constant time, and looks the session up. Changes nothing. */
  find(credential: string, context: LegacySessionContext): Promise<LegacySession | null>;
  /**
   * Ends the session there, in one conditional statement: of concurrent calls exactly one returns true. It is part of
   * the transaction that opens the new session.
   */
  consume(credential: string, context: LegacySessionContext): Promise<boolean>;
  /** Called at boot: throws if the source cannot work, such as for want of its table. */
  check?(context: LegacySessionContext): Promise<void>;
}

/** Accepts the sessions of another system once each, so that nobody has to log in again. */
export interface LegacySessionSettings {
  readonly sources: readonly LegacySessionSource[];
  /** When that ends: at most 400 days ahead. Until then the old secret counts, so make it the date of the last session. */
  readonly until: Date;
}

interface Surroundings {
  readonly cookieName: string;
  readonly hasSignedCookies: boolean;
  readonly hasJwtSessions: boolean;
  readonly lacks: (operation: string) => boolean;
}

export function checkLegacySessions(
  check: OptionChecker,
  written: LegacySessionSettings | undefined,
  { cookieName, hasSignedCookies, hasJwtSessions, lacks }: Surroundings,
): Readonly<LegacySessionSettings> | undefined {
  if (written === undefined) return undefined;
  check.keys('legacySessions.', written, ['sources', 'until']);
  if (!isRecord(written)) return undefined;
  const { sources, until } = written as Partial<LegacySessionSettings>;
  const areSources = isSourceList(sources);
  check.that(
    areSources,
    'legacySessions.sources must be a list such as [expressSessions({ secret }), betterAuthSessions({ secret })].',
  );
  check.that(
    until instanceof Date && Number.isFinite(until.getTime()),
    "legacySessions.until must be a date such as new Date('2027-01-31'): when the old sessions are accepted no longer.",
  );
  check.that(
    !hasSignedCookies,
    "legacySessions needs session.scheme 'database': a signed cookie counts as a login of today, which these are not.",
  );
  check.that(
    !lacks('invalidateTokens'),
    'legacySessions needs UserDirectory.invalidateTokens(), or "sign out everywhere" would not reach the sessions that are ' +
      'still to come: override it.',
  );
  if (!areSources) return undefined;
  check.that(
    !sources.some(({ cookies }) => cookies.some(({ name }) => name === cookieName)),
    `legacySessions: the old cookie is called '${cookieName}' like ours: give ours another cookie.name.`,
  );
  check.that(
    !hasJwtSessions || sources.every(({ cookies }) => cookies.length > 0),
    'legacySessions: an old bearer token is exchanged for a stored session, so it needs jwt.sessions: false.',
  );
  return Object.freeze({ sources: Object.freeze([...sources]), until: new Date(until ?? Number.NaN) });
}

function isSourceList(value: unknown): value is readonly LegacySessionSource[] {
  return Array.isArray(value) && value.length > 0 && value.every(isSource);
}

function isSource(value: unknown): boolean {
  const { name, cookies, find, consume } = Object(value) as Partial<LegacySessionSource>;
  return (
    typeof name === 'string' &&
    /^[a-z0-9-]{1,40}$/.test(name) &&
    Array.isArray(cookies) &&
    typeof find === 'function' &&
    typeof consume === 'function'
  );
}
