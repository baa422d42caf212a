/**
 * Who is mailed a code as the second step, by the id of the account, and how many wrong ones in a row there were. Every
 * implementation guarantees:
 *
 * - Each method is one decision, atomic against every other in every process.
 * - `count`, `refund` and `reset` are independent of any transaction around them; the others are part of it.
 * - A fault is thrown, and never an answer.
 */
export abstract class EmailFactorStore {
  abstract isEnabled(userId: string): Promise<boolean>;

  /** True for exactly one of parallel calls; false if it is on already. */
  abstract enable(userId: string, at: number): Promise<boolean>;

  /** True for exactly one of parallel calls; false if it is not on. */
  abstract disable(userId: string): Promise<boolean>;

  /** As `disable`, if it was enabled at `since` or later. */
  abstract removeSince(userId: string, since: number): Promise<boolean>;

  /** Counts a try before it is judged, and returns the failures in a row with it; `null` if there were `limit` before. */
  abstract count(userId: string, limit: number): Promise<number | null>;

  /** Takes a counted try back: it could not be judged. */
  abstract refund(userId: string): Promise<void>;

  /** A code was right: there are no failures in a row. */
  abstract reset(userId: string): Promise<void>;
}
