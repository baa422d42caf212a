import { Injectable, Logger } from '@nestjs/common';
import type { ServerResponse } from 'node:http';
import onHeaders from 'on-headers';
import { AuthConfig } from '../config/auth-config.js';
import type { CookieValue } from '../login/session-scheme.js';
import { printable } from './auth-request.js';
import { plainHttpHost } from './plain-http.js';
import { DeviceCookie } from './device-cookie.js';
import { SessionCookie } from './session-cookie.js';

/**
 * Sent with every session cookie of the signed-cookie scheme. A handler that sets it has decided about the cookie
 * itself.
 */
const COOKIE_IS_SET = 'X-Auth-Cookie-Set';

interface Decision {
  readonly headers: readonly string[];
  readonly isRenewal: boolean;
}

/**
 * Puts the session cookie on a response, whichever adapter it belongs to. The last decision is written together with
 * the headers, so that a response has one cookie with our name however often that was decided, and any `Set-Cookie` of
 * the application's handlers is kept.
 */
@Injectable()
export class CookieWriter {
  private readonly logger = new Logger('Auth');
  private readonly announces: boolean;
  private readonly isSecure: boolean;
  private hasWarned = false;
  private readonly decisions = new WeakMap<ServerResponse, Decision>();

  constructor(
    private readonly cookie: SessionCookie,
    private readonly deviceCookie: DeviceCookie,
    config: AuthConfig,
  ) {
    this.isSecure = config.cookie.secure;
    this.announces = config.session.scheme === 'signed-cookie';
  }

  /**
   * Sets the cookie at a login, and that of the device; `others` are further `Set-Cookie` of the same decision. Throws
   * Node's `ERR_HTTP_HEADERS_SENT` if the headers have been sent.
   */
  set(
    response: object,
    { value, ...lifetime }: CookieValue,
    device: CookieValue | null = null,
    others: readonly string[] = [],
  ): void {
    const ofDevice = device === null ? [] : [this.deviceCookie.set(device)];
    const headers = [this.cookie.set(value, lifetime), ...this.cookie.clearTwins(), ...ofDevice, ...others];
    this.decide(response, { headers, isRenewal: false });
  }

  /** Clears the cookie at a logout. Throws as `set` does. */
  clear(response: object, others: readonly string[] = []): void {
    const headers = [this.cookie.clear(), ...this.cookie.clearTwins(), ...others];
    this.decide(response, { headers, isRenewal: false });
  }

  /** If two cookies with our name were sent: clears those that are not ours, and leaves ours alone. */
  clearTwins(response: object): void {
    const headers = this.cookie.clearTwins();
    if (headers.length > 0) this.decide(response, { headers, isRenewal: true });
  }

  /**
   * Renews the cookie after an extension, or after a rotated value was presented. Does nothing if the cookie has been
   * set or cleared meanwhile, by us or by the handler: a logout and a renewal in one response would bring the session
   * back.
   */
  renew(response: object, { value, ...lifetime }: CookieValue): void {
    this.decide(response, { headers: [this.cookie.set(value, lifetime)], isRenewal: true });
  }

  /** Sets a cookie beside the session cookie, such as that of a flow. Throws as `set` does. */
  add(response: object, header: string): void {
    const raw = rawOf(response);
    const append = () => void raw.appendHeader('Set-Cookie', header);
    if (raw.headersSent) return append();
    onHeaders(raw, () => {
      this.warnOfPlainHttp(raw);
      append();
    });
  }

  /** Whether the headers have been sent, so that no cookie can be. */
  isSent(response: object): boolean {
    return rawOf(response).headersSent;
  }

  private decide(response: object, decision: Decision): void {
    const raw = rawOf(response);
    if (raw.headersSent) {
      if (!decision.isRenewal) raw.appendHeader('Set-Cookie', decision.headers);
      return;
    }
    const before = this.decisions.get(raw);
    if (before && !before.isRenewal && decision.isRenewal) return;
    this.decisions.set(raw, decision);
    if (!before) onHeaders(raw, () => this.write(raw));
  }

  /** The browser silently drops such a cookie, and the user is logged out at the next click. */
  private warnOfPlainHttp(raw: ServerResponse): void {
    if (!this.isSecure || this.hasWarned) return;
    const host = plainHttpHost(raw.req);
    if (host === null) return;
    this.hasWarned = true;
    this.logger.warn(
      `A Secure cookie was sent over plain http to ${printable(host)}: browsers do not keep it. Serve over https; for ` +
        'development use localhost, or cookie: { secure: false }. If a proxy ends TLS, let it send X-Forwarded-Proto. ' +
        'This is said once.',
    );
  }

  private write(raw: ServerResponse): void {
    const { headers, isRenewal } = this.decisions.get(raw)!;
    this.warnOfPlainHttp(raw);
    const written = [raw.getHeader('Set-Cookie') ?? []].flat().map(String);
    const others = written.filter((one) => !this.cookie.isOurs(one));
    if (isRenewal && (raw.hasHeader(COOKIE_IS_SET) || others.length < written.length)) return;
    raw.setHeader('Set-Cookie', [...others, ...headers]);
    if (this.announces && headers.some((one) => this.cookie.isOurs(one))) raw.setHeader(COOKIE_IS_SET, '1');
  }
}

/** Fastify's reply has the response in it. */
function rawOf(response: object): ServerResponse {
  return (response as { raw?: ServerResponse }).raw ?? (response as ServerResponse);
}
