import { createHash, createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { fuzz, FUZZED } from '../../test/support/fuzz.js';
import { AuthConfig } from '../config/auth-config.js';
import { KeyRing } from '../crypto/key-ring.js';
import { SignedTokens } from './signed-tokens.js';

interface Valid {
  raw_token: string;
  secret: string;
  signed_token: string;
  signed_with_previous: string;
  db_token_hash: string;
}
const vectors = JSON.parse(readFileSync('test/vectors/bangui-token.json', 'utf8')) as {
  previous_secret?: string;
  rule: string;
  valid: (Valid & { previous_secret?: string })[];
  invalid: { name: string; value: string }[];
};
const CURRENT = 's'.repeat(32);
const PREVIOUS = 'previous-secret-previous-secret-0001';
const by = (...secrets: string[]) => new SignedTokens(new KeyRing(AuthConfig.from({ secrets })));

describe('vectors of signed tokens', () => {
  it.each(vectors.valid)('$raw_token', (vector) => {
    const tokens = by(vector.secret);
    expect(tokens.sign(vector.raw_token)).toBe(vector.signed_token);
    expect(tokens.unwrap(vector.signed_token)).toBe(vector.raw_token);
    expect(tokens.idOf(vector.signed_token)).toBe(vector.db_token_hash);
  });

  it.each(vectors.valid)(
    'T: rotation: token of the previous secret accepted while previous is set, refused after unset ($raw_token)',
    ({ secret, raw_token, signed_with_previous, signed_token }) => {
      expect(by(secret, PREVIOUS).unwrap(signed_with_previous)).toBe(raw_token);
      expect(by(secret).unwrap(signed_with_previous)).toBeNull();
      expect(by(secret, PREVIOUS).sign(raw_token)).toBe(signed_token);
    },
  );

  it.each(vectors.invalid)('refused: $name', ({ value }) => {
    expect(by(CURRENT, PREVIOUS).unwrap(value)).toBeNull();
    expect(by(CURRENT, PREVIOUS).idOf(value)).toBeNull();
  });
});

describe('SignedTokens', () => {
  const tokens = by(CURRENT);

  it('issues 32 random bytes in hex and the HMAC of that text', () => {
    const [raw = '', signature] = tokens.issue().split('.');
    expect(raw).toMatch(/^[0-9a-f]{64}$/);
    expect(signature).toBe(createHmac('sha256', CURRENT).update(raw).digest('hex'));
    expect(tokens.idOf(`${raw}.${signature}`)).toBe(createHash('sha256').update(raw).digest('hex'));
    expect(tokens.issue()).not.toBe(`${raw}.${signature}`);
  });

  it('T: token of a third secret refused', () => {
    expect(by(CURRENT, PREVIOUS).unwrap(by('t'.repeat(32)).issue())).toBeNull();
  });

  it('T: new logins are signed with the new secret', () => {
    expect(by(CURRENT).unwrap(by(CURRENT, PREVIOUS).issue())).not.toBeNull();
    expect(by(PREVIOUS).unwrap(by(CURRENT, PREVIOUS).issue())).toBeNull();
  });

  it('T: unsigned token refused, and so is the stored hash (R33)', () => {
    const token = tokens.issue();
    const [raw = ''] = token.split('.');
    const id = tokens.idOf(token) as string;
    for (const value of [raw, `${raw}.`, id, `${id}.`, `${raw}.${id}`, `${raw}.${raw}`]) {
      expect([value, tokens.unwrap(value)]).toEqual([value, null]);
    }
  });

  it('has one spelling: another case, a space or a full-width digit is another token', () => {
    const token = tokens.issue();
    const [raw = '', signature = ''] = token.split('.');
    const wide = token.replace(/\d/g, (digit) => String.fromCharCode(digit.charCodeAt(0) + 0xfee0));
    for (const value of [`${raw}.${signature.toUpperCase()}`, token.toUpperCase(), ` ${token}`, `${token}\n`, wide]) {
      expect(tokens.unwrap(value)).toBeNull();
    }
  });

  it('signs nothing that could be the name of a key: the signature of "session" would be the key of all session JWTs', () => {
    const keyRing = new KeyRing(AuthConfig.from({ secrets: [CURRENT] }));
    const key = keyRing.forPurpose('session')[0].export().toString('hex');
    expect(createHmac('sha256', CURRENT).update('session').digest('hex')).toBe(key);
    expect(() => tokens.sign('session')).toThrow(TypeError);
    expect(tokens.unwrap(`session.${key}`)).toBeNull();
    expect(() => keyRing.forPurpose('ab'.repeat(32))).toThrow(TypeError);
  });

  it.each([undefined, null, 5, {}, [], [tokens.issue()]])('%p is no token', (value) => {
    expect(tokens.unwrap(value as string)).toBeNull();
  });

  it('random and mutated values: never an exception, never accepted', () => {
    for (const value of fuzz([tokens.issue(), tokens.issue()], FUZZED)) {
      if (tokens.idOf(value) !== null) throw new Error(`accepted: ${JSON.stringify(value)}`);
    }
  });
});
