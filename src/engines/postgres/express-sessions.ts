import type { LegacyCookie, LegacySession, LegacySessionSource } from '../../config/legacy-session-settings.js';
import { expressSessionId } from '../../legacy-session/legacy-cookies.js';
import { legacyKeys } from '../../legacy-session/signed-text.js';
import { instant, toEpochSeconds } from '../../postgres/epoch-seconds.js';
import { quotedTable } from '../../schema/schema-names.js';

/** What express-session has stored, such as `{ cookie, passport: { user } }`. */
export type ExpressSessionData = Readonly<Record<string, unknown>>;

export interface ExpressSessionsOptions {
  /** The `secret` of express-session; a list, if it has one. */
  readonly secret: string | readonly string[];
  /** The account's id in a session, or nothing if nobody is logged in. Default: `passport.user`. */
  readonly userId?: (session: ExpressSessionData) => string | number | null | undefined;
  /**
   * Epoch ms: when the user logged in, if the application has noted it. Default: not known, see the page "Moving in".
   */
  readonly authenticatedAt?: (session: ExpressSessionData) => number | null | undefined;
  /** The table of connect-pg-simple, also with its schema: `old.session`. Default `session`. */
  readonly table?: string;
  /** Default: `connect.sid` at `/`, without a domain. */
  readonly cookie?: Partial<LegacyCookie>;
}

/**
 * The sessions of express-session in the table of connect-pg-simple, in the module's database, which may read it and
 * delete from it.
 *
 * @throws {TypeError} if there is no secret.
 *
 * @example
 * ```ts
 * const sources = [
 *   expressSessions({ secret: process.env['SESSION_SECRET']!, userId: (session) => session['userId'] as string }),
 * ];
 * AuthModule.forRoot({ secrets, legacySessions: { sources, until: new Date('2027-01-31') } });
 * ```
 */
export function expressSessions({
  secret,
  userId = (session) => (session['passport'] as { user?: string } | undefined)?.user,
  authenticatedAt = () => null,
  table: name = 'session',
  cookie,
}: ExpressSessionsOptions): LegacySessionSource {
  const keys = legacyKeys('expressSessions', secret);
  const table = quotedTable(name);
  // The column has no time zone: it is compared as connect-pg-simple compares it.
  const live = `sid = $1 AND expire > ${instant('$2')}`;
  return {
    name: 'express-session',
    cookies: [{ name: 'connect.sid', ...cookie }],
    async find(value, { now, query }): Promise<LegacySession | null> {
      const sid = expressSessionId(value, keys);
      if (sid === null) return null;
      const text = `SELECT sess::text AS sess FROM ${table} WHERE ${live}`;
      const [row] = await query<{ sess: string }>(text, [sid, toEpochSeconds(now)]);
      if (!row) return null;
      const session = JSON.parse(row.sess) as ExpressSessionData;
      const id = userId(session) ?? null;
      return id === null ? null : { userId: String(id), authenticatedAt: authenticatedAt(session) ?? null };
    },
    async consume(value, { now, query }): Promise<boolean> {
      const sid = expressSessionId(value, keys);
      if (sid === null) return false;
      return (await query(`DELETE FROM ${table} WHERE ${live} RETURNING 1`, [sid, toEpochSeconds(now)])).length > 0;
    },
    async check({ query }) {
      await query(`DELETE FROM ${table} WHERE false RETURNING sid, sess, expire`, []);
    },
  };
}
