import { AuthError, type TokenFault } from '../auth.errors.js';

/** Thrown for a token that proves nothing; `reason` says why. It never carries the token, nor any part of it. */
export class TokenError extends AuthError<'INVALID_TOKEN'> {
  constructor(
    readonly reason: TokenFault,
    message: string,
  ) {
    super('INVALID_TOKEN', message, { reason });
    this.name = 'TokenError';
  }
}
