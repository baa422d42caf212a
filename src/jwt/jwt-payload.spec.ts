import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { seconds } from '../common/duration.js';
import { isPayloadBulkRevoked } from './jwt-payload.js';

const { bulk_revocation: vectors } = JSON.parse(readFileSync('test/vectors/regstack-jwt.json', 'utf8')) as {
  bulk_revocation: { name: string; iat: string; cutoff: string | null; revoked: boolean }[];
};
/** Epoch milliseconds with microseconds, which `Date.parse` drops. */
const instant = (text: string) => Date.parse(text) + Number(/\.\d{3}(\d{3})/.exec(text)?.[1] ?? 0) / 1000;

const NOW = Date.UTC(2025, 0, 1);

describe('isPayloadBulkRevoked', () => {
  it.each(vectors)('vector $name: $revoked', ({ iat, cutoff, revoked }) => {
    expect(isPayloadBulkRevoked({ iat: instant(iat) }, cutoff === null ? null : instant(cutoff))).toBe(revoked);
  });

  it('T: cutoff = now-10 s -> not revoked; now+10 s -> revoked; cutoff == iat -> revoked', () => {
    expect(isPayloadBulkRevoked({ iat: NOW }, NOW - seconds(10))).toBe(false);
    expect(isPayloadBulkRevoked({ iat: NOW }, NOW + seconds(10))).toBe(true);
    expect(isPayloadBulkRevoked({ iat: NOW }, NOW)).toBe(true);
  });

  it('compares whole microseconds: neither a rounding error nor a millisecond decides', () => {
    expect(isPayloadBulkRevoked({ iat: NOW + 0.3 }, NOW + 0.1 + 0.2)).toBe(true);
    expect(isPayloadBulkRevoked({ iat: NOW + 0.301 }, NOW + 0.3)).toBe(false);
    expect(isPayloadBulkRevoked({ iat: NOW + 0.3 }, NOW + 0.301)).toBe(true);
  });

  it('a cutoff that is no number revokes: what cannot be compared is not trusted', () => {
    expect(isPayloadBulkRevoked({ iat: NOW }, Number.NaN)).toBe(true);
    expect(isPayloadBulkRevoked({ iat: Number.NaN }, NOW)).toBe(true);
  });
});
