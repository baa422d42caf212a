import { z } from 'zod';
import { AuthError } from '../auth.errors.js';
import { INVISIBLE, MAX_LOGIN_LENGTH, normalizeLogin } from '../user/login-name.js';
import { canonicalPassword, PASSWORD_LENGTH } from '../user/password-hasher.js';

const EMAIL = `must be a string of 1 to ${MAX_LOGIN_LENGTH} characters, none of them invisible`;
const PASSWORD = `must be a string of 1 to ${PASSWORD_LENGTH.max} characters`;

/**
 * The body of `POST login` and `POST token`. A password that is too short for a new account may still be an old
 * account's, so the only lower bound is one character; the upper bound keeps megabytes away from the hash.
 */
const LoginBody = z.object({
  email: z
    .string(EMAIL)
    .max(4 * MAX_LOGIN_LENGTH, EMAIL)
    .transform(normalizeLogin)
    .refine((email) => email !== '' && [...email].length <= MAX_LOGIN_LENGTH && !INVISIBLE.test(email), EMAIL)
    .describe(`The address or name that the account logs in with, in any spelling. It ${EMAIL}.`),
  password: z
    .string(PASSWORD)
    .min(1, PASSWORD)
    .refine((password) => [...canonicalPassword(password)].length <= PASSWORD_LENGTH.max, PASSWORD)
    .describe(`The password of the account. It ${PASSWORD}.`),
});

const LoginBodyWithChoice = LoginBody.extend({
  remember: z
    .boolean('must be true or false')
    .optional()
    .describe('Whether the session outlives the browser, with the lifetimes for that. Default false.'),
});

export type LoginBody = z.infer<typeof LoginBody> & { readonly remember?: boolean | undefined };

/** What parses the body; `remember` is part of it if there is something to choose. */
export function loginBodySchema({ remembers }: { remembers: boolean }) {
  return remembers ? LoginBodyWithChoice : LoginBody;
}

/**
 * Throws `INVALID_INPUT`, which names the fields and what they must be, never what was sent. `remember` is read if
 * there is something to choose, and ignored as any other field if not.
 */
export function parseLoginBody(body: unknown, { remembers = false }: { remembers?: boolean } = {}): LoginBody {
  const parsed = loginBodySchema({ remembers }).safeParse(body ?? {});
  if (parsed.success) return parsed.data;
  const fields = Object.fromEntries(
    parsed.error.issues.map(({ path, message }) => [String(path[0] ?? 'body'), message]),
  );
  if (fields['body']) fields['body'] = 'must be a JSON object';
  throw new AuthError('INVALID_INPUT', `Not a login: ${Object.keys(fields).join(', ')}.`, { fields });
}
