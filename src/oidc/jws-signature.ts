import { constants, verify, type KeyObject } from 'node:crypto';

interface Algorithm {
  readonly keyType: 'rsa' | 'ec' | 'ed25519';
  readonly curve?: string;
  /** Ed25519 brings its own. */
  readonly hash: string | null;
  readonly options?: object;
}

/** Shorter ones are refused (RFC 7518, section 3.3). */
const MIN_RSA_BITS = 2048;
const PSS = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST };
const ED25519: Algorithm = { keyType: 'ed25519', hash: null };
const ec = (curve: string, hash: string): Algorithm => ({
  keyType: 'ec',
  curve,
  hash,
  options: { dsaEncoding: 'ieee-p1363' },
});

/** By which only the owner of a key pair signs (RFC 7518, sections 3.3 to 3.5, RFC 8037, RFC 9864): no `none`, no HMAC. */
const ALGORITHMS: ReadonlyMap<string, Algorithm> = new Map<string, Algorithm>([
  ['RS256', { keyType: 'rsa', hash: 'sha256' }],
  ['RS384', { keyType: 'rsa', hash: 'sha384' }],
  ['RS512', { keyType: 'rsa', hash: 'sha512' }],
  ['PS256', { keyType: 'rsa', hash: 'sha256', options: PSS }],
  ['PS384', { keyType: 'rsa', hash: 'sha384', options: PSS }],
  ['PS512', { keyType: 'rsa', hash: 'sha512', options: PSS }],
  ['ES256', ec('prime256v1', 'sha256')],
  ['ES384', ec('secp384r1', 'sha384')],
  ['ES512', ec('secp521r1', 'sha512')],
  ['EdDSA', ED25519],
  ['Ed25519', ED25519],
]);

/** Whether this is the signature of the text by this key and algorithm (RFC 7515, section 5.2). It never throws. */
export function isSignedBy(key: KeyObject, alg: string, text: string, signature: Buffer): boolean {
  const algorithm = ALGORITHMS.get(alg);
  if (!algorithm || key.asymmetricKeyType !== algorithm.keyType) return false;
  const { modulusLength = MIN_RSA_BITS, namedCurve } = key.asymmetricKeyDetails ?? {};
  if (modulusLength < MIN_RSA_BITS || namedCurve !== algorithm.curve) return false;
  try {
    return verify(algorithm.hash, Buffer.from(text), { key, ...algorithm.options }, signature);
  } catch {
    return false;
  }
}
