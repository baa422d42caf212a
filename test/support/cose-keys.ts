import { generateKeyPairSync, sign, type KeyObject } from 'node:crypto';

/** A key pair that an authenticator holds, with its public half as COSE has it (RFC 9053, RFC 8230). */
export interface CoseKeys {
  readonly privateKey: KeyObject;
  readonly cose: ReadonlyMap<number, unknown>;
}

const bytesOf = (value: string | undefined) => Buffer.from(value!, 'base64url');

/** By the identifier of the algorithm (IANA COSE Algorithms). */
const MAKERS = {
  // ES256
  [-7]: () => {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const { x, y } = publicKey.export({ format: 'jwk' });
    return { privateKey, kind: 2, parts: [1, bytesOf(x), bytesOf(y)] };
  },
  // EdDSA
  [-8]: () => {
    const { privateKey, publicKey } = generateKeyPairSync('ed25519');
    return { privateKey, kind: 1, parts: [6, bytesOf(publicKey.export({ format: 'jwk' }).x)] };
  },
  // RS256
  [-257]: () => {
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2_048 });
    const { n, e } = publicKey.export({ format: 'jwk' });
    return { privateKey, kind: 3, parts: [bytesOf(n), bytesOf(e)] };
  },
};
export type CoseAlgorithm = keyof typeof MAKERS;

export function coseKeys(algorithm: CoseAlgorithm): CoseKeys {
  const { privateKey, kind, parts } = MAKERS[algorithm]();
  const cose = new Map<number, unknown>([
    [1, kind],
    [3, algorithm],
    ...parts.map((part, i): [number, unknown] => [-1 - i, part]),
  ]);
  return { privateKey, cose };
}

/** Ed25519 hashes by itself; the others sign a SHA-256. */
export function signedBy(key: KeyObject, data: Uint8Array): Buffer {
  return sign(key.asymmetricKeyType === 'ed25519' ? null : 'sha256', data, key);
}
