import type { INestApplicationContext } from '@nestjs/common';
import { AuthConfig } from '../config/auth-config.js';
import { SessionService, type SessionContext } from '../session/session.service.js';

/**
 * Opens a real session for this user and returns the `Cookie` header that carries it, without a password:
 *
 * ```ts
 * await request(app.getHttpServer()).get('/notes').set('Cookie', await signInAs(app, ada.id)).expect(200);
 * ```
 */
export async function signInAs(
  app: INestApplicationContext,
  userId: string,
  context: SessionContext & { authenticatedAt?: number } = {},
): Promise<string> {
  const { token } = await app.get(SessionService, { strict: false }).create(userId, context);
  return `${app.get(AuthConfig, { strict: false }).cookieName}=${token}`;
}
