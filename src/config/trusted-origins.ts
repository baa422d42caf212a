import type { OptionChecker } from './option-checker.js';

export function checkTrustedOrigins(check: OptionChecker, value: unknown = []): readonly string[] {
  if (!Array.isArray(value)) {
    check.that(false, "trustedOrigins must be a list, for example ['https://app.example.com'].");
    return [];
  }
  Array.from<unknown>(value).forEach((origin, index) => {
    check.that(
      typeof origin === 'string' && isOrigin(origin),
      `trustedOrigins[${index}] must be an origin such as 'https://app.example.com': scheme and host, no path, no '*'.`,
    );
  });
  return [...(value as string[])];
}

function isOrigin(value: string): boolean {
  if (!URL.canParse(value) || value.includes('*')) return false;
  const url = new URL(value);
  return url.origin === value && (url.protocol === 'https:' || url.protocol === 'http:');
}
