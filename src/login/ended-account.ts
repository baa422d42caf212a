import { AuthError, isAuthError } from '../auth.errors.js';

/**
 * The error of work for somebody who is logged in. That the account was deleted meanwhile is the end of their session,
 * `UNAUTHENTICATED`, and not the `USER_NOT_FOUND` of whoever has named an account. Any other error stays.
 */
export function asEndedAccount(error: unknown): unknown {
  if (!isAuthError(error, 'USER_NOT_FOUND')) return error;
  return new AuthError('UNAUTHENTICATED', 'The account was deleted meanwhile.', {}, { cause: error });
}
