import { Injectable, Optional } from '@nestjs/common';
import { isAuthError } from '../auth.errors.js';
import type { CookieValue } from '../login/session-scheme.js';
import { KeptIdentities } from '../oidc/kept-identities.js';
import type { OidcAnswer } from '../oidc/oidc-requests.js';
import { addressTargets } from '../rate-limit/address-targets.js';
import { rateLimited, RateLimitService } from '../rate-limit/rate-limit.service.js';
import { RegistrationService } from '../registration/registration.service.js';
import { headerOf, type AuthRequest } from './auth-request.js';
import { ClientIp } from './client-ip.js';
import { CookieWriter } from './cookie-writer.js';
import { FlowCookie, KEPT_IDENTITY_FLOW, REGISTRATION_FLOW } from './flow-cookie.js';
import { OidcEnds } from './oidc-ends.js';

/** How a login at a provider goes on whose identity is linked with no account: by a mail, or by a login to the account. */
@Injectable()
export class OidcUnfinished {
  constructor(
    private readonly kept: KeptIdentities,
    private readonly ends: OidcEnds,
    private readonly clientIp: ClientIp,
    private readonly limits: RateLimitService,
    private readonly cookie: FlowCookie,
    private readonly writer: CookieWriter,
    @Optional() private readonly registration?: RegistrationService,
  ) {}

  /**
   * Where the browser goes after this refusal, tied to what comes next.
   *
   * @throws what it was given, if nothing comes of it.
   * @throws {AuthError} `RATE_LIMITED` as for any other registration from this address.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async follow(
    error: unknown,
    request: AuthRequest,
    response: object,
    { answer, end }: { readonly answer: OidcAnswer; readonly end: string },
  ): Promise<string> {
    if (isAuthError(error, 'ACCOUNT_EXISTS')) {
      this.hold(request, response, KEPT_IDENTITY_FLOW, await this.kept.keep(answer));
      return this.ends.failed(request, error.code);
    }
    if (!isAuthError(error, 'EMAIL_NOT_VERIFIED') || !this.registration) throw error;
    const ip = this.clientIp.of(request);
    const targets = (['register_ip', 'mail_ip'] as const).flatMap((event) => addressTargets(event, ip));
    const { allowed, decisive } = await this.limits.consumeAll(targets);
    if (!allowed) throw rateLimited(decisive);
    const { browser: value, expiresAt } = this.registration.registerWith(answer.identity);
    this.hold(request, response, REGISTRATION_FLOW, { value, expiresAt });
    return this.ends.mailed(request, end);
  }

  private hold(request: AuthRequest, response: object, flow: string, browser: CookieValue | null): void {
    if (browser) this.writer.add(response, this.cookie.add(flow, browser, headerOf(request, 'cookie')));
  }
}
