import { constants, createHmac, generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { isSignedBy } from './jws-signature.js';

const TEXT = 'header.claims';
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const short = generateKeyPairSync('rsa', { modulusLength: 1024 });
const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' });
const p521 = generateKeyPairSync('ec', { namedCurve: 'P-521' });
const ed25519 = generateKeyPairSync('ed25519');
const ed448 = generateKeyPairSync('ed448');

const by = (hash: string | null, key: KeyObject, options = {}) => sign(hash, Buffer.from(TEXT), { key, ...options });
const PSS = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST };
const RAW = { dsaEncoding: 'ieee-p1363' } as const;

describe('F59: the signature of a JWS', () => {
  const good: [alg: string, key: KeyObject, signature: Buffer][] = [
    ['RS256', rsa.publicKey, by('sha256', rsa.privateKey)],
    ['RS384', rsa.publicKey, by('sha384', rsa.privateKey)],
    ['RS512', rsa.publicKey, by('sha512', rsa.privateKey)],
    ['PS256', rsa.publicKey, by('sha256', rsa.privateKey, PSS)],
    ['PS384', rsa.publicKey, by('sha384', rsa.privateKey, PSS)],
    ['PS512', rsa.publicKey, by('sha512', rsa.privateKey, PSS)],
    ['ES256', p256.publicKey, by('sha256', p256.privateKey, RAW)],
    ['ES384', p384.publicKey, by('sha384', p384.privateKey, RAW)],
    ['ES512', p521.publicKey, by('sha512', p521.privateKey, RAW)],
    ['EdDSA', ed25519.publicKey, by(null, ed25519.privateKey)],
    ['Ed25519', ed25519.publicKey, by(null, ed25519.privateKey)],
  ];

  it.each(good)('%s is accepted, and not if anything of it is another', (alg, key, signature) => {
    expect(isSignedBy(key, alg, TEXT, signature)).toBe(true);
    const changed = Buffer.from(signature);
    changed[0]! ^= 1;
    expect(isSignedBy(key, alg, TEXT, changed)).toBe(false);
    expect(isSignedBy(key, alg, `${TEXT}x`, signature)).toBe(false);
    expect(isSignedBy(key, alg, TEXT, Buffer.alloc(0))).toBe(false);
    const others = good.filter(([other, otherKey]) => otherKey !== key || !isSameName(other, alg));
    expect(others.filter(([other, otherKey]) => isSignedBy(otherKey, other, TEXT, signature))).toEqual([]);
  });

  it('is none without a key pair, by a short key, or on another curve', () => {
    const pem = rsa.publicKey.export({ type: 'spki', format: 'pem' });
    const hmac = createHmac('sha256', pem).update(TEXT).digest();
    expect(isSignedBy(rsa.publicKey, 'HS256', TEXT, hmac)).toBe(false);
    expect(isSignedBy(rsa.publicKey, 'none', TEXT, Buffer.alloc(0))).toBe(false);
    expect(isSignedBy(rsa.publicKey, 'toString', TEXT, hmac)).toBe(false);
    expect(isSignedBy(short.publicKey, 'RS256', TEXT, by('sha256', short.privateKey))).toBe(false);
    expect(isSignedBy(p384.publicKey, 'ES256', TEXT, by('sha256', p384.privateKey, RAW))).toBe(false);
    expect(isSignedBy(p256.publicKey, 'ES256', TEXT, by('sha256', p256.privateKey))).toBe(false);
    expect(isSignedBy(ed448.publicKey, 'EdDSA', TEXT, by(null, ed448.privateKey))).toBe(false);
  });
});

/** RFC 9864 has given EdDSA with this curve a name of its own. */
const isSameName = (one: string, other: string) => [one, other].every((alg) => alg.startsWith('Ed')) || one === other;
