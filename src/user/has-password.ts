import { asAuthError, isAuthError } from '../auth.errors.js';
import { NO_PASSWORD, type UserDirectory } from './user.directory.js';

/**
 * Whether this account has a password.
 *
 * @throws {AuthError} `STORE_UNAVAILABLE` if the directory did not answer.
 */
export async function hasPassword(users: UserDirectory, userId: string): Promise<boolean> {
  try {
    const hash = await users.findPasswordHash(userId);
    return hash !== null && hash !== NO_PASSWORD;
  } catch (error) {
    // A directory that tells no hashes verifies passwords all the same.
    if (isAuthError(error, 'UNSUPPORTED')) return true;
    throw asAuthError(error, 'The user directory');
  }
}
