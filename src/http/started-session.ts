import type { PendingLogin } from '../login/pending-logins.js';
import type { AuthUser } from '../user/user.directory.js';

/** A session that has just been opened. */
export interface StartedSession {
  readonly status: 'authenticated';
  readonly user: AuthUser;
  /** Epoch ms: when it is over, unless its use extends it. */
  readonly expiresAt: number;
}

/** A login of which a factor is still due; there is no session yet. The cookie that belongs to it has been set. */
export type DueSecondFactor = Omit<PendingLogin, 'challenge'>;

export function withoutChallenge({ challenge: _challenge, ...due }: PendingLogin): DueSecondFactor {
  return due;
}
