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

/** An optional origin: that of the application itself. */
export function checkBaseUrl(check: OptionChecker, value: string | undefined): string | undefined {
  check.that(
    value === undefined || isOrigin(value),
    "baseUrl must be an origin such as 'https://app.example.com': scheme and host, no path.",
  );
  return value;
}

/** `https://app.example.com` as browsers write it: scheme, host and a port that is not the scheme's own. */
function isOrigin(value: unknown): boolean {
  if (typeof value !== 'string' || !URL.canParse(value) || value.includes('*')) return false;
  const url = new URL(value);
  return url.origin === value && (url.protocol === 'https:' || url.protocol === 'http:');
}
