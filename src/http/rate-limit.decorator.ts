import { SetMetadata, UseGuards } from '@nestjs/common';
import type { RateLimitEvent } from '../config/rate-limit-settings.js';
import type { AuthRequest } from './auth-request.js';
import { RateLimitGuard } from './rate-limit.guard.js';
import { RATE_LIMITS, type RateLimitBy, type RateLimitRule } from './rate-limit.rule.js';

/**
 * Limits this handler, however it is reached: the limit belongs to the action, not to a URL, which can be written in
 * several ways. Several decorators on one handler are decided together, in one round trip: all are counted or none. The
 * count is exact across processes.
 *
 * - `by: 'ip'` (default): the client's address, see `trustedProxies`; an IPv6 address by its /64.
 * - `by: 'network'`: the /48 of an IPv6 address, an IPv4 address itself. Put it beside `'ip'` with another event and a
 *   higher limit: who has a /48 has 65,536 times the limit of `'ip'`. The module's own events do it by themselves.
 * - `by: 'user'`: the login name of the current user; the address if nobody is logged in.
 * - `by: (request) => string`: any text, such as `request.body.email`; for anything but a string (the client left it
 *   out) the address is used.
 *
 * Every response has the headers `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers). The
 * decorator itself throws nothing; these are thrown before the handler runs:
 *
 * @throws {AuthError} `RATE_LIMITED` if the limit is reached: 429 with the true `Retry-After`.
 * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer and `rateLimits.onStoreError` is `deny`: 503.
 * @throws {TypeError} if no policy has this event.
 *
 * @example
 * ```ts
 * @RateLimit({ event: 'email_send', by: 'user' })
 * @RateLimit({ event: 'login_ip' })
 * @Post('share')
 * share(@Body('to') to: string) {
 *   return this.notes.share(to);
 * }
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
    // Decorators apply from the bottom up; this keeps the rules in the order in which they are written.
    SetMetadata(RATE_LIMITS, [added, ...others])(target, key, descriptor);
    if (others.length === 0) UseGuards(RateLimitGuard)(target, key, descriptor);
  };
}
