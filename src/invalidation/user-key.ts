const HEX_32 = /^[0-9a-f]{32}$/;

/**
 * The canonical spelling of an id that PostgreSQL accepts in several: a uuid may be in capitals, in braces or without
 * hyphens, and its cache entry must be found whichever way it is named.
 */
export function userKey(id: string): string {
  const digits = id.replaceAll(/[{}-]/g, '').toLowerCase();
  return HEX_32.test(digits) ? digits : id;
}
