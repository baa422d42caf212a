import type { AuthUser } from '../user/user.directory.js';

/** Where a proof comes from. */
export interface FactorContext {
  /** The client's address, if known. */
  readonly ip: string | null;
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

  /** Whether this user has it. Asked at every login, also within a transaction that holds a connection: be quick. */
  abstract isEnrolled(user: AuthUser): Promise<boolean>;

  /**
   * Whether this response proves it now. It must count once: of parallel calls with the same response at most one returns
   * true. Wrong ones are counted by the caller, in `2fa_attempt`.
   */
  abstract verify(user: AuthUser, response: string, context: FactorContext): Promise<boolean>;

  /** The client asks for what the user needs for the proof, such as a code by mail. Default: there is nothing to do. */
  async request(_user: AuthUser, _context: FactorContext): Promise<void> {}
}

/** The token by which the classes given to the module are injected. */
export const SECOND_FACTORS = Symbol('nestjs-latchkey.second-factors');
