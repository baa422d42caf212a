import { Injectable } from '@nestjs/common';
import { serialize } from 'cookie';
import { Clock } from '../common/clock.js';
import { AuthConfig } from '../config/auth-config.js';
import type { CookieValue } from '../login/session-scheme.js';
import { cookieAttributes, cookieValues } from './session-cookie.js';

/**
 * The cookie by which a browser is known to an account that has logged in with it: see `KnownDevices`. It is named
 * after the session cookie, has its attributes, and stays at a logout.
 */
@Injectable()
export class DeviceCookie {
  readonly name: string;

  constructor(
    private readonly config: AuthConfig,
    private readonly clock: Clock,
  ) {
    this.name = `${config.cookieName}-device`;
  }

  /** Its values in a Cookie header; a browser may send several, of other hosts and paths. */
  values(header: string | undefined): string[] {
    return cookieValues(header, this.name);
  }

  /** `Set-Cookie` for this value. */
  set({ value, expiresAt }: CookieValue): string {
    const maxAge = Math.floor((expiresAt - this.clock.now()) / 1000);
    return serialize(this.name, value, { ...cookieAttributes(this.config), maxAge });
  }
}
