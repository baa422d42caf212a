import { Injectable } from '@nestjs/common';
import { serialize, type SerializeOptions } from 'cookie';
import { Clock } from '../common/clock.js';
import { AuthConfig } from '../config/auth-config.js';
import type { CookieValue } from '../login/session-scheme.js';
import { cookieAttributes, cookieValues, maxAgeUntil } from './session-cookie.js';

/**
 * The cookie of `KnownDevices`: the session cookie's name with `-device`, and its attributes. It is set at every login
 * and stays after a logout, which is what it is for.
 */
@Injectable()
export class DeviceCookie {
  readonly name: string;
  private readonly attributes: SerializeOptions;

  constructor(
    config: AuthConfig,
    private readonly clock: Clock,
  ) {
    this.name = `${config.cookieName}-device`;
    this.attributes = cookieAttributes(config.cookie);
  }

  /** Every value under our exact name in a Cookie header, for `LoginLimits.enforce`; nothing has been checked. */
  values(header: string | undefined): string[] {
    return cookieValues(header, this.name);
  }

  /** `Set-Cookie` for this value. */
  set({ value, expiresAt }: CookieValue): string {
    return serialize(this.name, value, { ...this.attributes, maxAge: maxAgeUntil(expiresAt, this.clock.now()) });
  }
}
