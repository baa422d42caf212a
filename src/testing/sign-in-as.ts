import type { INestApplicationContext } from '@nestjs/common';
import { AuthConfig } from '../config/auth-config.js';
import { LoginService } from '../login/login.service.js';
import type { SessionContext } from '../session/session.service.js';
import { UserDirectory } from '../user/user.directory.js';

/**
 * Opens a real session for this user, without a password, and returns the `Cookie` header that carries it.
 *
 * @throws {TypeError} if no account has this id.
 * @throws {AuthError} `INVALID_CREDENTIALS` if the account is disabled.
 *
 * @example
 * ```ts
 * await request(app.getHttpServer()).get('/notes').set('Cookie', await signInAs(app, ada.id)).expect(200);
 * ```
 */
export async function signInAs(
  app: INestApplicationContext,
  userId: string,
  context: SessionContext & { authenticatedAt?: number } = {},
): Promise<string> {
  const user = await app.get(UserDirectory, { strict: false }).findById(userId);
  if (!user) throw new TypeError(`signInAs: there is no user ${userId}.`);
  const { credential } = await app.get(LoginService, { strict: false }).begin(user, ['password'], context);
  return `${app.get(AuthConfig, { strict: false }).cookieName}=${credential.value}`;
}
