/** Longest login name, in characters after normalisation: RFC 5321's 64 + 1 + 255. */
export const MAX_LOGIN_LENGTH = 320;

/**
 * The one spelling of an e-mail address or user name: NFKC, trimmed, lower case. Done once, before validation, limits
 * and lookups, so that `Ａlice@…` and `alice@…` are the same account everywhere.
 */
export function normalizeLogin(login: string): string {
  return login.normalize('NFKC').trim().toLowerCase();
}
