import type { OptionChecker } from './option-checker.js';

export function checkTrustedOrigins(check: OptionChecker, value: unknown = []): readonly string[] {
  if (!Array.isArray(value)) {
    check.that(false, "trustedOrigins must be a list, for example ['https://app.example.com'].");
    return [];
  }
  Array.from<unknown>(value).forEach((origin, index) => {
    check.that(
      isOrigin(origin),
      `trustedOrigins[${index}] must be an origin such as 'https://app.example.com': scheme and host, no path, no '*'.`,
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

/**
 * An origin as browsers write it, such as `https://app.example.com`: scheme, host, and a port only if it is not the
 * scheme's default.
 */
function isOrigin(value: unknown): boolean {
  if (typeof value !== 'string' || !URL.canParse(value) || value.includes('*')) return false;
  const url = new URL(value);
  return url.origin === value && (url.protocol === 'https:' || url.protocol === 'http:');
}
