import { Injectable } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { ServerResponse } from 'node:http';
import onHeaders from 'on-headers';
import { AuthConfig } from '../config/auth-config.js';
import type { CookieValue } from '../login/session-scheme.js';
import { SessionCookie } from './session-cookie.js';

/** Set with every session cookie of the signed-cookie scheme: whoever sets it has decided about the cookie. */
const COOKIE_IS_SET = 'X-Auth-Cookie-Set';

/** Puts the session cookie on a response, whichever adapter it belongs to. */
@Injectable()
export class CookieWriter {
  private readonly announces: boolean;

  constructor(
    private readonly cookie: SessionCookie,
    private readonly adapterHost: HttpAdapterHost,
    config: AuthConfig,
  ) {
    this.announces = config.session.scheme === 'signed-cookie';
  }

  /** At login. */
  set(response: object, { value, expiresAt }: CookieValue): void {
    this.append(response, this.cookie.set(value, { expiresAt }));
  }

  /** At logout. */
  clear(response: object): void {
    this.append(response, this.cookie.clear());
  }

  /**
   * When use has moved the expiry, or the value that came was rotated. A database session's cookie goes out at once: a
   * logout in this request ends it all the same, and a rotation sets its own after it. A signed one waits until the headers are sent, and stays away when the handler
   * has set or cleared the cookie meanwhile: a logout and a re-issue in one answer would bring the session back.
   */
  renew(response: object, renewed: CookieValue): void {
    if (!this.announces) return this.set(response, renewed);
    const raw = (response as { raw?: ServerResponse }).raw ?? (response as ServerResponse);
    onHeaders(raw, () => {
      const others = [raw.getHeader('Set-Cookie') ?? []].flat().map(String);
      const isDecided =
        raw.hasHeader(COOKIE_IS_SET) || others.some((other) => other.startsWith(`${this.cookie.name}=`));
      if (isDecided) return;
      raw.setHeader(COOKIE_IS_SET, '1');
      raw.setHeader('Set-Cookie', [...others, this.cookie.set(renewed.value, renewed)]);
    });
  }

  private append(response: object, header: string): void {
    const adapter = this.adapterHost.httpAdapter;
    adapter.appendHeader?.(response, 'Set-Cookie', header);
    if (this.announces) adapter.setHeader(response, COOKIE_IS_SET, '1');
  }
}
