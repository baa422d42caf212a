import { describe, expect, it } from '@jest/globals';
import { fuzz } from '../../test/support/fuzz.js';
import { AuthConfig } from '../config/auth-config.js';
import { KeyRing } from './key-ring.js';
import { SealedText } from './sealed-text.js';

const [A, B] = ['a'.repeat(32), 'b'.repeat(32)];
const sealerOf = (...secrets: string[]) =>
  new SealedText(new KeyRing(AuthConfig.from({ secrets })).forPurpose('a purpose of its own'));
const sealer = sealerOf(A);

describe('SealedText', () => {
  it('opens what it sealed, in the context it was sealed for and in no other', () => {
    const sealed = sealer.seal('täken', 'row 1');
    expect(sealer.open(sealed, 'row 1')).toBe('täken');
    expect(sealer.open(sealed, 'row 2')).toBeNull();
    expect(sealer.open(sealed, '')).toBeNull();
    expect(sealer.open(sealer.seal('', ''), '')).toBe('');
  });

  it('shows nothing of the text, and never looks the same twice', () => {
    const sealed = new Set(Array.from({ length: 1000 }, () => sealer.seal('the same token', 'row')));
    expect(sealed.size).toBe(1000);
    const nonces = new Set([...sealed].map((text) => text.slice(0, 16)));
    expect(nonces.size).toBe(1000);
    for (const text of sealed) expect(Buffer.from(text, 'base64url').toString('latin1')).not.toContain('token');
  });

  it('every single changed bit is noticed', () => {
    const bytes = Buffer.from(sealer.seal('token', 'row'), 'base64url');
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const changed = Buffer.from(bytes);
      changed[bit >> 3]! ^= 1 << (bit & 7);
      expect(sealer.open(changed.toString('base64url'), 'row')).toBeNull();
    }
    expect(sealer.open(bytes.toString('base64url'), 'row')).toBe('token');
  });

  it('the first secret seals, all open, a foreign one does not', () => {
    const old = sealer.seal('token', 'row');
    expect(sealerOf(B, A).open(old, 'row')).toBe('token');
    expect(sealerOf(B).open(old, 'row')).toBeNull();
    expect(sealerOf(B).open(sealerOf(B, A).seal('token', 'row'), 'row')).toBe('token');
  });

  it('a key of another purpose does not open it', () => {
    const other = new SealedText(new KeyRing(AuthConfig.from({ secrets: [A] })).forPurpose('another purpose'));
    expect(other.open(sealer.seal('token', 'row'), 'row')).toBeNull();
  });

  it.each([undefined, null, 5, {}, [], '', 'AAAA', 'A'.repeat(5000), '!'.repeat(60)])('%p opens as null', (value) => {
    expect(sealer.open(value as string, 'row')).toBeNull();
  });

  it('has one spelling: padding and stray bits are refused', () => {
    const sealed = sealer.seal('toke', 'row');
    expect(Buffer.from(`${sealed}=`, 'base64url')).toEqual(Buffer.from(sealed, 'base64url'));
    expect(sealer.open(`${sealed}=`, 'row')).toBeNull();
  });

  it('20,000 random and mutated values: never an exception, never opened', () => {
    const values = [sealer.seal('token', 'row'), sealer.seal('x'.repeat(129), 'row')];
    expect([...fuzz(values, 20_000)].filter((value) => sealer.open(value, 'row') !== null)).toEqual([]);
  });
});
