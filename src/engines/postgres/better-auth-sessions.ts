import type { LegacyCookie, LegacySession, LegacySessionSource } from '../../config/legacy-session-settings.js';
import { betterAuthToken } from '../../legacy-session/legacy-cookies.js';
import { legacyKeys } from '../../legacy-session/signed-text.js';
import { epochSeconds, fromEpochSeconds, instant, toEpochSeconds } from '../../postgres/epoch-seconds.js';
import { quotedTable } from '../../schema/schema-names.js';

export interface BetterAuthSessionsOptions {
  /** The `secret` of better-auth (`BETTER_AUTH_SECRET`); a list, if it was changed. */
  readonly secret: string | readonly string[];
  /** Its table of sessions, also with its schema: `old.session`. Default `session`. */
  readonly table?: string;
  /**
   * Default: `better-auth.session_token` and `__Secure-better-auth.session_token`, at `/` and without a domain. With
   * `advanced.cookiePrefix` or `crossSubDomainCookies` name the cookie as it is.
   */
  readonly cookies?: readonly LegacyCookie[];
}

const COOKIES: readonly LegacyCookie[] = [
  { name: '__Secure-better-auth.session_token' },
  { name: 'better-auth.session_token' },
];

/**
 * The sessions of better-auth with its built-in PostgreSQL adapter, in the module's database, which may read its table
 * and delete from it. Sessions in a secondary storage only are not found.
 *
 * @throws {TypeError} if there is no secret.
 *
 * @example
 * ```ts
 * const sources = [betterAuthSessions({ secret: process.env['BETTER_AUTH_SECRET']! })];
 * AuthModule.forRoot({ secrets, legacySessions: { sources, until: new Date('2027-01-31') } });
 * ```
 */
export function betterAuthSessions({
  secret,
  table: name = 'session',
  cookies = COOKIES,
}: BetterAuthSessionsOptions): LegacySessionSource {
  const keys = legacyKeys('betterAuthSessions', secret);
  const table = quotedTable(name);
  // An administrator who looks at the application as somebody else has not logged in as them.
  const live = `token = $1 AND "expiresAt" > ${instant('$2')} AND pg_catalog.to_jsonb(s) ->> 'impersonatedBy' IS NULL`;
  return {
    name: 'better-auth',
    cookies,
    async find(value, { now, query }): Promise<LegacySession | null> {
      const token = betterAuthToken(value, keys);
      if (token === null) return null;
      const text = `SELECT "userId"::text AS user_id, ${epochSeconds('"createdAt"::timestamptz')} AS created_at
        FROM ${table} s WHERE ${live}`;
      const [row] = await query<{ user_id: string; created_at: number }>(text, [token, toEpochSeconds(now)]);
      return row ? { userId: row.user_id, authenticatedAt: fromEpochSeconds(row.created_at) } : null;
    },
    async consume(value, { now, query }): Promise<boolean> {
      const token = betterAuthToken(value, keys);
      if (token === null) return false;
      return (await query(`DELETE FROM ${table} s WHERE ${live} RETURNING 1`, [token, toEpochSeconds(now)])).length > 0;
    },
    async check({ query }) {
      await query(`DELETE FROM ${table} WHERE false RETURNING token, "userId", "createdAt", "expiresAt"`, []);
    },
  };
}
