/** A backup code as it is stored. */
export interface StoredBackupCode {
  /** Its first three characters, by which it is found. */
  readonly selector: string;
  /** The argon2id hash of the other thirteen. */
  readonly hash: string;
}

/** The backup codes of users. Each method is one statement or transaction, and a fault of the storage is thrown. */
export abstract class BackupCodeStore {
  /** The hash of this user's unused code, or `null`. */
  abstract findHash(userId: string, selector: string): Promise<string | null>;

  /** Counts the code as used. True for exactly one of concurrent calls; false if the codes were replaced meanwhile. */
  abstract claim(userId: string, code: StoredBackupCode, now: number): Promise<boolean>;

  /** How many are unused. */
  abstract countUnused(userId: string): Promise<number>;

  /** Sets the codes of this user in place of those before, used or not; none for an empty list. */
  abstract replace(userId: string, codes: readonly StoredBackupCode[], now: number): Promise<void>;

  /** Removes those that were made at `since` or later, used or not; false if there were none. */
  abstract removeSince(userId: string, since: number): Promise<boolean>;
}
