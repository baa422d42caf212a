import { describe, expect, it } from '@jest/globals';
import { sha256Hex } from '../crypto/hash.js';
import { hashOfApiKey, isApiKey, lackOf, newApiKey, type StoredApiKey } from './api-key.js';

describe('API keys', () => {
  it('lk_ and 43 characters, of which the SHA-256 of the bytes is stored', () => {
    const { key, hash, prefix } = newApiKey();
    expect(key).toMatch(/^lk_[A-Za-z0-9_-]{43}$/);
    expect(hash).toBe(sha256Hex(Buffer.from(key.slice(3), 'base64url')));
    expect(hashOfApiKey(key)).toBe(hash);
    expect(key.startsWith(prefix)).toBe(true);
    expect(prefix).toHaveLength(9);
    expect(newApiKey().key).not.toBe(key);
  });

  it.each(['', 'lk_', `lk_${'A'.repeat(42)}`, `lk_${'A'.repeat(44)}`, `lk_${'A'.repeat(42)}B`, `LK_${'A'.repeat(43)}`])(
    '%j is none',
    (text) => expect(hashOfApiKey(text)).toBeNull(),
  );

  it('no token of a session is taken for one', () => {
    for (const token of ['A'.repeat(43), `lk_${'A'.repeat(40)}`, `lk_${'A'.repeat(40)}.${'0'.repeat(64)}`, 'a.b.c']) {
      expect(isApiKey(token)).toBe(false);
    }
  });

  const stored = (changes: { revokedAt?: number; disabledAt?: number; tokensInvalidatedAfter?: number } = {}) => {
    const { revokedAt = null, ...account } = changes;
    const apiKey = {
      id: '',
      userId: '1',
      name: '',
      prefix: '',
      scopes: [],
      createdAt: 10,
      expiresAt: 20,
      lastUsedAt: null,
    };
    return { apiKey, revokedAt, user: { id: '1', email: '', ...account } } satisfies StoredApiKey;
  };

  it.each([
    [stored(), 19.999, null],
    [stored(), 20, 'expired'],
    [stored(), Number.NaN, 'expired'],
    [stored({ revokedAt: 12 }), 13, 'revoked'],
    [stored({ disabledAt: 5 }), 13, 'owner'],
    [stored({ tokensInvalidatedAfter: 10 }), 13, 'owner'],
    [stored({ tokensInvalidatedAfter: 9.999 }), 13, null],
  ])('%j at %d: %s', (key, now, expected) => expect(lackOf(key, now)).toBe(expected));
});
