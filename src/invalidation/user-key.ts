const HEX_32 = /^[0-9a-f]{32}$/;

/**
 * One spelling for an id that PostgreSQL takes in several: a uuid may come in capitals, in braces or without hyphens, and
 * what is cached for it must go whichever way it was named.
 */
export function userKey(id: string): string {
  const digits = id.replaceAll(/[{}-]/g, '').toLowerCase();
  return HEX_32.test(digits) ? digits : id;
}
