import { z } from 'zod';
import { METHOD } from '../login/assurance.js';
import { checkedEmail } from '../user/email-address.js';
import { INVISIBLE, MAX_LOGIN_LENGTH, normalizeLogin } from '../user/login-name.js';
import { PASSWORD_LENGTH, passwordLength } from '../user/password-hasher.js';

// The fields that the bodies of our routes are made of.

const LOGIN = `must be a string of 1 to ${MAX_LOGIN_LENGTH} characters, none of them invisible`;
const EMAIL = `must be one e-mail address of at most ${MAX_LOGIN_LENGTH} characters`;
export const PASSWORD = `must be a string of 1 to ${PASSWORD_LENGTH.max} characters`;
const NEW_PASSWORD = 'must be a string';
const TOKEN = 'must be the token from the link';
/** More than any address in any spelling: what is longer costs no normalization. */
const MAX_TYPED = 4 * MAX_LOGIN_LENGTH;

/** The name of an account, in any spelling; becomes that of `normalizeLogin`. */
export const loginField = z
  .string(LOGIN)
  .max(MAX_TYPED, LOGIN)
  .transform(normalizeLogin)
  .refine((login) => login !== '' && [...login].length <= MAX_LOGIN_LENGTH && !INVISIBLE.test(login), LOGIN)
  .describe(`The address or name that the account logs in with, in any spelling. It ${LOGIN}.`);

/** The mailbox of a new account, or the new one of an account; becomes the spelling of `checkedEmail`. */
export const emailField = z
  .string(EMAIL)
  .max(MAX_TYPED, EMAIL)
  .transform((email, context) => {
    const checked = checkedEmail(email);
    if (checked !== null) return checked;
    context.addIssue({ code: 'custom', message: EMAIL });
    return z.NEVER;
  })
  .describe(`The e-mail address. It ${EMAIL}.`);

/** The method of a factor, spelled as in `Session.amr`. */
export const methodField = (what: string) => z.string(what).regex(METHOD, what);

/**
 * A password as it is typed to be compared: one that is too short for a new account may still be an old account's, so the
 * only lower bound is one character; the upper bound keeps megabytes away from the hash.
 */
export const passwordField = (what: string) =>
  z
    .string(PASSWORD)
    .min(1, PASSWORD)
    .refine((password) => passwordLength(password) <= PASSWORD_LENGTH.max, PASSWORD)
    .describe(`${what} It ${PASSWORD}.`);

/** A new password. `NewPasswords` says what is wrong with it: here it is any text, so that all of that is `WEAK_PASSWORD`. */
export const newPasswordField = (what: string) =>
  z
    .string(NEW_PASSWORD)
    .describe(`${what} It must not be too short, too long or easy to guess; any characters may be used.`);

const MAX_NAME_LENGTH = 100;
const NAME = `must be a name of 1 to ${MAX_NAME_LENGTH} characters, none of them invisible`;

/** A name that a user gives to something of theirs. */
export const nameField = (what: string) =>
  z
    .string(NAME)
    .max(4 * MAX_NAME_LENGTH, NAME)
    .transform((name) => name.normalize('NFC').trim())
    .refine((name) => name !== '' && [...name].length <= MAX_NAME_LENGTH && !INVISIBLE.test(name), NAME)
    .describe(`${what} It ${NAME}.`);

/** "Remember me": what becomes of it is `session.remembered`. */
export const rememberField = z
  .boolean('must be true or false')
  .optional()
  .describe('Whether the session outlives the browser, with the lifetimes for that, if there are any. Default false.');

/** A mailed token. Whether it is one of ours is not a question of form: all that cannot be used is `INVALID_LINK`. */
export const tokenField = z.string(TOKEN).max(1_024, TOKEN).describe('The token from the mailed link.');

export const LinkBody = z.strictObject({ token: tokenField });

const ONE_OF_BOTH = 'must be sent, or else the code, not both';
const MAILED_CODE = 'must be the code from the mail';

/** What proves a mailbox: the token of the link or else the code beside it, and `more`. */
export const mailedProof = <Shape extends z.ZodRawShape>(more: Shape) =>
  z
    .strictObject({
      token: tokenField.optional(),
      code: z
        .string(MAILED_CODE)
        .max(40, MAILED_CODE)
        .optional()
        .describe('The code from the mail in any spelling, in place of the token: only in the browser that asked.'),
      ...more,
    })
    .refine(({ token, code }: { token?: unknown; code?: unknown }) => (token === undefined) !== (code === undefined), {
      error: ONE_OF_BOTH,
      path: ['token'],
    });

export const CODE = 'must be a string of 1 to 256 characters';

/** The response to a second factor. Whether it is right is no question of form. */
export const codeField = z.string(CODE).min(1, CODE).max(256, CODE).describe('The code, or what the method asks for.');
