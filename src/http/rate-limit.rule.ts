import type { RateLimitEvent } from '../config/rate-limit-settings.js';
import type { AuthRequest } from './auth-request.js';

/** Whose requests a limit counts together. */
export type RateLimitBy<Request = AuthRequest> =
  'ip' | 'network' | 'user' | ((request: Request) => string | null | undefined);

export interface RateLimitRule {
  readonly event: RateLimitEvent;
  readonly by: RateLimitBy;
}

/** @internal Metadata key of a handler's rules. */
export const RATE_LIMITS = Symbol('nestjs-latchkey.rate-limits');
