import { Injectable, type CanActivate, type ExecutionContext } from '@nestjs/common';
import { HttpAdapterHost, Reflector } from '@nestjs/core';
import { asAuthError } from '../auth.errors.js';
import { Clock } from '../common/clock.js';
import { networkSubjectOf } from '../common/ip-address.js';
import { addressTargets } from '../rate-limit/address-targets.js';
import { secondsUntil } from '../rate-limit/rate-limit.policy.js';
import {
  rateLimited,
  RateLimitService,
  type RateLimitDecision,
  type RateLimitResult,
  type RateLimitTarget,
} from '../rate-limit/rate-limit.service.js';
import { apiKeyAuthOf, authOf, requestOf, responseOf, type AuthRequest } from './auth-request.js';
import { ClientIp } from './client-ip.js';
import { RATE_LIMITS, type RateLimitRule } from './rate-limit.rule.js';

/**
 * Enforces a handler's `@RateLimit`, which brings this guard along: it runs after the guards of the application and of
 * the controller, so that `by: 'user'` knows the user. Throws `RATE_LIMITED` (429), and `STORE_UNAVAILABLE` (503) while
 * the database is unavailable and `onStoreError` is `deny`.
 */
@Injectable()
export class RateLimitGuard implements CanActivate {
  /**
   * The last decision under way for a request. A GraphQL document can reach a limited field thousands of times at once:
   * asked one after the other, all that follow a refusal are answered from memory.
   */
  private readonly latest = new WeakMap<object, Promise<RateLimitResult>>();

  constructor(
    private readonly reflector: Reflector,
    private readonly limits: RateLimitService,
    private readonly clientIp: ClientIp,
    private readonly clock: Clock,
    private readonly adapterHost: HttpAdapterHost,
  ) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const rules = this.reflector.get<RateLimitRule[] | undefined>(RATE_LIMITS, context.getHandler());
    if (!rules) return true;
    const request = requestOf(context);
    const verdict = await this.inTurn(request, () => this.decide(rules.flatMap((rule) => this.targets(rule, request))));
    const response = responseOf(context);
    if (response) this.answer(response, verdict);
    if (verdict.allowed) return true;
    throw rateLimited(verdict.decisive);
  }

  private inTurn(request: AuthRequest | null, decide: () => Promise<RateLimitResult>): Promise<RateLimitResult> {
    if (!request) return decide();
    const before = this.latest.get(request);
    // An outage is passed on: otherwise each of them would wait until the same storage is given up.
    const mine = before ? before.then((verdict) => (isOutage(verdict) ? verdict : decide())) : decide();
    this.latest.set(request, mine);
    const settled = () => void (this.latest.get(request) === mine && this.latest.delete(request));
    mine.then(settled, settled);
    return mine;
  }

  private async decide(targets: Parameters<RateLimitService['consumeAll']>[0]): Promise<RateLimitResult> {
    try {
      return await this.limits.consumeAll(targets);
    } catch (error) {
      // An unknown event is a programming mistake, not an outage.
      throw error instanceof TypeError ? error : asAuthError(error, 'The rate limiter');
    }
  }

  /** A bucket of an address has one of its site beside it; those of several rules on one handler are one. */
  private targets({ event, by }: RateLimitRule, request: AuthRequest | null): RateLimitTarget[] {
    const subject = this.subject(by, request);
    return by === 'ip' ? addressTargets(event, subject) : [{ event, subject }];
  }

  private subject(by: RateLimitRule['by'], request: AuthRequest | null): string | null {
    if (!request) return null;
    if (by === 'network') return networkSubjectOf(this.clientIp.of(request));
    const chosen = typeof by === 'function' ? by(request) : by === 'user' ? userOf(request)?.email : undefined;
    // Leaving a field out, or sending something other than text, must not bypass the limit.
    return typeof chosen === 'string' ? chosen : this.clientIp.of(request);
  }

  /** Structured fields of draft-ietf-httpapi-ratelimit-headers-11; `Retry-After` is set by the error filter. */
  private answer(response: object, { decisions }: RateLimitResult): void {
    const now = this.clock.now();
    const list = (item: (decision: RateLimitDecision) => string) => decisions.map(item).join(', ');
    const { httpAdapter } = this.adapterHost;
    httpAdapter.setHeader(
      response,
      'RateLimit-Policy',
      list(({ event, limit, window }) => `"${event}";q=${limit};w=${Math.ceil(window / 1000)}`),
    );
    httpAdapter.setHeader(
      response,
      'RateLimit',
      list(({ event, remaining, resetAt }) => `"${event}";r=${Math.max(0, remaining)};t=${secondsUntil(resetAt, now)}`),
    );
  }
}

const userOf = (request: AuthRequest) => (authOf(request) ?? apiKeyAuthOf(request))?.user;
const isOutage = ({ decisive }: RateLimitResult): boolean => decisive.why === 'store_unavailable';
