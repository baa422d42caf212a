import type { OptionChecker } from './option-checker.js';

/** The HTTP routes of this module. Without `routes` none are mounted. */
export interface RouteOptions {
  /** Where they are mounted, below the application's global prefix: `auth` gives `POST /auth/login` and so on. */
  path: string;
  /**
   * Whether `POST login` and `POST token` are mounted too. Default true. Turn it off if your own login asks for more
   * than the password: these ask for the password only.
   */
  login?: boolean;
  /** Whether logout also sends `Clear-Site-Data: "cache", "cookies", "storage"`. Default false. */
  clearSiteData?: boolean;
}

export function checkRoutes(check: OptionChecker, written: RouteOptions | undefined): RouteOptions | undefined {
  if (written === undefined) return undefined;
  check.keys('routes.', written, ['path', 'login', 'clearSiteData']);
  const { path, login = true, clearSiteData = false } = (written ?? {}) as Partial<RouteOptions>;
  check.that(
    typeof path === 'string' && path.trim() !== '',
    "routes.path must be a path such as 'auth'; leave `routes` out to mount no routes.",
  );
  check.flag('routes.login', login);
  check.flag('routes.clearSiteData', clearSiteData);
  return { ...written };
}
