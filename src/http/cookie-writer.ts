import { Injectable, Logger } from '@nestjs/common';
import type { ServerResponse } from 'node:http';
import onHeaders from 'on-headers';
import { AuthConfig } from '../config/auth-config.js';
import type { CookieValue } from '../login/session-scheme.js';
import { printable } from './auth-request.js';
import { plainHttpHost } from './plain-http.js';
import { SessionCookie } from './session-cookie.js';

/** Set with every session cookie of the signed-cookie scheme: whoever sets it has decided about the cookie. */
const COOKIE_IS_SET = 'X-Auth-Cookie-Set';

interface Decision {
  readonly headers: readonly string[];
  readonly isRenewal: boolean;
}

/**
 * Puts the session cookie on a response, whichever adapter it belongs to. What is decided last goes out with the headers,
 * so that an answer has one cookie of our name however often it was decided, and whatever `Set-Cookie` a handler of the
 * host's has written stands beside it.
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
    config: AuthConfig,
  ) {
    this.isSecure = config.cookie.secure;
    this.announces = config.session.scheme === 'signed-cookie';
  }

  /** At login. Throws Node's `ERR_HTTP_HEADERS_SENT` where it is too late. */
  set(response: object, { value, expiresAt }: CookieValue): void {
    const headers = [this.cookie.set(value, { expiresAt }), ...this.cookie.clearTwins()];
    this.decide(response, { headers, isRenewal: false });
  }

  /** At logout. Throws as `set` does. */
  clear(response: object): void {
    this.decide(response, { headers: [this.cookie.clear(), ...this.cookie.clearTwins()], isRenewal: false });
  }

  /** When two cookies of our name came: those that are not ours go, and ours is left alone. */
  clearTwins(response: object): void {
    const headers = this.cookie.clearTwins();
    if (headers.length > 0) this.decide(response, { headers, isRenewal: true });
  }

  /**
   * When use has moved the expiry, or the value that came was rotated. It stays away when the cookie has been set or
   * cleared meanwhile, by us or by the handler: a logout and a renewal in one answer would bring the session back.
   */
  renew(response: object, { value, expiresAt }: CookieValue): void {
    this.decide(response, { headers: [this.cookie.set(value, { expiresAt })], isRenewal: true });
  }

  private decide(response: object, decision: Decision): void {
    const raw = (response as { raw?: ServerResponse }).raw ?? (response as ServerResponse);
    if (raw.headersSent) {
      if (!decision.isRenewal) raw.appendHeader('Set-Cookie', decision.headers);
      return;
    }
    const before = this.decisions.get(raw);
    if (before && !before.isRenewal && decision.isRenewal) return;
    this.decisions.set(raw, decision);
    if (!before) onHeaders(raw, () => this.write(raw));
  }

  /** The browser drops the cookie and says nothing, and the user is logged out with the next click. */
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
