import { domainToASCII, domainToUnicode } from 'node:url';

/** Longest login name, in characters after normalisation: RFC 5321's 64 + 1 + 255. */
export const MAX_LOGIN_LENGTH = 320;

/** In UTF-16 units, of which NFKC makes one character out of six at most. */
const MAX_LOGIN_UNITS = 6 * MAX_LOGIN_LENGTH;

/** In characters; longer ones are no domains (RFC 1035 2.3.4), and `domainToASCII` takes quadratic time for them. */
const MAX_DOMAIN_LENGTH = 253;

/**
 * Characters that a reader cannot see: control and format characters (zero-width, soft hyphen, bidirectional
 * overrides), line separators, lone surrogates. Two names that differ in them look the same.
 */
export const INVISIBLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/u;

/**
 * The canonical spelling of an e-mail address or user name: NFKC, trimmed, lower case, an international domain in its
 * ASCII form (`xn--`, UTS 46). Apply it once, before validation, limits and lookups, so that `Ａlice@…` and `alice@…`
 * are the same account everywhere, as are `user@пример.рф` and `user@xn--e1afmkfd.xn--p1ai`. It validates nothing; what
 * is longer than any login name, more than 1,920 UTF-16 units, is only trimmed and put in lower case, and a domain of
 * more than 253 keeps its letters.
 *
 * @throws {TypeError} for anything but a string.
 *
 * @example
 * ```ts
 * const user = await accounts.findByLogin(normalizeLogin(' Ada@Example.com ')); // ada@example.com
 * ```
 */
export function normalizeLogin(login: string): string {
  const trimmed = login.trim();
  // NFKC takes quadratic time for a run of combining marks: a minute of the event loop for a megabyte.
  if (trimmed.length > MAX_LOGIN_UNITS) return trimmed.toLowerCase();
  const name = trimmed.normalize('NFKC').trim().toLowerCase();
  return withDomain(name, (domain) => (isInternational(domain) ? domainToASCII(domain) : domain));
}

/**
 * Every spelling of a normalised login under which an account may be stored: the name itself, and one with the letters
 * of its international domain, as another program may have written it.
 */
export function spellingsOf(login: string): readonly string[] {
  const other = withDomain(login, (domain) => (isCanonicalDomain(domain) ? domainToUnicode(domain) : domain));
  return other === login ? [login] : [login, other];
}

/**
 * Whether the domain is already spelled as `normalizeLogin` would spell it, so that no other spelling maps to the same
 * one.
 */
export function isCanonicalDomain(domain: string): boolean {
  return domain.length <= MAX_DOMAIN_LENGTH && domainToASCII(domainToUnicode(domain)) === domain;
}

/** A name without an `@` is returned unchanged. */
function withDomain(name: string, spelled: (domain: string) => string): string {
  const at = name.lastIndexOf('@') + 1;
  return at === 0 ? name : name.slice(0, at) + (spelled(name.slice(at)) || name.slice(at));
}

/** Any other character would be dropped or decoded, which would turn one name into another. */
function isInternational(domain: string): boolean {
  return (
    domain.length <= MAX_DOMAIN_LENGTH &&
    /^[a-z0-9._\u0080-\u{10ffff}-]+$/u.test(domain) &&
    /[\u0080-\u{10ffff}]/u.test(domain) &&
    !INVISIBLE.test(domain)
  );
}
