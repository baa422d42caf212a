import { hash } from 'node:crypto';

/**
 * Lower-case hex SHA-256. Sufficient for values with at least 112 bits of entropy (OWASP ASVS 6.5.2), so for tokens;
 * never for passwords or short codes.
 */
export function sha256Hex(data: string | Buffer): string {
  return hash('sha256', data, 'hex');
}

const HASHED = 'sha256:';

/**
 * `text` as a key for a column of at most `maxLength` characters: itself if it fits, else its hash. It is never
 * truncated, so two texts never share a key; a text that looks like one of our hashes, or that PostgreSQL cannot hold,
 * is hashed too.
 */
export function columnKey(text: string, maxLength: number): string {
  const short = text.length <= maxLength || Array.from(text).length <= maxLength;
  const fits = short && !text.startsWith(HASHED) && !/[\p{Cc}\p{Cs}]/u.test(text);
  // JSON escapes lone surrogates, which UTF-8 would all turn into the same character.
  return fits ? text : HASHED + sha256Hex(JSON.stringify(text));
}
