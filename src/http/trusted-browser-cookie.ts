import { Injectable } from '@nestjs/common';
import { serialize } from 'cookie';
import { AuthConfig } from '../config/auth-config.js';
import { MAX_ACCOUNTS, type TrustedBrowserValue } from '../login/trusted-browsers.js';
import { cookieAttributes, cookieValues } from './session-cookie.js';

const VALUE = /^[\w-]{43}$/;

/**
 * The cookie of `TrustedBrowsers`: one value for each account that trusts the browser, the latest first. It is named
 * after the session cookie, has its attributes, and stays at a logout.
 */
@Injectable()
export class TrustedBrowserCookie {
  private readonly name: string;

  constructor(private readonly config: AuthConfig) {
    this.name = `${config.cookieName}-trusted`;
  }

  /** The values in a Cookie header. */
  values(header: string | undefined): string[] {
    const values = cookieValues(header, this.name).flatMap((value) => value.split('.'));
    return [...new Set(values)].filter((value) => VALUE.test(value)).slice(0, MAX_ACCOUNTS);
  }

  /** `Set-Cookie` with this value, beside those of other accounts in the Cookie header. Each ends when its token does. */
  set({ value, replaces }: TrustedBrowserValue, header: string | undefined): string {
    const others = this.values(header).filter((one) => !replaces.includes(one));
    const maxAge = Math.floor((this.config.flows.twoFactor?.trustedBrowsers ?? 0) / 1000);
    return this.serialize([value, ...others].slice(0, MAX_ACCOUNTS).join('.'), maxAge);
  }

  /** `Set-Cookie` that removes it. */
  clear(): string {
    return this.serialize('', 0);
  }

  private serialize(value: string, maxAge: number): string {
    return serialize(this.name, value, { ...cookieAttributes(this.config), maxAge });
  }
}
