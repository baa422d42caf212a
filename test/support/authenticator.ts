import { createHash, randomBytes, type KeyObject } from 'node:crypto';
import { coseKeys, signedBy, type CoseAlgorithm, type CoseKeys } from './cose-keys.js';

const sha256 = (data: string | Uint8Array) => createHash('sha256').update(data).digest();
const b64 = (data: Uint8Array) => Buffer.from(data).toString('base64url');

/** What a client may do otherwise than a browser, to be refused. */
export interface Tampering {
  readonly origin?: string;
  readonly rpId?: string;
  readonly type?: string;
  readonly challenge?: string;
  readonly clientData?: object;
  readonly userVerified?: boolean;
  readonly userPresent?: boolean;
  /** In place of the next one. */
  readonly signCount?: number;
  readonly userHandle?: string | null;
  readonly rawId?: string;
  readonly credentialType?: string;
  /** Another key signs. */
  readonly key?: KeyObject;
  readonly signature?: (signature: Buffer) => Uint8Array;
  readonly authenticatorData?: (data: Buffer) => Uint8Array;
}

interface CreationOptions {
  readonly challenge: string;
  readonly rp: { readonly id: string };
  readonly user: { readonly id: string };
}

interface RequestOptions {
  readonly challenge: string;
  readonly rpId: string;
}

/**
 * An authenticator and its browser in software, to make answers that are valid but for one thing. It holds one key
 * and makes no attestation (WebAuthn Level 3, sections 6.1 and 6.5).
 */
export class SoftwareAuthenticator {
  readonly keys: CoseKeys;
  readonly credentialId = b64(randomBytes(32));
  /** What it has signed last. Negative: it does not count, and says 0. */
  signCount = 0;
  private userHandle: string | null = null;

  constructor(
    private readonly origin: string,
    { counts = true, algorithm = -7 }: { counts?: boolean; algorithm?: CoseAlgorithm } = {},
  ) {
    this.keys = coseKeys(algorithm);
    if (!counts) this.signCount = -1;
  }

  /** What the browser makes of `POST passkeys/options`. */
  register(options: CreationOptions, tampering: Tampering = {}) {
    this.userHandle = options.user.id;
    const credential = Buffer.from(this.credentialId, 'base64url');
    const attested = Buffer.concat([Buffer.alloc(16), u16(credential.length), credential, cbor(this.keys.cose)]);
    const data = this.data(tampering.rpId ?? options.rp.id, 0x40, tampering, attested);
    const attestationObject = cbor(
      new Map<string, unknown>([
        ['fmt', 'none'],
        ['attStmt', new Map()],
        ['authData', tampering.authenticatorData?.(data) ?? data],
      ]),
    );
    return {
      ...this.credential(tampering),
      response: {
        clientDataJSON: this.clientData('webauthn.create', options.challenge, tampering),
        attestationObject: b64(attestationObject),
        transports: ['internal', 'hybrid', 'carrier-pigeon'],
      },
    };
  }

  /** What the browser makes of the options of a login, second step or step-up. */
  use(options: RequestOptions, tampering: Tampering = {}) {
    const clientDataJSON = this.clientData('webauthn.get', options.challenge, tampering);
    const signed = this.data(tampering.rpId ?? options.rpId, 0, tampering);
    const data = Buffer.from(tampering.authenticatorData?.(signed) ?? signed);
    const base = Buffer.concat([signed, sha256(Buffer.from(clientDataJSON, 'base64url'))]);
    const signature = signedBy(tampering.key ?? this.keys.privateKey, base);
    const userHandle = tampering.userHandle === undefined ? this.userHandle : tampering.userHandle;
    return {
      ...this.credential(tampering),
      response: {
        clientDataJSON,
        authenticatorData: b64(data),
        signature: b64(tampering.signature?.(signature) ?? signature),
        ...(userHandle !== null && { userHandle }),
      },
    };
  }

  private credential({ rawId, credentialType }: Tampering) {
    return {
      id: this.credentialId,
      rawId: rawId ?? this.credentialId,
      type: credentialType ?? 'public-key',
      authenticatorAttachment: 'platform',
      clientExtensionResults: {},
    };
  }

  private clientData(type: string, challenge: string, tampering: Tampering): string {
    const data = {
      type: tampering.type ?? type,
      challenge: tampering.challenge ?? challenge,
      origin: tampering.origin ?? this.origin,
      crossOrigin: false,
      ...tampering.clientData,
    };
    return b64(Buffer.from(JSON.stringify(data)));
  }

  private data(rpId: string, flags: number, tampering: Tampering, attested = Buffer.alloc(0)): Buffer {
    const { userVerified = true, userPresent = true } = tampering;
    if (this.signCount >= 0) this.signCount += 1;
    const count = Buffer.alloc(4);
    count.writeUInt32BE(tampering.signCount ?? Math.max(0, this.signCount));
    const all = flags | (userPresent ? 0x01 : 0) | (userVerified ? 0x04 : 0);
    return Buffer.concat([sha256(rpId), Buffer.from([all]), count, attested]);
  }
}

function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

/** The few kinds of CBOR (RFC 8949) that an attestation object and a key are made of. */
function cbor(value: unknown): Buffer {
  if (typeof value === 'number') return value < 0 ? head(1, -1 - value) : head(0, value);
  if (typeof value === 'string') return Buffer.concat([head(3, Buffer.byteLength(value)), Buffer.from(value)]);
  if (value instanceof Uint8Array) return Buffer.concat([head(2, value.length), value]);
  if (value instanceof Map) {
    return Buffer.concat([head(5, value.size), ...[...value].flatMap(([key, one]) => [cbor(key), cbor(one)])]);
  }
  throw new TypeError('Not a value that a passkey is made of.');
}

function head(major: number, size: number): Buffer {
  if (size < 24) return Buffer.from([(major << 5) | size]);
  if (size < 256) return Buffer.from([(major << 5) | 24, size]);
  return Buffer.concat([Buffer.from([(major << 5) | 25]), u16(size)]);
}
