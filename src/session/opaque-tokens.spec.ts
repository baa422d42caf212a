import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { OpaqueTokens } from './opaque-tokens.js';

const vectors = JSON.parse(readFileSync('test/vectors/xtablo-session.json', 'utf8')) as {
  valid: { raw_hex: string; cookie_value: string; session_id: string }[];
  must_be_not_found_without_a_query: { name: string; value: string }[];
  implementation_dependent: { name: string; value: string }[];
};

const tokens = new OpaqueTokens();

describe('OpaqueTokens', () => {
  it.each(vectors.valid)('vector $raw_hex: the id is the SHA-256 of the raw bytes', ({ cookie_value, session_id }) => {
    expect(tokens.idOf(cookie_value)).toBe(session_id);
  });

  it.each(vectors.must_be_not_found_without_a_query)('refused without a query: $name', ({ value }) => {
    expect(tokens.idOf(value)).toBeNull();
  });

  it.each(vectors.implementation_dependent)('one spelling only: $name is refused', ({ value }) => {
    expect(tokens.idOf(value)).toBeNull();
  });

  it.each([
    ['31 bytes', 31],
    ['33 bytes', 33],
    ['64 hex characters', 48],
  ])('refused: %s', (_, length) => {
    expect(tokens.idOf(Buffer.alloc(length, 7).toString('base64url'))).toBeNull();
  });

  it.each([
    ['a padded token', `${tokens.issue()}=`],
    ['a trailing newline', `${tokens.issue()}\n`],
    ['64 hex characters', 'ab'.repeat(32)],
    ['a list', [tokens.issue()] as unknown as string],
    ['nothing', undefined as unknown as string],
    ['a megabyte', 'A'.repeat(1_000_000)],
  ])('refused: %s', (_, token) => {
    expect(tokens.idOf(token)).toBeNull();
  });

  it('is 43 characters of base64url, and never the same', () => {
    const issued = new Set(Array.from({ length: 1000 }, () => tokens.issue()));
    expect(issued.size).toBe(1000);
    for (const token of issued) expect(token).toMatch(/^[A-Za-z0-9_-]{43}$/);
    for (const token of issued) expect(tokens.idOf(token)).toMatch(/^[0-9a-f]{64}$/);
  });
});
