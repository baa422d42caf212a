import { isUtf8 } from 'node:buffer';
import { createHmac, timingSafeEqual, type KeyObject } from 'node:crypto';
import { deflateSync, inflateSync } from 'node:zlib';
import type { Duration } from '../common/duration.js';
import { canonicalBytes } from './base64url.js';
import type { Keys } from './key-ring.js';

/** The result of reading a value. `signedAt` is in epoch milliseconds, a whole second. */
export type DecodeResult =
  | { readonly status: 'ok'; readonly payload: unknown; readonly signedAt: number }
  | { readonly status: 'expired' | 'bad_signature' | 'bad_payload' };

/** Four cookies' worth (RFC 6265bis 5.6: 4096 bytes each); anything longer is refused before any work. */
const MAX_VALUE_LENGTH = 16_384;
/** The most a payload may inflate to: 16 KiB could otherwise become 16 MiB. */
const MAX_PAYLOAD_BYTES = 65_536;
/**
 * Small chunks, since most payloads are small: Node allocates one before it knows how much there is to inflate. With its
 * 16 KiB a signed cookie takes a fifth longer to read.
 */
const BOUNDED = { maxOutputLength: MAX_PAYLOAD_BYTES, chunkSize: 1024 };
const MAX_TIMESTAMP_BYTES = 8;

const BAD_SIGNATURE: DecodeResult = { status: 'bad_signature' };
const BAD_PAYLOAD: DecodeResult = { status: 'bad_payload' };
const EXPIRED: DecodeResult = { status: 'expired' };

/**
 * The wire format of itsdangerous' `URLSafeTimedSerializer`, both ways: `payload.timestamp.signature`, each base64url;
 * a payload that starts with `.` is deflated (zlib); the signature is HMAC-SHA1. Use `KeyRing.forSalt` for the keys.
 *
 * Only the canonical spelling is read, the one that itsdangerous writes; its own reader also takes padding, foreign
 * characters and stray bits in the last one.
 */
export class TimedSerializer {
  constructor(private readonly keys: Keys) {}

  /**
   * Throws a `TypeError` for a value that JSON cannot hold, and a `RangeError` for one that `decode` would find too
   * long.
   */
  encode(payload: unknown, { now }: { now: number }): string {
    const json = JSON.stringify(payload) as string | undefined;
    if (json === undefined) throw new TypeError('This payload cannot be written as JSON.');
    const plain = Buffer.from(json);
    const deflated = deflateSync(plain);
    const segment =
      deflated.length < plain.length - 1 ? `.${deflated.toString('base64url')}` : plain.toString('base64url');
    const body = `${segment}.${timestampAt(now)}`;
    const value = `${body}.${signatureOf(body, this.keys[0])}`;
    if (plain.length > MAX_PAYLOAD_BYTES || value.length > MAX_VALUE_LENGTH) {
      throw new RangeError(`This payload is too long to be signed: ${plain.length} bytes.`);
    }
    return value;
  }

  /**
   * Never throws, whatever the value is. Checked in this order: the signature, in constant time; the age, which may be
   * exactly `maxAge` but not negative (in whole seconds; `leeway`, default 0, is how far in the future it may be
   * signed); the payload.
   */
  decode(
    value: string,
    { now, maxAge, leeway = 0 }: { now: number; maxAge: Duration; leeway?: Duration },
  ): DecodeResult {
    if (typeof value !== 'string' || value.length > MAX_VALUE_LENGTH) return BAD_SIGNATURE;
    const end = value.lastIndexOf('.');
    if (end < 0) return BAD_SIGNATURE;
    const body = value.slice(0, end);
    if (!this.hasSigned(body, value.slice(end + 1))) return BAD_SIGNATURE;

    const middle = body.lastIndexOf('.');
    const signedAt = middle < 0 ? null : instantOf(body.slice(middle + 1));
    if (signedAt === null) return BAD_SIGNATURE;
    const age = Math.floor(now / 1000) * 1000 - signedAt;
    if (!(age >= -leeway && age <= maxAge)) return EXPIRED;

    const payload = payloadOf(body.slice(0, middle));
    return payload === undefined ? BAD_PAYLOAD : { status: 'ok', payload, signedAt };
  }

  /** Compares the texts as UTF-8: the same bytes have several spellings in base64url. */
  private hasSigned(body: string, signature: string): boolean {
    const given = Buffer.from(signature);
    return this.keys.some((key) => {
      const expected = Buffer.from(signatureOf(body, key));
      return given.length === expected.length && timingSafeEqual(given, expected);
    });
  }
}

function signatureOf(body: string, key: KeyObject): string {
  return createHmac('sha1', key).update(body).digest('base64url');
}

/** Whole seconds as a big-endian integer without leading zero bytes; 1970-01-01T00:00:00Z is the empty text. */
function timestampAt(now: number): string {
  const seconds = Math.floor(now / 1000);
  if (!(seconds >= 0)) throw new RangeError(`Not an instant that can be signed: ${now}`);
  const hex = seconds === 0 ? '' : seconds.toString(16);
  return Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex').toString('base64url');
}

function instantOf(segment: string): number | null {
  const bytes = canonicalBytes(segment);
  if (bytes === null || bytes.length > MAX_TIMESTAMP_BYTES) return null;
  return bytes.reduce((seconds, byte) => seconds * 256 + byte, 0) * 1000;
}

/** The parsed JSON, or `undefined`, which no JSON text stands for. */
function payloadOf(segment: string): unknown {
  const deflated = segment.startsWith('.');
  const bytes = canonicalBytes(deflated ? segment.slice(1) : segment);
  if (bytes === null) return undefined;
  try {
    const json = deflated ? inflateSync(bytes, BOUNDED) : bytes;
    return isUtf8(json) ? (JSON.parse(json.toString()) as unknown) : undefined;
  } catch {
    return undefined;
  }
}
