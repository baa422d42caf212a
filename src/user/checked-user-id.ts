import { AuthError } from '../auth.errors.js';

/**
 * The id, if it can be one: a text that is not empty. Anything else comes from a mistake in the code, such as a field
 * that is spelled wrongly, and must not be taken for a user without sessions.
 *
 * @throws {AuthError} `INVALID_INPUT` for everything else.
 */
export function checkedUserId(userId: string): string {
  if (typeof userId === 'string' && userId !== '') return userId;
  const given = userId === '' ? "''" : userId === null ? 'null' : typeof userId;
  const remedy = typeof userId === 'number' ? 'pass it as String(id)' : 'pass the id of an account, such as user.id';
  throw new AuthError('INVALID_INPUT', `The user's id must be a string that is not empty, not ${given}: ${remedy}.`, {
    fields: { userId: 'must be a string that is not empty' },
  });
}
