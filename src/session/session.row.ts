import type { Duration } from '../common/duration.js';
import { fromEpochSeconds } from '../database/epoch-seconds.js';
import type { Session, StoredSession } from './session.js';

/** What the statements on `sessions` answer; instants in epoch seconds. */
export interface SessionRow {
  id: string;
  handle: string;
  user_id: string;
  ip: string | null;
  user_agent: string | null;
  created_at: number;
  expires_at: number;
  absolute_expires_at: number | null;
  authenticated_at: number | null;
  last_seen_at: number | null;
}

export interface RotationRow {
  rotated_at: number | null;
  successor: string | null;
}

export interface SessionWithUserRow extends SessionRow {
  email: string;
  disabled_at: number | null;
  tokens_invalidated_after: number | null;
}

/** What is null was written by another program: see `SessionEntity`. */
export function sessionOf(row: SessionRow, absoluteLifetime: Duration): Session {
  const createdAt = fromEpochSeconds(row.created_at);
  const absoluteExpiresAt =
    row.absolute_expires_at === null ? createdAt + absoluteLifetime : fromEpochSeconds(row.absolute_expires_at);
  return {
    id: row.id,
    handle: row.handle,
    userId: row.user_id,
    createdAt,
    expiresAt: Math.min(fromEpochSeconds(row.expires_at), absoluteExpiresAt),
    absoluteExpiresAt,
    authenticatedAt: row.authenticated_at === null ? createdAt : fromEpochSeconds(row.authenticated_at),
    lastSeenAt: row.last_seen_at === null ? createdAt : fromEpochSeconds(row.last_seen_at),
    ip: row.ip,
    userAgent: row.user_agent,
  };
}

export function rotationOf({ rotated_at: at, successor }: RotationRow): StoredSession['rotated'] {
  return at === null ? null : { at: fromEpochSeconds(at), successor };
}
