import type { Clock } from '../../common/clock.js';
import type { Duration } from '../../common/duration.js';
import { fromEpochSeconds, readInstants, toEpochSeconds } from '../../postgres/epoch-seconds.js';
import type { StoredSessionData } from '../../session/session-data.js';
import type { Session, StoredSession } from '../../session/session.js';
import type { NewSession } from '../../session/session.store.js';
import type { UserColumns } from './user-columns.js';

/** A row of the statements on `sessions`. */
export interface SessionRow {
  id: string;
  handle: string;
  user_id: string;
  ip: string | null;
  user_agent: string | null;
  successor: string | null;
  remembered: boolean | null;
  data: StoredSessionData | null;
  /**
   * In order: created, expires, absolute expiry, authenticated, last seen, rotated, and how long ago by the database's
   * clock; then aal and amr, with spaces between.
   */
  facts: string;
}

export type SessionWithUserRow = SessionRow & UserColumns;

/**
 * A rotation is told by the reader's clock: another process, whose clock may differ, has written it. Nulls come from rows
 * of another program: see `SessionEntity`.
 */
export function sessionOf(row: SessionRow, absoluteLifetime: Duration, clock: Clock): Omit<StoredSession, 'user'> {
  const end = row.facts.indexOf('}') + 1;
  const [created, expires, absoluteEnd, authenticated, lastSeen, rotated, rotatedFor] = readInstants(
    row.facts.slice(0, end),
  );
  const methods = row.facts.slice(end + 2);
  const createdAt = created!;
  const absoluteExpiresAt = absoluteEnd ?? createdAt + absoluteLifetime;
  return {
    session: {
      id: row.id,
      handle: row.handle,
      userId: row.user_id,
      createdAt,
      expiresAt: Math.min(expires!, absoluteExpiresAt),
      absoluteExpiresAt,
      authenticatedAt: authenticated ?? createdAt,
      aal: row.facts[end] === '2' ? 2 : 1,
      amr: methods === '' ? [] : methods.split(' '),
      lastSeenAt: lastSeen ?? createdAt,
      ip: row.ip,
      userAgent: row.user_agent,
      ...(row.remembered === null ? {} : { remembered: row.remembered }),
      data: row.data ?? {},
    },
    rotated:
      rotated == null
        ? null
        : { at: clock.isWallClock ? clock.now() - rotatedFor! : rotated, successor: row.successor },
  };
}

/**
 * The session as it is stored: what the caller gave, and what the database decided (handle, authentication, user id).
 */
export function addedSession(added: string, given: NewSession, authenticatedAt: number): Session {
  const [handle, authenticated] = added.split(' ', 2) as [string, string];
  const createdAt = asStored(given.now);
  const absoluteExpiresAt = asStored(authenticatedAt + given.absoluteLifetime);
  return {
    id: given.id,
    handle,
    userId: added.slice(handle.length + authenticated.length + 2),
    createdAt,
    expiresAt: Math.min(asStored(given.now + given.ttl), absoluteExpiresAt),
    absoluteExpiresAt,
    authenticatedAt: fromEpochSeconds(Number(authenticated)),
    aal: given.aal ?? 1,
    amr: given.amr ?? [],
    lastSeenAt: createdAt,
    ip: wellFormed(given.ip),
    userAgent: wellFormed(given.userAgent),
    ...(given.remembered === undefined ? {} : { remembered: given.remembered }),
    data: {},
  };
}

/** Rounded to PostgreSQL's microsecond. */
const asStored = (milliseconds: number): number => fromEpochSeconds(toEpochSeconds(milliseconds));
/** Lone surrogates are stored as U+FFFD. */
const wellFormed = (text: string | null): string | null => text && Buffer.from(text).toString();
