import { Injectable, Optional } from '@nestjs/common';
import type { OidcAnswer } from '../oidc/oidc-requests.js';
import { addressTargets } from '../rate-limit/address-targets.js';
import { rateLimited, RateLimitService } from '../rate-limit/rate-limit.service.js';
import { RegistrationService } from '../registration/registration.service.js';
import type { AuthRequest } from './auth-request.js';
import { headerOf } from './auth-request.js';
import { ClientIp } from './client-ip.js';
import { CookieWriter } from './cookie-writer.js';
import { FlowCookie, REGISTRATION_FLOW } from './flow-cookie.js';

/** New accounts by a provider that does not vouch for the address: it is proved by the mail of a registration. */
@Injectable()
export class OidcSignUps {
  constructor(
    private readonly clientIp: ClientIp,
    private readonly limits: RateLimitService,
    private readonly cookie: FlowCookie,
    private readonly writer: CookieWriter,
    @Optional() private readonly registration?: RegistrationService,
  ) {}

  /**
   * Mails the link and the code, and ties them to this browser; the same for every address. False without
   * `flows.registration`.
   *
   * @throws {AuthError} `RATE_LIMITED` as for any other registration from this address.
   */
  async mail(request: AuthRequest, response: object, { identity }: OidcAnswer): Promise<boolean> {
    if (!this.registration) return false;
    const ip = this.clientIp.of(request);
    const targets = (['register_ip', 'mail_ip'] as const).flatMap((event) => addressTargets(event, ip));
    const { allowed, decisive } = await this.limits.consumeAll(targets);
    if (!allowed) throw rateLimited(decisive);
    const { browser: value, expiresAt } = this.registration.registerWith(identity);
    this.writer.add(response, this.cookie.add(REGISTRATION_FLOW, { value, expiresAt }, headerOf(request, 'cookie')));
    return true;
  }
}
