/** A confirmed secret. */
export interface StoredTotp {
  /** Sealed for its user. */
  readonly secret: string;
  /** Whether too many wrong codes in a row have disabled it. */
  readonly isDisabled: boolean;
}

/**
 * The secrets of authenticator apps that a code has proved, one a user. Each method is one statement, and a fault of the
 * storage is thrown.
 */
export abstract class TotpStore {
  abstract find(userId: string): Promise<StoredTotp | null>;

  /**
   * Counts the code of this step as used, and forgets the wrong ones before it. True for exactly one of concurrent calls
   * with one step, and for none with an earlier one; false too if the secret is another by now, or disabled.
   */
  abstract claim(userId: string, secret: string, step: number): Promise<boolean>;

  /**
   * Counts a wrong code, whatever becomes of the transaction around it. At the `limit`-th in a row the secret is disabled;
   * returns true for the call that did it.
   */
  abstract fail(userId: string, secret: string, limit: number, now: number): Promise<boolean>;

  /**
   * Sets the user's secret in place of the one before; `step` counts as used. False, with nothing changed, if it was to be
   * the first and there is one.
   */
  abstract put(userId: string, secret: string, step: number, at: { isFirst: boolean; now: number }): Promise<boolean>;

  /** Makes a disabled secret usable again. */
  abstract enable(userId: string): Promise<void>;

  /** False if there was none. */
  abstract remove(userId: string): Promise<boolean>;

  /** Removes a secret that was proved at `since` or later; false if there was none. */
  abstract removeSince(userId: string, since: number): Promise<boolean>;
}
