import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { inspect } from 'node:util';
import { describe, expect, it } from '@jest/globals';
import { Hidden } from '../common/hidden.js';
import { AuthConfig } from '../config/auth-config.js';
import { KeyRing, type Keys } from './key-ring.js';

const derivations = (
  JSON.parse(readFileSync('test/vectors/regstack-jwt.json', 'utf8')) as {
    derive_secret: { master: string; purpose: string; derived_hex: string }[];
  }
).derive_secret;

const ringOf = (...secrets: string[]) => new KeyRing(AuthConfig.from({ secrets }));
/** What AuthConfig would have refused before. */
const uncheckedRing = (...secrets: unknown[]) => new KeyRing({ secrets: new Hidden(secrets) } as unknown as AuthConfig);
const hex = (keys: Keys) => keys.map((key) => key.export().toString('hex'));

describe('KeyRing', () => {
  it.each(derivations.filter(({ master, purpose }) => master !== 'x' && purpose !== ''))(
    'vector: the key of "$purpose" under "$master"',
    ({ master, purpose, derived_hex }) => {
      expect(hex(ringOf(master).forPurpose(purpose))).toEqual([derived_hex]);
    },
  );

  it('derives one key from each secret, the current one first', () => {
    const [a, b] = ['a'.repeat(32), 'b'.repeat(32)];
    const ring = ringOf(a, b);
    expect(hex(ring.forPurpose('session'))).toEqual([
      ...hex(ringOf(a).forPurpose('session')),
      ...hex(ringOf(b).forPurpose('session')),
    ]);
    expect(hex(ring.forSalt('salt'))).toEqual(
      [a, b].map((secret) => createHash('sha1').update(`saltsigner${secret}`).digest('hex')),
    );
    expect(hex(ring.masters)).toEqual([a, b].map((secret) => Buffer.from(secret).toString('hex')));
  });

  it('derives a key once, and holds no more than a few hundred', () => {
    const ring = ringOf('a'.repeat(32));
    const first = ring.forPurpose('first');
    expect(ring.forPurpose('first')).toBe(first);
    for (let i = 0; i < 300; i++) ring.forPurpose(`other-${i}`);
    expect(ring.forPurpose('first')).not.toBe(first);
    expect(hex(ring.forPurpose('first'))).toEqual(hex(first));
  });

  it('a purpose and a salt of the same name have different keys', () => {
    const ring = ringOf('a'.repeat(32));
    expect(hex(ring.forPurpose('session'))).not.toEqual(hex(ring.forSalt('session')));
  });

  it('T: secret "short" / construct / throws "at least 32 characters"', () => {
    expect(() => uncheckedRing('short')).toThrow('at least 32 characters');
  });

  it('T: empty jwt_secret / construct / error', () => {
    expect(() => uncheckedRing('')).toThrow('at least 32 characters');
    expect(() => uncheckedRing()).toThrow('at least one secret');
    expect(() => uncheckedRing('a'.repeat(32), null)).toThrow(TypeError);
  });

  it('counts code points, as the source does: 32 emoji are enough, 16 (of 2 UTF-16 units each) are not', () => {
    expect(() => uncheckedRing('😀'.repeat(32))).not.toThrow();
    expect(() => uncheckedRing('😀'.repeat(31))).toThrow('at least 32 characters');
  });

  it.each(['', 'ab'.repeat(16), '0'.repeat(64)])('refuses the purpose "%s"', (purpose) => {
    expect(() => ringOf('a'.repeat(32)).forPurpose(purpose)).toThrow(TypeError);
  });

  it('shows no secret when it is inspected or written as JSON', () => {
    const ring = ringOf('a'.repeat(32));
    ring.forPurpose('session');
    const shown = inspect([ring, ring.masters], { depth: 9, showHidden: true }) + JSON.stringify([ring, ring.masters]);
    expect(shown).not.toContain('aaaa');
    expect(shown).not.toContain('6161');
  });
});
