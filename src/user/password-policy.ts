import { AuthError } from '../auth.errors.js';
import { PASSWORD_LENGTH } from './password-hasher.js';

/** The password, if it may be the new one of an account. Throws `INVALID_INPUT`, which names `field`. */
export function checkedPassword(password: string, field = 'password'): string {
  const length = typeof password === 'string' ? [...password.normalize('NFC')].length : 0;
  if (length >= PASSWORD_LENGTH.min && length <= PASSWORD_LENGTH.max) return password;
  const expected = `must be ${PASSWORD_LENGTH.min} to ${PASSWORD_LENGTH.max} characters`;
  throw new AuthError('INVALID_INPUT', `${field} ${expected}.`, { fields: { [field]: expected } });
}
