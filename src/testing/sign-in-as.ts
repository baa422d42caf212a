import type { INestApplicationContext } from '@nestjs/common';
import { AuthConfig } from '../config/auth-config.js';
import { LoginService } from '../login/login.service.js';
import type { SessionContext } from '../session/session.service.js';
import { UserDirectory } from '../user/user.directory.js';

/**
 * Opens a real session for this user, without a password, and returns the `Cookie` header that carries it. `proofs` are
 * the methods that the session tells of (default `['password']`), and `authenticatedAt` (epoch ms) is when they were.
 *
 * @throws {TypeError} if no account has this id.
 * @throws {AuthError} `INVALID_CREDENTIALS` if the account is disabled.
 *
 * @example
 * ```ts
 * await request(app.getHttpServer()).get('/notes').set('Cookie', await signInAs(app, ada.id)).expect(200);
 * const sure = await signInAs(app, ada.id, { proofs: ['password', 'totp'] }); // passes @RequireAal(2)
 * ```
 */
export async function signInAs(
  app: INestApplicationContext,
  userId: string,
  { proofs = ['password'], ...context }: SessionContext & { authenticatedAt?: number; proofs?: readonly string[] } = {},
): Promise<string> {
  const user = await app.get(UserDirectory, { strict: false }).findById(userId);
  if (!user) throw new TypeError(`signInAs: there is no user ${userId}.`);
  const { credential } = await app.get(LoginService, { strict: false }).begin(user, proofs, context);
  return `${app.get(AuthConfig, { strict: false }).cookieName}=${credential.value}`;
}
