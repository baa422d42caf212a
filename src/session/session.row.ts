import type { Duration } from '../common/duration.js';
import { readInstants } from '../database/epoch-seconds.js';
import type { AuthUser } from '../user/user.directory.js';
import type { StoredSession } from './session.js';

/** What the statements on `sessions` answer. */
export interface SessionRow {
  id: string;
  handle: string;
  user_id: string;
  ip: string | null;
  user_agent: string | null;
  successor: string | null;
  /** Created, expires, absolute end, authenticated, last seen, rotated. */
  instants: string;
}

export interface SessionWithUserRow extends SessionRow {
  email: string;
  /** Disabled, tokens invalidated after. */
  user_instants: string;
}

/** What is null was written by another program: see `SessionEntity`. */
export function sessionOf(row: SessionRow, absoluteLifetime: Duration): Omit<StoredSession, 'user'> {
  const [created, expires, absoluteEnd, authenticated, lastSeen, rotatedAt] = readInstants(row.instants);
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
      lastSeenAt: lastSeen ?? createdAt,
      ip: row.ip,
      userAgent: row.user_agent,
    },
    rotated: rotatedAt == null ? null : { at: rotatedAt, successor: row.successor },
  };
}

export function userOfRow({ user_id: id, email, user_instants }: SessionWithUserRow): AuthUser {
  const [disabledAt, tokensInvalidatedAfter] = readInstants(user_instants);
  return { id, email, disabledAt: disabledAt!, tokensInvalidatedAfter: tokensInvalidatedAfter! };
}
