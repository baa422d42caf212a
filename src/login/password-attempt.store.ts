/** How many failures in a row an account's password may have. */
export interface PasswordAttemptLimits {
  /** In all. */
  readonly limit: number;
  /** The part of them that only known places may use, once there is one. */
  readonly reserved: number;
}

/** Where an attempt comes from. */
export interface AttemptPlace {
  /** The digests of the client's address, one for each secret, the current one first; empty if it is unknown. */
  readonly digests: readonly string[];
  /** Whether the client has proved to be a device on which the login name was used before. */
  readonly isKnownDevice: boolean;
}

/** The attempt as it was counted. */
export interface CountedAttempt {
  /** Whether the password may be compared. If not, the limit for this place is reached, and nothing was counted. */
  readonly isJudged: boolean;
  /** The failures in a row, with this attempt. */
  readonly failures: number;
  /** How many this place may use. */
  readonly limit: number;
}

/**
 * Consecutive failures of passwords, by subject: the id of an account, or one of a fixed number of names that stand for
 * all logins without one. Every implementation guarantees:
 *
 * - `count` is one decision, atomic against every other in every process: of however many attempts at once, no more than
 *   the limit are judged before a `reset`.
 * - It costs the same, a write included, whether the attempt is judged or not.
 * - All of it is independent of any transaction around it. A fault is thrown, and then nothing is known.
 * - A new password forgets the account's failures and places, if passwords are stored here.
 */
export abstract class PasswordAttemptStore {
  /** Counts an attempt as a failure before it is judged, unless the limit for its place is reached. */
  abstract count(subject: string, place: AttemptPlace, limits: PasswordAttemptLimits): Promise<CountedAttempt>;

  /** Takes a counted attempt back: it could not be judged. */
  abstract refund(subject: string): Promise<void>;

  /** The password was right: no failures, and its place is known from now on; the latest ten are kept. */
  abstract reset(subject: string, place: AttemptPlace): Promise<void>;

  /** Forgets the account's failures and places. False if there were none. */
  abstract forget(subject: string): Promise<boolean>;
}
