import { describe, expect, it } from '@jest/globals';
import { mistakesOf, withSecrets } from '../../test/support/config-mistakes.js';
import { AuthConfig } from './auth-config.js';
import { hashesAtOnce } from './password-settings.js';

describe('password settings', () => {
  it('have the parameters of OWASP', () => {
    const { password } = AuthConfig.from({ secrets: ['x'.repeat(32)] });
    expect(password).toMatchObject({ memoryCost: 19_456, timeCost: 2, parallelism: 1, queue: 128, maxFailures: 100 });
    expect(password).toMatchObject({ minLength: 15, contextWords: [], breachCheck: undefined });
  });

  it.each<[number, string | undefined, number]>([
    [1, undefined, 1],
    [2, undefined, 1],
    [4, undefined, 3],
    [64, undefined, 3],
    [64, '16', 15],
    [8, '16', 7],
    [8, '2', 1],
    [8, '1', 1],
    [8, 'many', 1],
  ])('%s cores and UV_THREADPOOL_SIZE=%s: %s hashes at once', (cores, poolSize, expected) => {
    expect(hashesAtOnce(cores, poolSize)).toBe(expected);
  });

  it.each<[string, object, RegExp]>([
    ['half a hash at once', { concurrency: 0.5 }, /whole number/],
    ['H14: more failures in a row than NIST allows', { maxFailures: 101 }, /password\.maxFailures .* from 10 to 100/],
    ['H14: so few that nothing could be kept for known places', { maxFailures: 9 }, /password\.maxFailures/],
    ['H14: no bound at all', { maxFailures: Infinity }, /password\.maxFailures/],
    ['F33: less than NIST allows with a second factor', { minLength: 7 }, /password\.minLength .* from 8 to 64/],
    ['F33: more than NIST allows to ask for', { minLength: 65 }, /password\.minLength/],
    ['F33: a part of a character', { minLength: 15.5 }, /password\.minLength/],
    ['a single context word', { contextWords: 'acme' }, /password\.contextWords must be a list/],
    ['a context word that is part of every other', { contextWords: ['a'] }, /password\.contextWords/],
    ['a breach check over plain http', { breachCheck: { url: 'http://pwned.example/range/' } }, /breachCheck\.url/],
    ['a breach check of half an address', { breachCheck: { url: 'https://pwned.example/range' } }, /breachCheck\.url/],
    ['a breach check by an address', { breachCheck: { fetch: 'https://pwned.example/' } }, /breachCheck\.fetch/],
    ['a breach check that takes an hour', { breachCheck: { timeout: 3_600_000 } }, /breachCheck\.timeout/],
    ['a breach check that may do anything', { breachCheck: { onFault: 'ignore' } }, /breachCheck\.onFault/],
    ['an unknown option of it', { breachCheck: { prefix: 5 } }, /password\.breachCheck\.prefix is not an option/],
    ['a breach check that is only turned on', { breachCheck: true }, /password\.breachCheck must be an object/],
    ['a bigint', { parallelism: 1n }, /password\.parallelism/],
    ['less memory than the lanes need', { parallelism: 4, memoryCost: 31 }, /password\.memoryCost .* from 32 to/],
    ['a legacy verifier that was not called', { legacy: [() => ({})] }, /password\.legacy must be a list of verifiers/],
    ['a single legacy verifier', { legacy: { recognizes() {}, verify() {} } }, /password\.legacy must be a list/],
    ['previous parameters that are no list', { previous: {} }, /password\.previous must be a list/],
    [
      'a previous set without its lanes',
      { previous: [{ memoryCost: 64, timeCost: 1 }] },
      /password\.previous\[0\]\.parall/,
    ],
  ])('refuse %s', (_, password, remedy) => {
    expect(mistakesOf(withSecrets({ password }))).toEqual([expect.stringMatching(remedy)]);
  });
});
