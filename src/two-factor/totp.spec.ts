import { describe, expect, it } from '@jest/globals';
import { base32, fromBase32 } from './base32.js';
import { matchingStep, totpCode, totpStep, totpUri } from './totp.js';

/** RFC 6238, appendix B: the secret of the SHA-1 vectors. */
const SECRET = Buffer.from('12345678901234567890');

describe('TOTP', () => {
  it.each([
    [59, '94287082'],
    [1_111_111_109, '07081804'],
    [1_111_111_111, '14050471'],
    [1_234_567_890, '89005924'],
    [2_000_000_000, '69279037'],
    [20_000_000_000, '65353130'],
  ])('F47: the vector of RFC 6238 at %d s', (at, code) => {
    expect(totpCode(SECRET, totpStep(at * 1000), 8)).toBe(code);
    expect(totpCode(SECRET, totpStep(at * 1000))).toBe(code.slice(2));
  });

  it.each(['755224', '287082', '359152', '969429', '338314', '254676', '287922', '162583', '399871', '520489'])(
    'the vector of RFC 4226: %s',
    (code) => {
      expect(Array.from({ length: 10 }, (_, counter) => totpCode(SECRET, counter))).toContain(code);
    },
  );

  it('F47: one step before and one after count, and no other, at the exact edges of a step', () => {
    const step = 50_000_000;
    const code = totpCode(SECRET, step);
    const start = step * 30_000;
    expect(matchingStep(SECRET, code, start - 30_001)).toBeNull();
    for (const at of [start - 30_000, start - 1, start, start + 29_999, start + 30_000, start + 59_999]) {
      expect(matchingStep(SECRET, code, at)).toBe(step);
    }
    expect(matchingStep(SECRET, code, start + 60_000)).toBeNull();
  });

  it.each(['', '12345', '1234567', 'abcdef', '١٢٣٤٥٦', '-12345', '0x1234'])('is no code: %j', (code) => {
    expect(matchingStep(SECRET, code, 0)).toBeNull();
  });

  it('forgives the blanks that apps show', () => {
    expect(matchingStep(SECRET, '755 224', 0)).toBe(0);
  });

  it('the vectors of RFC 4648, without padding, both ways', () => {
    const vectors = {
      '': '',
      f: 'MY',
      fo: 'MZXQ',
      foo: 'MZXW6',
      foob: 'MZXW6YQ',
      fooba: 'MZXW6YTB',
      foobar: 'MZXW6YTBOI',
    };
    for (const [text, encoded] of Object.entries(vectors)) {
      expect(base32(Buffer.from(text))).toBe(encoded);
      expect(fromBase32(encoded)?.toString()).toBe(text);
    }
    expect(fromBase32('mzxw 6ytb oi==')?.toString()).toBe('foobar');
    expect(fromBase32('MZXW1')).toBeNull();
  });

  it('names the issuer and the account so that nothing can be put between them', () => {
    const uri = new URL(totpUri('MZXW6', { issuer: 'A&B', account: 'a?secret=B@example.com' }));
    expect(decodeURIComponent(uri.pathname)).toMatch(/A&B:a\?secret=B@example\.com$/);
    expect(Object.fromEntries(uri.searchParams)).toEqual({
      secret: 'MZXW6',
      issuer: 'A&B',
      algorithm: 'SHA1',
      digits: '6',
      period: '30',
    });
  });
});
