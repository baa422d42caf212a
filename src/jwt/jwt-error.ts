import { AuthError, type TokenErrorReason } from '../auth.errors.js';

/**
 * Thrown for a JWT that is not valid; `reason` says why, for the log and for the text on a page. It never contains the
 * token or any part of it.
 *
 * @example
 * ```ts
 * try {
 *   codec.decode(token, { purpose: 'email_change' });
 * } catch (error) {
 *   if (error instanceof TokenError && error.reason === 'expired') return 'This link has expired.';
 *   throw error;
 * }
 * ```
 */
export class TokenError extends AuthError<'INVALID_TOKEN'> {
  constructor(
    readonly reason: TokenErrorReason,
    message: string,
  ) {
    super('INVALID_TOKEN', message, { reason });
    this.name = 'TokenError';
  }
}
