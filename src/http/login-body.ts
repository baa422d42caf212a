import { z } from 'zod';
import { parseBody } from './body.js';
import { loginField, passwordField, rememberField } from './fields.js';

/** The body of `POST login` and `POST token`. */
const LoginBody = z.strictObject({ email: loginField, password: passwordField('The password of the account.') });

const LoginBodyWithChoice = LoginBody.extend({ remember: rememberField });

const LoginBodyWithoutChoice = LoginBody.extend({
  remember: z
    .unknown()
    .optional()
    .transform(() => undefined),
});

export type LoginBody = z.infer<typeof LoginBodyWithChoice>;

/** What the body may be; `remember` is part of it if there is something to choose. */
export function loginBodySchema({ remembers }: { remembers: boolean }) {
  return remembers ? LoginBodyWithChoice : LoginBody;
}

/**
 * Throws `INVALID_INPUT`, which names the fields and what they must be, never what was sent. `remember` is read if
 * there is something to choose, and ignored if not; any other field is refused.
 */
export function parseLoginBody(body: unknown, { remembers = false }: { remembers?: boolean } = {}): LoginBody {
  return parseBody(remembers ? LoginBodyWithChoice : LoginBodyWithoutChoice, body, 'a login');
}
