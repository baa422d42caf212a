import type { OptionChecker } from './option-checker.js';

export function checkTrustedOrigins(check: OptionChecker, value: unknown = []): readonly string[] {
  if (!Array.isArray(value)) {
    check.that(false, "trustedOrigins must be a list, for example ['https://app.example.com'].");
    return [];
  }
  Array.from<unknown>(value).forEach((origin, index) => {
    check.that(
      isOrigin(origin) || isAppOrigin(origin),
      `trustedOrigins[${index}] must be an origin such as 'https://app.example.com' or 'capacitor://localhost': scheme ` +
        "and host, no path, no '*'; never 'null', which every sandboxed page sends.",
    );
  });
  return [...(value as string[])];
}

/** An optional origin, the application's own. */
export function checkBaseUrl(check: OptionChecker, value: string | undefined): string | undefined {
  check.that(
    value === undefined || isOrigin(value),
    "baseUrl must be an origin such as 'https://app.example.com': scheme and host, no path.",
  );
  return value;
}

/** Whether this is an origin over http of another machine: browsers take localhost for secure. */
export function isPlainHttp(origin: unknown): boolean {
  if (typeof origin !== 'string' || !URL.canParse(origin)) return false;
  const { protocol, hostname } = new URL(origin);
  return protocol === 'http:' && !LOCAL_HOST.test(hostname);
}

/** Potentially trustworthy over http (W3C Secure Contexts 3.1). */
const LOCAL_HOST = /^(?:(?:.+\.)?localhost|127(?:\.\d{1,3}){3}|\[::1\])$/;

/**
 * An origin as browsers write it, such as `https://app.example.com`: scheme, host, and a port only if it is not the
 * scheme's default.
 */
function isOrigin(value: unknown): boolean {
  if (typeof value !== 'string' || !URL.canParse(value) || value.includes('*')) return false;
  const url = new URL(value);
  return url.origin === value && (url.protocol === 'https:' || url.protocol === 'http:');
}

/** Schemes that `isOrigin` checks, or that no app has. */
const WEB_SCHEMES = new Set(['http', 'https', 'ws', 'wss', 'ftp', 'file', 'data', 'blob', 'about', 'javascript']);
const APP_ORIGIN = /^([a-z][a-z0-9+.-]*):\/\/[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?(?::[0-9]{1,5})?$/;

/** The origin of an installed app's web view, such as `capacitor://localhost`: compared as written. */
function isAppOrigin(value: unknown): boolean {
  const scheme = typeof value === 'string' ? APP_ORIGIN.exec(value)?.[1] : undefined;
  return scheme !== undefined && !WEB_SCHEMES.has(scheme);
}
