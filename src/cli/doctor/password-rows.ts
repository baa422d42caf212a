import type { AuthConfig } from '../../config/auth-config.js';
import { PASSWORD_LENGTH } from '../../user/password-hasher.js';
import type { Row } from './checklist-row.js';

/** How passwords are kept, and which ones an account may get where there is a flow that gives it one. */
export function passwordRows({ password, flows, baseUrl }: AuthConfig): Row[] {
  const rows: Row[] = [
    [
      'P1',
      'A11.4.2',
      'Password hashes',
      `argon2id, ${password.memoryCost} KiB, ${password.timeCost} passes`,
      password.memoryCost < 19_456 && password.timeCost < 3 && 'below the OWASP minimum',
    ],
    [
      'F33',
      'A6.2.1',
      'New passwords',
      `${password.minLength} characters, or 8 with a second factor; ${password.breachCheck ? 'none that have leaked' : 'no common ones'}`,
      password.minLength < 15 && 'a password that is the only factor needs 15 characters (NIST SP 800-63B-4 3.1.1.2)',
    ],
  ];
  const { registration, passwordReset, passwordChange } = flows;
  if (!registration && !passwordReset && !passwordChange) return rows;
  const words = [...(baseUrl === undefined ? [] : [new URL(baseUrl).hostname]), ...password.contextWords];
  return [
    ...rows,
    ['F33', 'A6.2.4', 'Common passwords', 'refused, and so are your address and site in them'],
    ['F33', 'A6.2.5', 'Rules of composition', 'none'],
    ['F34', 'A6.2.8', 'Passwords are compared', 'as they are typed, in Unicode NFC'],
    ['F33', 'A6.2.9', 'Longest password', `${PASSWORD_LENGTH.max} characters`],
    ['F39', 'A6.2.10', 'Passwords expire', `never; ${password.maxFailures} failures in a row disable one`],
    ['F33', 'A6.2.11', 'Words of the context', ['the account’s address', ...words].join(', ')],
    ['F33', 'A6.2.12', 'Leaked passwords', password.breachCheck ? 'refused' : 'not looked for (password.breachCheck)'],
  ];
}
