/** What is known of a passkey. Instants are epoch milliseconds. */
export interface StoredPasskey {
  /** Public name. It authenticates nobody. */
  readonly id: string;
  readonly userId: string;
  /** 64 random bytes as base64url, the same for all passkeys of a user. */
  readonly userHandle: string;
  /** The authenticator's name of the key, as base64url. */
  readonly credentialId: string;
  /** A COSE key (RFC 9052). */
  readonly publicKey: Uint8Array;
  readonly signCount: number;
  /** The model of the authenticator, or `null`. */
  readonly aaguid: string | null;
  readonly transports: readonly string[];
  /** Whether it can be synced to other devices. */
  readonly multiDevice: boolean;
  /** Whether it has been synced, when it was last used. */
  readonly backedUp: boolean;
  readonly name: string;
  readonly createdAt: number;
  readonly lastUsedAt: number | null;
  readonly cloneSuspectedAt: number | null;
}

/** A passkey to be stored. */
export type NewPasskey = Omit<StoredPasskey, 'lastUsedAt' | 'cloneSuspectedAt'>;

/** What an authenticator says with a proof, whose signature has been verified. */
export interface PasskeyUse {
  readonly signCount: number;
  readonly backedUp: boolean;
  /** Epoch ms. */
  readonly now: number;
}

/**
 * Where passkeys are stored: with the users, on PostgreSQL, whichever engine keeps the sessions. Each method is one
 * decision, atomic against every other in every process, and part of the `AuthTransaction` around it. A fault of the
 * storage is thrown and never answered with "missing".
 */
export abstract class PasskeyStore {
  /**
   * Stores a passkey unless the user has `max` of them (`full`), or its credential id is stored already, whosever it is,
   * or the user's other passkeys have another user handle (`refused`).
   *
   * @throws {AuthError} `USER_NOT_FOUND` if there is no such user.
   */
  abstract add(passkey: NewPasskey, max: number): Promise<'added' | 'full' | 'refused'>;

  /** The user's passkeys, the oldest first. */
  abstract listByUser(userId: string): Promise<StoredPasskey[]>;

  /** Whether the user has one. */
  abstract hasAny(userId: string): Promise<boolean>;

  abstract findByCredential(credentialId: string): Promise<StoredPasskey | null>;

  /**
   * Records a use if its count is above the stored one, or both are 0, as of an authenticator that does not count. False
   * if it is not, with nothing recorded, or the passkey has been removed: of concurrent calls with one count above 0 at
   * most one returns true.
   */
  abstract use(id: string, use: PasskeyUse): Promise<boolean>;

  /** Notes when a copy of the passkey was suspected. False if it has been removed. */
  abstract suspect(id: string, now: number): Promise<boolean>;

  /** False if the user has no such passkey. */
  abstract rename(userId: string, id: string, name: string): Promise<boolean>;

  /**
   * Locks the ways in which this user logs in until the end of the transaction around it: of concurrent removals each
   * sees what the one before has left.
   */
  abstract lockWaysIn(userId: string): Promise<void>;

  /** False if the user has no such passkey. */
  abstract delete(userId: string, id: string): Promise<boolean>;

  /** Removes the user's passkeys that were added at `since` or later; false if there were none. */
  abstract removeSince(userId: string, since: number): Promise<boolean>;
}
