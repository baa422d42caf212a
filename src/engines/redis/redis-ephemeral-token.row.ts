import type { EphemeralTokenKey } from '../../ephemeral-token/ephemeral-token.store.js';
import type { EphemeralTokenRow } from '../../ephemeral-token/ephemeral-token.types.js';
import { word } from './redis-session.row.js';

const FREE = '~';

/**
 * The fields that scripts decide about, as words: type, expiry, challenge, nonce, and the transaction that holds it;
 * then everything as JSON.
 */
export function formatToken(row: EphemeralTokenRow): string {
  return `${word(row.type)} ${row.expiresAt} ${word(row.challengeId)} ${word(row.nonce)} ${FREE}\n${JSON.stringify(row)}`;
}

export function parseToken(text: string): EphemeralTokenRow & { held: boolean } {
  const end = text.indexOf('\n');
  return {
    ...(JSON.parse(text.slice(end + 1)) as EphemeralTokenRow),
    held: text[end - 1] !== FREE || text[end - 2] !== ' ',
  };
}

/** The same rule as in the scripts. */
export function isUsable(row: EphemeralTokenRow, { type, binding, now }: EphemeralTokenKey): boolean {
  const bound = row[binding.column];
  const fits = bound === null ? binding.optional : bound === binding.value;
  return row.type === type && row.expiresAt > now && fits;
}
