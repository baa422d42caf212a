import { isIP } from 'node:net';
import type { OptionChecker } from './option-checker.js';

const COOKIE_NAME = /^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/;

/** A domain as a Domain attribute spells it: labels in lower case, no leading dot, no port. */
const DOMAIN = /^(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/;

/**
 * A path as a Path attribute spells it (RFC 6265bis 4.1.1): absolute, and without characters that end the attribute.
 */
const PATH = /^\/[\x21-\x3a\x3c-\x7e]*$/;

/** The session cookie. HttpOnly is always set. */
export class CookieSettings {
  /** The name without its prefix, which the module adds: see `hostPrefix`. Default `session`. */
  name: string = 'session';

  /**
   * Default true, regardless of NODE_ENV. Turn it off only for development over plain http; the prefix goes with it,
   * since browsers refuse one without the other.
   */
  secure: boolean = true;

  /**
   * Whether the name has the prefix that browsers enforce while the cookie is secure: `__Host-`, or `__Secure-` with a
   * `domain` or a `path`, which `__Host-` rules out (RFC 6265bis 4.1.3). Default true: `__Host-` keeps other hosts of
   * your domain from setting the cookie. Turn it off only to keep reading the cookies of the system that you are moving
   * from.
   */
  hostPrefix: boolean = true;

  /** Default `lax`: sent on top-level navigation, not on cross-site POST. `none` needs `secure`. */
  sameSite: 'lax' | 'strict' | 'none' = 'lax';

  /**
   * The domain whose hosts all share the login, such as `example.com`. The cookie is then called `__Secure-…`, and
   * every host of the domain can read and set it: leave it out if one host is enough. A cookie with the same name and
   * no domain is cleared, as if it were listed in `clearDomains`. Default: this host only.
   */
  domain: string | undefined = undefined;

  /**
   * The path below which the browser sends the cookie; `routes.path` and your handlers must be below it. It protects
   * nothing: pages of the same origin can reach each other's cookies (RFC 6265bis 8.5). Default `/`.
   */
  path: string = '/';

  /**
   * A separate cookie for every top-level site that embeds yours (CHIPS). Needs `secure`, and `sameSite: 'none'` to be
   * sent in a frame of another site. The cookie with the same name that is not partitioned is cleared. Default false.
   */
  partitioned: boolean = false;

  /**
   * Domains, such as `example.com`, for which another system (or an older version of yours) has set a cookie of the
   * same name. A browser then sends both, and neither logs anybody in; logins, logouts and requests with two cookies
   * clear those of these domains. A `__Host-` cookie never has a domain, so it needs `hostPrefix: false` or `domain`.
   * Default none.
   */
  clearDomains: readonly string[] = [];
}

/**
 * The prefix of the cookie's name on the wire. `__Host-` needs Secure, Path=/ and no Domain; `__Secure-` needs Secure
 * (RFC 6265bis 4.1.3).
 */
export function cookiePrefix({ secure, hostPrefix, domain, path }: CookieSettings): '' | '__Secure-' | '__Host-' {
  if (!secure || !hostPrefix) return '';
  return domain === undefined && path === '/' ? '__Host-' : '__Secure-';
}

export function checkCookie(
  check: OptionChecker,
  written: Partial<CookieSettings> | undefined,
  baseUrl?: string,
): CookieSettings {
  const cookie = check.settings('cookie', new CookieSettings(), written);
  check.that(
    typeof cookie.name === 'string' && COOKIE_NAME.test(cookie.name) && !/^__(host|secure)-/i.test(cookie.name),
    "cookie.name must be a cookie name (RFC 6265 token) without the '__Host-' prefix: the module adds that itself.",
  );
  check.flag('cookie.secure', cookie.secure);
  check.flag('cookie.hostPrefix', cookie.hostPrefix);
  check.oneOf('cookie.sameSite', cookie.sameSite, ['lax', 'strict', 'none']);
  check.that(
    cookie.sameSite !== 'none' || cookie.secure,
    "cookie.sameSite 'none' needs cookie.secure: browsers drop the cookie otherwise. Serve over https, or use 'lax'.",
  );
  checkReach(check, cookie, baseUrl);
  const { clearDomains } = cookie;
  const areDomains =
    Array.isArray(clearDomains) && clearDomains.every((one) => typeof one === 'string' && DOMAIN.test(one));
  check.that(areDomains, "cookie.clearDomains must be a list of domains such as ['example.com'].");
  check.that(
    !areDomains || clearDomains.length === 0 || cookiePrefix(cookie) !== '__Host-',
    'cookie.clearDomains needs cookie.hostPrefix: false: no cookie with a domain is called __Host-….',
  );
  check.that(
    !areDomains || cookie.domain === undefined || !clearDomains.includes(cookie.domain),
    'cookie.clearDomains must not list cookie.domain: every login would clear its own cookie.',
  );
  return cookie;
}

/** Where the browser keeps the cookie, and where it sends it. */
function checkReach(check: OptionChecker, { domain, path, partitioned, secure }: CookieSettings, baseUrl?: string) {
  const isDomain = typeof domain === 'string' && DOMAIN.test(domain) && isIP(domain) === 0 && domain.includes('.');
  check.that(
    domain === undefined || isDomain,
    "cookie.domain must be a domain such as 'example.com': lower case, no leading dot, no port, no address; leave it " +
      'out for this host only.',
  );
  const host = typeof baseUrl === 'string' && URL.canParse(baseUrl) ? new URL(baseUrl).hostname : undefined;
  check.that(
    !isDomain || host === undefined || host === domain || host.endsWith(`.${domain}`),
    `cookie.domain must be the host of baseUrl (${host}) or a domain above it: browsers drop the cookie otherwise.`,
  );
  check.that(typeof path === 'string' && PATH.test(path), "cookie.path must be a path such as '/' or '/app'.");
  check.flag('cookie.partitioned', partitioned);
  check.that(
    !partitioned || secure,
    'cookie.partitioned needs cookie.secure: browsers drop the cookie otherwise. Serve over https.',
  );
}
