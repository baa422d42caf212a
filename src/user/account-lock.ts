/**
 * The lock that opening and ending sessions of an account takes, for a transaction that goes on to do so, or to change the
 * account. It comes before the row of a token, a code or the account: two that took them in opposite orders would wait for
 * each other, and one of them would fail.
 */
export abstract class AccountLock {
  /**
   * Holds up everybody else who asks for it until the end of the `AuthTransaction` around this; without one it does
   * nothing.
   *
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  abstract hold(userId: string): Promise<void>;
}
