import { Inject, Injectable } from '@nestjs/common';
import { asAuthError, AuthError } from '../auth.errors.js';
import { hasPassword } from '../user/has-password.js';
import { UserDirectory, type AuthUser } from '../user/user.directory.js';

/** How the user of a session proves again who they are. */
export interface StepUpWay {
  readonly method: string;
  /** With `oidc`: the providers at which that can be done. */
  readonly providers?: readonly string[];
}

/** From when on (epoch ms, inclusive) what was added is taken away. */
export interface AddedSince {
  readonly since: number;
  /** The same of what has another address than the account: not later than `since`. */
  readonly foreignSince: number;
}

/** A way in which users log in beside the password: what a flow offers in place of one. */
export abstract class WayIn {
  /** Whether this user can log in by it, also `without` the passkey or identity of this id. */
  abstract isOpenTo(user: AuthUser, without: string): Promise<boolean>;

  /** How the user of a session proves again who they are, if it can be done in this way. Default: it cannot. */
  async stepUpWay(_userId: string): Promise<StepUpWay | null> {
    return null;
  }

  /**
   * Takes from the user what was added since, and tells of it: the owner of the account takes back what a thief has done.
   * Part of the transaction around it. Default: nothing.
   */
  async removeSince(_user: AuthUser, _added: AddedSince): Promise<void> {}
}

/** The token by which the ways in of the flows are injected. */
export const WAYS_IN = Symbol('nestjs-latchkey.ways-in');

/** All ways in which a user can log in: the password, and those of the flows. */
@Injectable()
export class WaysIn {
  constructor(
    @Inject(WAYS_IN) private readonly ways: readonly WayIn[],
    private readonly users: UserDirectory,
  ) {}

  /**
   * Before the passkey or identity `without` is removed, with the ways in locked, in the transaction of the removal: of
   * concurrent removals each sees what the one before has left.
   *
   * @throws {AuthError} `LAST_LOGIN_METHOD` if nobody could log in to the account any more.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async demandOther(user: AuthUser, without: string): Promise<void> {
    if (await hasPassword(this.users, user.id)) return;
    for (const way of this.ways) if (await answered(way.isOpenTo(user, without))) return;
    const message = 'Without it nobody could log in to the account: let its user choose a password first.';
    throw new AuthError('LAST_LOGIN_METHOD', message, {});
  }

  /**
   * Takes from the user what was added since, as part of the transaction around it.
   *
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async removeSince(user: AuthUser, added: AddedSince): Promise<void> {
    for (const way of this.ways) await answered(way.removeSince(user, added));
  }
}

async function answered<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    throw asAuthError(error, 'A way to log in');
  }
}
