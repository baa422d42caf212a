import { Injectable } from '@nestjs/common';
import { serialize, type SerializeOptions } from 'cookie';
import { days } from '../common/duration.js';
import { Clock } from '../common/clock.js';
import { trimOptionalWhitespace } from '../common/optional-whitespace.js';
import { AuthConfig } from '../config/auth-config.js';
import type { CookieValue } from '../login/session-scheme.js';

/** RFC 6265bis 5.6.2: browsers cap a cookie's age at 400 days. */
const MAX_COOKIE_AGE = days(400);

/** The session cookie on the wire: reads it from a Cookie header, and writes and clears it with the same attributes. */
@Injectable()
export class SessionCookie {
  readonly name: string;
  private readonly attributes: SerializeOptions;
  /** Attributes of cookies with our name that a browser keeps beside ours. */
  private readonly twins: readonly SerializeOptions[];

  constructor(
    config: AuthConfig,
    private readonly clock: Clock,
  ) {
    this.name = config.cookieName;
    const { domain, partitioned, clearDomains } = config.cookie;
    this.attributes = cookieAttributes(config);
    this.twins = [
      ...clearDomains.map((other) => ({ domain: other, partitioned: false })),
      ...(domain === undefined ? [] : [{ domain: undefined, partitioned: false }]),
      ...(partitioned ? [{ partitioned: false }] : []),
    ];
  }

  /**
   * The token in a Cookie header, or `null` if there is none. Also `null` if there are two cookies with our name: one
   * of them was set by someone else, and there is no way to know which. That is why the raw header is read and not
   * `request.cookies`, where the first would win.
   */
  read(header: string | undefined): string | null {
    const values = this.values(header);
    return values.length === 1 ? values[0]! : null;
  }

  /** Every value under our exact name; a logout ends the sessions of all of them. */
  values(header: string | undefined): string[] {
    return cookieValues(header, this.name);
  }

  /**
   * `Set-Cookie` for this token. Max-Age is the whole seconds left to the session, never below 0; there is none if the
   * cookie is not `persistent`, and the browser keeps it until it is closed.
   */
  set(token: string, { expiresAt, persistent = true }: Omit<CookieValue, 'value'>): string {
    if (!persistent) return serialize(this.name, token, this.attributes);
    const remaining = Math.min(expiresAt - this.clock.now(), MAX_COOKIE_AGE);
    return serialize(this.name, token, { ...this.attributes, maxAge: Math.max(0, Math.floor(remaining / 1000)) });
  }

  /**
   * One `Set-Cookie` for each cookie with our name that may shadow ours: those of `cookie.clearDomains`, and those set
   * before `cookie.domain` or `cookie.partitioned` was. To a browser, another Domain is another cookie.
   */
  clearTwins(): string[] {
    return this.twins.map((twin) => serialize(this.name, '', { ...this.attributes, ...twin, maxAge: 0 }));
  }

  /** Whether a `Set-Cookie` is for our cookie; one with the same name and another Domain, Path or partition is not. */
  isOurs(header: string): boolean {
    const { domain, path, partitioned } = this.attributes;
    return (
      header.startsWith(`${this.name}=`) &&
      attributeOf(header, 'domain')?.replace(/^\./, '').toLowerCase() === domain &&
      (attributeOf(header, 'path') ?? path) === path &&
      /;[ \t]*partitioned[ \t]*(?:;|$)/i.test(header) === partitioned
    );
  }

  /**
   * `Set-Cookie` that removes it: Max-Age=0 with the same attributes, otherwise the browser takes it for another
   * cookie.
   */
  clear(): string {
    return serialize(this.name, '', { ...this.attributes, maxAge: 0 });
  }
}

/** The attributes of every cookie of ours. */
export function cookieAttributes({ cookie }: AuthConfig): SerializeOptions {
  const { secure, sameSite, domain, path, partitioned } = cookie;
  return { domain, path, httpOnly: true, secure, partitioned, sameSite };
}

/** Every value under this exact name in a Cookie header, as it was sent. */
export function cookieValues(header: string | undefined, name: string): string[] {
  if (!header?.includes(name)) return [];
  const values: string[] = [];
  for (const pair of header.split(';')) {
    const equals = pair.indexOf('=');
    if (equals === -1 || trimOptionalWhitespace(pair.slice(0, equals)) !== name) continue;
    values.push(trimOptionalWhitespace(pair.slice(equals + 1)));
  }
  return values;
}

/** The value of an attribute in a `Set-Cookie`: the last one, if there are several (RFC 6265bis 5.7). An empty one counts as missing. */
function attributeOf(header: string, name: string): string | undefined {
  const value = [...header.matchAll(new RegExp(`;[ \\t]*${name}[ \\t]*=([^;]*)`, 'gi'))].at(-1)?.[1];
  return (value && trimOptionalWhitespace(value)) || undefined;
}
