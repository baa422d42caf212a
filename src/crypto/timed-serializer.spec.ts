import { createHash, createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { deflateSync, inflateSync } from 'node:zlib';
import { describe, expect, it } from '@jest/globals';
import { fuzz, FUZZED } from '../../test/support/fuzz.js';
import { days, hours, seconds } from '../common/duration.js';
import { AuthConfig } from '../config/auth-config.js';
import { KeyRing } from './key-ring.js';
import { TimedSerializer } from './timed-serializer.js';

interface Vector {
  name: string;
  kind: string;
  secret: string;
  salt: string;
  timestamp?: number;
  derived_key_hex?: string;
  payload?: unknown;
  payload_json?: string;
  compressed?: boolean;
  parts?: { payload_segment: string; timestamp_segment: string; signature_segment: string };
  token: string;
  checks: { now: number; max_age: number; result: string; payload?: unknown }[];
}
const { vectors } = JSON.parse(readFileSync('test/vectors/itsdangerous.json', 'utf8')) as { vectors: Vector[] };
const valid = vectors.filter(({ kind }) => kind === 'valid') as Required<Vector>[];

/** Spellings of a valid token that no itsdangerous writes, though every itsdangerous reads them. */
const LENIENT = ['signature-last-char-noncanonical', 'signature-padded', 'signature-with-four-junk-chars'];
const STATUS: Record<string, string> = {
  ok: 'ok',
  SignatureExpired: 'expired',
  BadTimeSignature: 'bad_signature',
  BadSignature: 'bad_signature',
  BadPayload: 'bad_payload',
};

const NOW = Date.UTC(2025, 0, 1);
const SECRET = 'x'.repeat(32);
const keysOf = (salt: string, ...secrets: string[]) => new KeyRing(AuthConfig.from({ secrets })).forSalt(salt);
const serializer = new TimedSerializer(keysOf('salt', SECRET));
const read = (value: string, now = NOW, maxAge = hours(1)) => serializer.decode(value, { now, maxAge });

/** A value with the right signature, made from the rules of the format alone. */
function signed(payload: string, timestamp = Buffer.from('677485 80'.replace(' ', ''), 'hex').toString('base64url')) {
  const body = `${payload}.${timestamp}`;
  const key = createHash('sha1').update(`saltsigner${SECRET}`).digest();
  return `${body}.${createHmac('sha1', key).update(body).digest('base64url')}`;
}

describe('vectors of itsdangerous', () => {
  const checks = vectors.flatMap((vector) => vector.checks.map((check) => ({ ...vector, ...check })));

  it.each(checks)(
    '$name at $now, max_age $max_age: $result',
    ({ name, secret, salt, token, now, max_age, ...expected }) => {
      const opened = new TimedSerializer(keysOf(salt, secret)).decode(token, {
        now: seconds(now),
        maxAge: seconds(max_age),
      });
      if (LENIENT.includes(name)) {
        expect(expected.result).toBe('ok');
        expect(opened).toEqual({ status: 'bad_signature' });
      } else if (expected.result === 'ok') {
        expect(opened).toMatchObject({ status: 'ok', payload: expected.payload });
      } else {
        expect(opened).toEqual({ status: STATUS[expected.result] });
      }
    },
  );

  it.each(valid)(
    '$name: what we write for the same payload',
    ({ secret, salt, timestamp, payload_json, ...vector }) => {
      const keys = keysOf(salt, secret);
      expect(keys[0].export().toString('hex')).toBe(vector.derived_key_hex);

      const ours = new TimedSerializer(keys).encode(JSON.parse(payload_json), { now: seconds(timestamp) });
      expect(ours.startsWith('.')).toBe(vector.compressed);
      const [payload = '', stamp, signature] = ours.split('.').slice(-3);
      const bytes = Buffer.from(payload, 'base64url');
      expect((vector.compressed ? inflateSync(bytes) : bytes).toString()).toBe(payload_json);
      expect(stamp).toBe(vector.parts.timestamp_segment);
      const body = ours.slice(0, ours.lastIndexOf('.'));
      const key = Buffer.from(vector.derived_key_hex, 'hex');
      expect(signature).toBe(createHmac('sha1', key).update(body).digest('base64url'));
      if (!vector.compressed) expect(ours).toBe(vector.token);
    },
  );
});

describe('TimedSerializer', () => {
  it('writes epoch 0 as an empty timestamp and reads it back', () => {
    const value = serializer.encode({ a: 1 }, { now: 0 });
    expect(value.split('.')[1]).toBe('');
    expect(read(value, 0)).toEqual({ status: 'ok', payload: { a: 1 }, signedAt: 0 });
  });

  it('ages in whole seconds: maxAge exactly is valid, one second more and any age below 0 are expired', () => {
    const value = serializer.encode('v', { now: NOW + 999 });
    const statusAt = (now: number) => read(value, now).status;
    expect([NOW, NOW + hours(1) + 999, NOW + hours(1) + 1000, NOW - 1].map(statusAt)).toEqual([
      'ok',
      'ok',
      'expired',
      'expired',
    ]);
    expect(read(value, NOW, Number.NaN).status).toBe('expired');
    expect(read(value, Number.NaN).status).toBe('expired');
  });

  it('the first secret signs, all verify, an unknown one does not', () => {
    const [a, b, c] = ['a', 'b', 'c'].map((letter) => letter.repeat(32)) as [string, string, string];
    const by = (...secrets: string[]) => new TimedSerializer(keysOf('salt', ...secrets));
    const old = by(a).encode('v', { now: NOW });
    const at = { now: NOW, maxAge: hours(1) };
    expect(by(b, a).decode(old, at).status).toBe('ok');
    expect(by(b).decode(old, at).status).toBe('bad_signature');
    expect(by(b, c).decode(old, at).status).toBe('bad_signature');
    expect(by(b).decode(by(b, a).encode('v', { now: NOW }), at).status).toBe('ok');
  });

  it('the signature is checked before anything else, so that an expired forgery is a forgery', () => {
    const value = serializer.encode('v', { now: NOW });
    expect(read(`${value.slice(0, -3)}AAA`, NOW + days(1)).status).toBe('bad_signature');
  });

  it('an expired value is not inflated: its payload is not looked at', () => {
    expect(read(signed('.AAAA'), NOW + days(1)).status).toBe('expired');
  });

  it('stops a decompression bomb at 64 KiB', () => {
    const bomb = deflateSync(Buffer.from(JSON.stringify('0'.repeat(10_000_000)))).toString('base64url');
    expect(bomb.length).toBeLessThan(16_000);
    const before = process.memoryUsage().arrayBuffers;
    expect(read(signed(`.${bomb}`)).status).toBe('bad_payload');
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1_000_000);
    const largest = deflateSync(Buffer.from(JSON.stringify('0'.repeat(65_534)))).toString('base64url');
    expect(read(signed(`.${largest}`)).status).toBe('ok');
  });

  it.each([
    ['padded payload', 'e30='],
    ['stray bits in the last character', 'e31'],
    ['plus and slash', Buffer.from('"~~~???"').toString('base64')],
    ['no JSON', Buffer.from('{').toString('base64url')],
    ['empty', ''],
    ['a byte order mark', Buffer.from('\ufeff{}').toString('base64url')],
    ['not UTF-8', Buffer.from([0x22, 0xff, 0x22]).toString('base64url')],
    ['half a UTF-8 surrogate', Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22]).toString('base64url')],
    ['no zlib', '.e30'],
    ['cut zlib', `.${deflateSync('{"a":"aaaaaaaaaaaaaa"}').subarray(0, -5).toString('base64url')}`],
    ['empty zlib', '.'],
    ['two dots', '..e30'],
  ])('rightly signed, but the payload is %s: bad_payload', (_, payload) => {
    expect(read(signed(payload))).toEqual({ status: 'bad_payload' });
  });

  it.each([
    ['padded', 'Z3SFgA=='],
    ['of 9 bytes', 'AAAAAGd0hYAA'],
    ['with stray bits', 'Z3SFgB'],
    ['with foreign characters', 'Z3S!FgA'],
  ])('rightly signed, but the timestamp is %s: bad_signature', (_, timestamp) => {
    expect(read(signed('e30', timestamp))).toEqual({ status: 'bad_signature' });
  });

  it('rightly signed without a timestamp: bad_signature', () => {
    const key = createHash('sha1').update(`saltsigner${SECRET}`).digest();
    expect(read(`e30.${createHmac('sha1', key).update('e30').digest('base64url')}`).status).toBe('bad_signature');
  });

  it.each([undefined, null, 5, {}, [], ['a.b.c'], Symbol('s')])('%p is no value', (value) => {
    expect(read(value as string)).toEqual({ status: 'bad_signature' });
  });

  it('a huge value is refused before it is hashed', () => {
    const huge = signed('A'.repeat(50_000_000));
    const reading = timeOf(() => createHash('sha256').update(huge).digest());
    const refusing = timeOf(() => {
      expect(read(huge).status).toBe('bad_signature');
    });
    expect(refusing).toBeLessThan(reading / 2);
  });

  it('encode refuses what JSON cannot hold, what decode would refuse and an instant before 1970', () => {
    expect(() => serializer.encode(undefined, { now: NOW })).toThrow(TypeError);
    expect(() => serializer.encode(5n, { now: NOW })).toThrow(TypeError);
    expect(() => serializer.encode('0'.repeat(65_535), { now: NOW })).toThrow(RangeError);
    expect(() => serializer.encode('v', { now: -1 })).toThrow(RangeError);
    expect(() => serializer.encode('v', { now: Number.NaN })).toThrow(RangeError);
  });

  it('random and mutated values: never an exception, never accepted', () => {
    const values = [
      serializer.encode({ a: 1 }, { now: NOW }),
      serializer.encode({ sub: 'alice'.repeat(20) }, { now: NOW }),
      serializer.encode('', { now: 0 }),
    ];
    expect(values.map((value) => read(value).status)).toEqual(['ok', 'ok', 'expired']);
    const statuses = new Set<string>();
    for (const value of fuzz(values, FUZZED)) {
      const { status } = read(value);
      statuses.add(status);
      if (status !== 'bad_signature') throw new Error(`${status}: ${JSON.stringify(value)}`);
    }
    expect([...statuses]).toEqual(['bad_signature']);
  });
});

function timeOf(work: () => void): number {
  const start = performance.now();
  work();
  return performance.now() - start;
}
