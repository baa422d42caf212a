import type { AddedSince } from '../login/ways-in.js';
import type { AuthUser } from '../user/user.directory.js';

/** An account at a provider, by which a user of ours logs in. Instants are epoch milliseconds. */
export interface StoredIdentity {
  /** Public name (UUID). It authenticates nobody. */
  readonly id: string;
  readonly userId: string;
  /** The id of the provider in `flows.oidc.providers`. */
  readonly provider: string;
  /** With `subject` the identity; at most 255 characters each. */
  readonly issuer: string;
  readonly subject: string;
  /** The address at the provider when it was last used, if the provider has verified it. It opens nothing. */
  readonly email: string | null;
  readonly linkedAt: number;
  readonly lastUsedAt: number | null;
}

/** A session here, and the one at the provider by which it was begun or stepped up. */
export interface ProviderSessionEntry {
  /** SHA-256 of the issuer and its name for the session (`sid`), as base64url. */
  readonly session: string;
  /** Of the session here; of a login that is not completed yet, a name that no session has. */
  readonly handle: string;
  /** Epoch ms. */
  readonly at: number;
}

/** Whose session at a provider has ended, by what the provider names. */
export interface EndedProviderSession {
  readonly issuer: string;
  readonly subject: string | null;
  /** As in `ProviderSessionEntry`. */
  readonly session: string | null;
}

/** An identity to be stored. */
export type NewIdentity = Omit<StoredIdentity, 'lastUsedAt'>;

/**
 * Where identities are stored: with the users, on PostgreSQL, whichever engine keeps the sessions. Each method is one
 * decision, atomic against every other in every process, and part of the `AuthTransaction` around it. A fault of the
 * storage is thrown and never answered with "missing".
 */
export abstract class IdentityStore {
  /** Whose this issuer and subject are. Compared as they are written, letter by letter. */
  abstract find(issuer: string, subject: string): Promise<StoredIdentity | null>;

  /** The user's identities, the oldest first. */
  abstract listByUser(userId: string): Promise<StoredIdentity[]>;

  /** Whether the user has one. */
  abstract hasAny(userId: string): Promise<boolean>;

  /**
   * Stores an identity unless its issuer and subject are stored already, whosever they are (`taken`), or the user has
   * another one of this provider (`full`). Of concurrent calls at most one adds.
   *
   * @throws {AuthError} `USER_NOT_FOUND` if there is no such user.
   */
  abstract add(identity: NewIdentity): Promise<'added' | 'taken' | 'full'>;

  /**
   * Records a login with it, and the address that the provider says now. False if it has been unlinked: an unlink waits
   * for the transaction around this, and then finds the session that it has opened.
   */
  abstract use(id: string, use: { readonly email: string | null; readonly now: number }): Promise<boolean>;

  /**
   * Locks the ways in which this user logs in until the end of the transaction around it, as `PasskeyStore` does: of
   * concurrent removals each sees what the one before has left.
   */
  abstract lockWaysIn(userId: string): Promise<void>;

  /** False if the user has no such identity. */
  abstract delete(userId: string, id: string): Promise<boolean>;

  /**
   * Records a session of this identity's user in place of the same entry, and forgets those that were recorded at `since`
   * (epoch ms) or before, and the oldest beyond `most`. Without effect if the user has no such identity.
   */
  abstract recordSession(
    identity: Pick<StoredIdentity, 'userId' | 'issuer' | 'subject'>,
    entry: ProviderSessionEntry,
    limits: { readonly since: number; readonly most: number },
  ): Promise<void>;

  /**
   * The users of the identities that this names: by the user's name there, or else by that of the session. With what was
   * recorded of each, at other providers too.
   */
  abstract sessionsOf(
    ended: EndedProviderSession,
  ): Promise<{ readonly userId: string; readonly entries: readonly ProviderSessionEntry[] }[]>;

  /**
   * Removes the user's identities that were linked at `since` (epoch ms) or later, and those with another address than
   * `email` that were linked at `foreignSince` or later. Returns their providers.
   */
  abstract removeSince(user: Pick<AuthUser, 'id' | 'email'>, added: AddedSince): Promise<string[]>;
}
