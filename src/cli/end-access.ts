import type { INestApplicationContext } from '@nestjs/common';
import { isAuthError } from '../auth.errors.js';
import { TokenRevocationService } from '../revocation/token-revocation.service.js';
import { SessionService } from '../session/session.service.js';

/** Ends all sessions and tokens of an account, in any directory; one without cutoffs cannot end JWTs and signed cookies. */
export async function endAccess(
  auth: INestApplicationContext,
  userId: string,
): Promise<{ tokensEnded: boolean; note: string }> {
  await auth.get(SessionService).revokeAllForUser(userId);
  try {
    await auth.get(TokenRevocationService).revokeAllForUser(userId);
    return { tokensEnded: true, note: '' };
  } catch (error) {
    if (!isAuthError(error, 'UNSUPPORTED')) throw error;
    const note = ' JWTs and signed cookies stay valid: your UserDirectory has no invalidateTokens().';
    return { tokensEnded: false, note };
  }
}
