import type { OptionChecker } from './option-checker.js';

const COOKIE_NAME = /^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/;

/** A domain as a Domain attribute spells it: labels in lower case, no leading dot, no port. */
const DOMAIN = /^(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/;

/**
 * The session cookie. HttpOnly and Path=/ are always set; Domain never is, except to clear the cookies of
 * `clearDomains`.
 */
export class CookieSettings {
  /** The name without its prefix: `__Host-` is added while `secure` is on. Default `session`. */
  name: string = 'session';

  /**
   * Default true, regardless of NODE_ENV. Turn it off only for development over plain http; the `__Host-` prefix goes
   * with it, since browsers refuse one without the other.
   */
  secure: boolean = true;

  /**
   * Whether the cookie is called `__Host-…` while it is secure. Default true: the prefix keeps other hosts of your
   * domain from setting the cookie. Turn it off only to keep reading the cookies of the system that you are moving
   * from.
   */
  hostPrefix: boolean = true;

  /** Default `lax`: sent on top-level navigation, not on cross-site POST. `none` needs `secure`. */
  sameSite: 'lax' | 'strict' | 'none' = 'lax';

  /**
   * Domains, such as `example.com`, for which another system (or an older version of yours) has set a cookie of the
   * same name. A browser then sends both, and neither logs anybody in; logins, logouts and requests with two cookies
   * clear those of these domains. Needs `hostPrefix: false`: a `__Host-` cookie never has a domain. Default none.
   */
  clearDomains: readonly string[] = [];
}

export function checkCookie(check: OptionChecker, written: Partial<CookieSettings> | undefined): CookieSettings {
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
  const { clearDomains } = cookie;
  const areDomains =
    Array.isArray(clearDomains) && clearDomains.every((one) => typeof one === 'string' && DOMAIN.test(one));
  check.that(areDomains, "cookie.clearDomains must be a list of domains such as ['example.com'].");
  check.that(
    !areDomains || clearDomains.length === 0 || !(cookie.secure && cookie.hostPrefix),
    'cookie.clearDomains needs cookie.hostPrefix: false: no cookie with a domain is called __Host-….',
  );
  return cookie;
}
