import type { Clock } from '../common/clock.js';
import { fromBase32 } from '../two-factor/base32.js';
import { totpCode, totpStep } from '../two-factor/totp.js';

/**
 * The code that an authenticator app shows now for this secret (base32, as `POST 2fa/totp/setup` answers it). A code
 * counts once: advance the clock by 30 seconds for the next one.
 *
 * @throws {TypeError} if `secret` is not base32.
 *
 * @example
 * ```ts
 * await agent.post('/auth/2fa/totp/enable').send({ code: totpOf(secret, clock) }).expect(200);
 * ```
 */
export function totpOf(secret: string, clock: Pick<Clock, 'now'>): string {
  const bytes = fromBase32(secret);
  if (!bytes || bytes.length === 0) throw new TypeError('totpOf: the secret is not base32.');
  return totpCode(bytes, totpStep(clock.now()));
}
