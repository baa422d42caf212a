import { Injectable } from '@nestjs/common';
import { serialize, type SerializeOptions } from 'cookie';
import { Clock } from '../common/clock.js';
import { AuthConfig } from '../config/auth-config.js';
import { cookiePrefix } from '../config/cookie-settings.js';
import type { CookieValue } from '../login/session-scheme.js';
import { cookieAttributes, cookieValues } from './session-cookie.js';

/**
 * How many flows of one kind a browser is in at most: who asks again because the mail is late still has the browser of
 * the mail that comes.
 */
const MOST = 5;
/** The flow of registrations: a login at a provider may begin one too. */
export const REGISTRATION_FLOW = 'register';
/** The flow of identities that are to be linked after a login. */
export const KEPT_IDENTITY_FLOW = 'oidc-link';
/** What a flow ties a browser to itself by: base64url, so that a dot may stand between two of them. */
const VALUE = /^[\w-]{1,200}$/;

/**
 * The cookies that tie a flow to the browser that asked for it: one for each kind of flow, named after the session
 * cookie. Its value is of the last few flows of that kind, the newest first. It is of this host alone (`__Host-`), also
 * where the session cookie is of a domain or a path: another host of the domain could make a browser go on with a flow
 * that it has begun itself.
 */
@Injectable()
export class FlowCookie {
  private readonly prefix: string;
  private readonly attributes: SerializeOptions;

  constructor(
    config: AuthConfig,
    private readonly clock: Clock,
  ) {
    const ofThisHost = { domain: undefined, path: '/' };
    this.prefix = `${cookiePrefix({ ...config.cookie, ...ofThisHost })}${config.cookie.name}`;
    this.attributes = { ...cookieAttributes(config), ...ofThisHost };
  }

  /** What the flows of this kind have given the browser, the newest first. */
  values(flow: string, header: string | undefined): string[] {
    const values = cookieValues(header, this.nameOf(flow)).flatMap((value) => value.split('.'));
    return values.filter((value) => VALUE.test(value)).slice(0, MOST);
  }

  /** `Set-Cookie` for one more, beside those in this Cookie header. */
  add(flow: string, { value, expiresAt }: CookieValue, header: string | undefined): string {
    return this.with(flow, [value, ...this.values(flow, header)].slice(0, MOST), expiresAt);
  }

  /** `Set-Cookie` with these of its values only, until `expiresAt` (epoch ms); with none it removes the cookie. */
  with(flow: string, values: readonly string[], expiresAt: number): string {
    if (values.length === 0) return this.clear(flow);
    const maxAge = Math.max(0, Math.floor((expiresAt - this.clock.now()) / 1000));
    return serialize(this.nameOf(flow), values.join('.'), { ...this.attributes, maxAge });
  }

  /** `Set-Cookie` that removes it, once the flow is over. */
  clear(flow: string): string {
    return serialize(this.nameOf(flow), '', { ...this.attributes, maxAge: 0 });
  }

  private nameOf(flow: string): string {
    return `${this.prefix}-${flow}`;
  }
}
