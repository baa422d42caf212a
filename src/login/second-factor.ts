import type { AuthUser } from '../user/user.directory.js';

/** What a proof is for: to complete a login, or to step up a session. */
export interface FactorOccasion {
  readonly purpose: 'second_factor' | 'step_up';
  /** The login or session, and no other: what a challenge is bound to. It authenticates nobody. */
  readonly boundTo: string;
}

/** Where a proof comes from. */
export interface FactorContext {
  /** The client's address, if known. */
  readonly ip: string | null;
  /** Missing at an enrolment. */
  readonly occasion?: FactorOccasion;
}

/** Where a request for what a proof needs comes from. */
export interface FactorRequest extends FactorContext {
  /** Gives back the quota, if it turns out after the answer that nothing was sent. */
  readonly refund: () => Promise<unknown>;
}

/**
 * Spends a response that is right, in one conditional statement: true for at most one of parallel calls. It is called in
 * the transaction that opens the session, so that after a fault the response can be used again. What it writes and then
 * returns false is committed.
 */
export interface FactorClaim {
  (): Promise<boolean>;
  /** The proof's name in `Session.amr`, if the response decides it. Default: the factor's `method`. */
  readonly proves?: string;
}

/**
 * Another way in which a user proves who they are, after the first: a code of an authenticator, a passkey, one of your
 * own. Give the classes to `AuthModule.forRoot({ secondFactors })`. A user who has one is asked for it after every first
 * factor, whichever that was: `LoginService` opens no session before.
 *
 * What it throws is a fault (503): nobody is logged in, and nothing is counted.
 *
 * @example
 * ```ts
 * @Injectable()
 * export class HardwareTokens extends SecondFactor {
 *   readonly method = 'hardware-token';
 *
 *   async isEnrolled(user: AuthUser): Promise<boolean> {
 *     return (await serialNumberOf(user.id)) !== null;
 *   }
 *
 *   async verify(user: AuthUser, response: string): Promise<boolean> {
 *     return claimCode(user.id, response); // one statement, so that a code counts once
 *   }
 * }
 * ```
 */
export abstract class SecondFactor {
  /** Its name in `Session.amr`, such as `totp`; `aalOf` says what it is worth. */
  abstract readonly method: string;

  /** Whether it only stands in for another factor, as backup codes do: a user who has no other has none. Default false. */
  readonly isFallback: boolean = false;

  /** Whether this user has it. Asked at every login, also within a transaction that holds a connection: be quick. */
  abstract isEnrolled(user: AuthUser): Promise<boolean>;

  /**
   * Whether this response proves it now. It must count once: of parallel calls with the same response at most one returns
   * true. Where that is a statement in the module's database, return it as a `FactorClaim` instead. Wrong ones are counted
   * by the caller, in `2fa_attempt`.
   */
  abstract verify(user: AuthUser, response: string, context: FactorContext): Promise<boolean | FactorClaim>;

  /** The client asks for what the user needs for the proof, such as a code by mail. Default: there is nothing to do. */
  async request(_user: AuthUser, _context: FactorRequest): Promise<void> {}

  /**
   * Takes from the user what was enrolled at `since` (epoch ms) or later, and leaves what is older: the owner of the
   * account takes back what a thief has done. True if there was something. Part of the transaction around it, if it is a
   * statement in the module's database. Default: nothing, false.
   */
  async removeSince(_user: AuthUser, _since: number): Promise<boolean> {
    return false;
  }

  /**
   * The user is about to choose a new password by a link that was mailed, and so has proved the mailbox. A factor that
   * proves nothing more, and that wrong responses have disabled, can be used again. Default: nothing.
   */
  async mailboxProved(_user: AuthUser): Promise<void> {}
}

/** The token by which the factors are injected: those of the flows, then the classes given to the module. */
export const SECOND_FACTORS = Symbol('nestjs-latchkey.second-factors');
