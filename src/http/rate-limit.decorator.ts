import { SetMetadata, UseGuards } from '@nestjs/common';
import type { RateLimitEvent } from '../config/rate-limit-settings.js';
import type { AuthRequest } from './auth-request.js';
import { RateLimitGuard } from './rate-limit.guard.js';
import { RATE_LIMITS, type RateLimitBy, type RateLimitRule } from './rate-limit.rule.js';

/**
 * Limits this handler, however it is reached: the limit belongs to the action, not to a URL, which can be written in
 * other ways. Several of them on one handler are decided together, in one round trip: all are counted or none.
 *
 * - `by: 'ip'` (default): the client's address, see `trustedProxies`.
 * - `by: 'user'`: the login name of the current user; by address if nobody is logged in.
 * - `by: (request) => string`: anything, such as `(request) => request.body?.email`; anything but a string (the client
 *   left it out) is limited by address.
 *
 * Refused: 429 with the true `Retry-After`. `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers)
 * are on every answer.
 *
 * @example
 * ```ts
 * @RateLimit({ event: 'email_send', by: 'user' })
 * @Post('share') share() { … }
 * ```
 */
export function RateLimit<Request extends AuthRequest = AuthRequest>(rule: {
  event: RateLimitEvent;
  by?: RateLimitBy<Request>;
}): MethodDecorator {
  return (target, key, descriptor: PropertyDescriptor) => {
    const handler = descriptor.value as object;
    const others = (Reflect.getMetadata(RATE_LIMITS, handler) as RateLimitRule[] | undefined) ?? [];
    const added: RateLimitRule = { event: rule.event, by: (rule.by ?? 'ip') as RateLimitRule['by'] };
    // Decorators apply from the bottom up; the rules are to stand as they are written.
    SetMetadata(RATE_LIMITS, [added, ...others])(target, key, descriptor);
    if (others.length === 0) UseGuards(RateLimitGuard)(target, key, descriptor);
  };
}
