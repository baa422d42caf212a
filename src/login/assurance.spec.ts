import { describe, expect, it } from '@jest/globals';
import { minutes } from '../common/duration.js';
import { aalOf, STALE, isFresh, provedAnew } from './assurance.js';

describe('what proofs are worth', () => {
  it.each<[amr: string[], aal: 1 | 2, ifEmailCounts: 1 | 2]>([
    [[], 1, 1],
    [['password'], 1, 1],
    [['password', 'totp'], 2, 2],
    [['password', 'backup-code'], 2, 2],
    [['password', 'passkey-presence'], 2, 2],
    [['passkey'], 2, 2],
    [['passkey-presence'], 1, 1],
    [['oidc-mfa'], 2, 2],
    [['oidc', 'totp'], 1, 1],
    [['password', 'email-code'], 1, 2],
    [['email-code'], 1, 1],
    // One mailbox twice.
    [['magic-link', 'email-code'], 1, 1],
    [['password', 'magic-link'], 1, 1],
    [['oidc', 'email-code'], 1, 1],
    [['password', 'saml'], 1, 1],
  ])('F54: %j: %i, and %i with emailCounts', (amr, aal, ifEmailCounts) => {
    expect(aalOf(amr)).toBe(aal);
    expect(aalOf(amr, { emailCounts: false })).toBe(aal);
    expect(aalOf(amr, { emailCounts: true })).toBe(ifEmailCounts);
  });
});

describe('F82: whether a session is fresh', () => {
  const maxAge = minutes(5);
  it.each<[what: string, age: number, amr: string[], expected: boolean]>([
    ['a moment before', maxAge - 0.001, ['password'], true],
    ['at the exact instant', maxAge, ['password'], false],
    ['proved before everything of the account ended', 0, ['oidc', STALE], false],
    ['and proved anew since', 0, provedAnew(['oidc', STALE]), true],
  ])('%s', (_, age, amr, expected) => {
    expect(isFresh({ authenticatedAt: 1_000, amr }, { now: 1_000 + age, maxAge })).toBe(expected);
  });
});
