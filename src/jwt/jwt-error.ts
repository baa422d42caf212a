import { AuthError, type TokenErrorReason } from '../auth.errors.js';

/** Thrown for a token that is not valid; `reason` says why. It never contains the token or any part of it. */
export class TokenError extends AuthError<'INVALID_TOKEN'> {
  constructor(
    readonly reason: TokenErrorReason,
    message: string,
  ) {
    super('INVALID_TOKEN', message, { reason });
    this.name = 'TokenError';
  }
}
