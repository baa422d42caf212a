import { createHash, createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { inspect } from 'node:util';
import { describe, expect, it } from '@jest/globals';
import { fuzz, FUZZED } from '../../test/support/fuzz.js';
import { AuthError, isAuthError } from '../auth.errors.js';
import { days, hours, minutes, seconds } from '../common/duration.js';
import { AuthConfig } from '../config/auth-config.js';
import type { AuthOptions } from '../config/auth-options.js';
import { KeyRing } from '../crypto/key-ring.js';
import { FrozenClock } from '../testing/frozen-clock.js';
import { JwtCodecService } from './jwt-codec.service.js';
import { TokenError } from './jwt-error.js';
import { isPayloadBulkRevoked, type TokenPurpose } from './jwt-payload.js';

declare module './jwt-payload.js' {
  interface TokenPurposes {
    verification: Record<string, unknown>;
    invitation: { team: string };
  }
}

interface Expectation {
  result: string;
  payload?: { sub: string; jti: string; iat: string; exp: string; purpose: string };
}
interface Check extends Expectation {
  now: string;
  master_secret: string;
  purpose: string;
  audience: string | null;
  algorithm: 'HS256' | 'HS384' | 'HS512';
  with_pyjwt_2_15_1?: Expectation;
}
const { vectors } = JSON.parse(readFileSync('test/vectors/regstack-jwt.json', 'utf8')) as {
  vectors: { name: string; token: string; kind: string; header_json?: string; checks: Check[] }[];
};

const NOW = Date.UTC(2025, 0, 1);
const SECRET = 'test-master-secret-that-is-at-least-32-characters-long';
const at = (text: string) => Date.parse(text) + Number(/\.\d{3}(\d{3})/.exec(text)?.[1] ?? 0) / 1000;

const clock = new FrozenClock();
function codec(jwt: AuthOptions['jwt'] = {}, secrets: string[] = [SECRET]): JwtCodecService {
  clock.set(NOW);
  const config = AuthConfig.from({ secrets, jwt });
  return new JwtCodecService(new KeyRing(config), clock, config);
}

/** Why it was refused; fails when it was not, or with anything but a TokenError. */
function reasonOf(decode: () => unknown): string {
  try {
    decode();
  } catch (error) {
    if (!(error instanceof TokenError)) throw error;
    expect(error).toBeInstanceOf(AuthError);
    expect(isAuthError(error, 'INVALID_TOKEN') && error.facts.reason).toBe(error.reason);
    return error.reason;
  }
  return 'accepted';
}

const base64url = (text: string) => Buffer.from(text).toString('base64url');
const HEADER = { alg: 'HS256', typ: 'JWT' };
const CLAIMS = {
  sub: 'u1',
  jti: 'AAECAwQFBgcICQoLDA0ODw',
  iat: NOW / 1000,
  exp: NOW / 1000 + 7200,
  purpose: 'session',
};

/** A token signed with the right key, from the rules of RFC 7515 alone. */
function signed(claims: unknown, header: unknown = HEADER, purpose = 'session', hash = 'sha256'): string {
  const segments = [header, claims].map((part) => base64url(typeof part === 'string' ? part : JSON.stringify(part)));
  return signedSegments(segments, purpose, hash);
}

function signedSegments(segments: readonly string[], purpose = 'session', hash = 'sha256'): string {
  const body = segments.join('.');
  const key = createHmac('sha256', SECRET).update(purpose).digest();
  return `${body}.${createHmac(hash, key).update(body).digest('base64url')}`;
}

describe('vectors of regstack', () => {
  const checks = vectors.flatMap((vector) => vector.checks.map((check) => ({ ...vector, ...check })));
  /** Python's `int("…")` reads numbers in strings; RFC 7519 has none, and no encoder of ours or theirs writes them. */
  const REFUSED = ['numeric-string-iat-exp'];

  it.each(checks)('$name at $now as $purpose for $audience: $result', (check) => {
    const { token, name, now, master_secret, audience, algorithm } = check;
    const decoder = codec({ audience, algorithm }, [master_secret]);
    clock.set(at(now));
    const decode = () => decoder.decode(token, { purpose: check.purpose as TokenPurpose });
    // Where PyJWT changed its mind, the newer one is right.
    const { result, payload } = check.with_pyjwt_2_15_1 ?? check;
    if (result !== 'ok' || REFUSED.includes(name)) {
      expect(reasonOf(decode)).not.toBe('accepted');
    } else {
      const { sub, jti, iat, exp, purpose } = payload!;
      const claims = name.startsWith('nbf') ? { nbf: 9_999_999_999 } : {};
      expect(decode()).toEqual({ sub, jti, iat: at(iat), exp: at(exp), purpose, claims });
    }
  });

  it('each has its reason', () => {
    const reasons = checks
      .filter(({ with_pyjwt_2_15_1, result }) => (with_pyjwt_2_15_1?.result ?? result) !== 'ok')
      .map(({ name, token, now, master_secret, purpose, audience, algorithm }) => {
        const decoder = codec({ audience, algorithm }, [master_secret]);
        clock.set(at(now));
        return `${name}: ${reasonOf(() => decoder.decode(token, { purpose: purpose as TokenPurpose }))}`;
      });
    expect([...new Set(reasons)]).toEqual([
      'session-whole-second: expired',
      'password-reset: signature',
      'password-reset: expired',
      'phone-setup: signature',
      'audience: audience',
      'HS384: signature',
      'ttl-negative: expired',
      'tampered-payload: malformed',
      'empty: malformed',
      'four-segments: malformed',
      'alg-none: signature',
      'signed-with-master-not-derived-key: signature',
      'missing-sub: missing_claim',
      'missing-iat: missing_claim',
      'missing-purpose: missing_claim',
      'numeric-sub: malformed',
      'payload-is-array: malformed',
      'crit-header: malformed',
    ]);
  });

  it('writes the header of the source system, byte for byte', () => {
    for (const algorithm of ['HS256', 'HS384', 'HS512'] as const) {
      const [header = ''] = codec({ algorithm }).encode('u1').token.split('.');
      expect(Buffer.from(header, 'base64url').toString()).toBe(`{"alg":"${algorithm}","typ":"JWT"}`);
    }
  });
});

describe('encode', () => {
  it('signs sub, jti, iat, exp and purpose with the key of the purpose', () => {
    const jwt = codec();
    clock.set(NOW + 123.456);
    const { token, payload } = jwt.encode('user-123', { purpose: 'password_reset', ttl: minutes(30) });
    const [header, claims = '', signature] = token.split('.');
    expect(Buffer.from(claims, 'base64url').toString()).toBe(
      `{"sub":"user-123","jti":"${payload.jti}","iat":1735689600.123456,"exp":1735691400,"purpose":"password_reset"}`,
    );
    const key = createHmac('sha256', SECRET).update('password_reset').digest();
    expect(signature).toBe(createHmac('sha256', key).update(`${header}.${claims}`).digest('base64url'));
    expect(payload.jti).toMatch(/^[A-Za-z0-9_-]{22}$/);
    expect(jwt.encode('user-123').payload.jti).not.toBe(payload.jti);
  });

  it.each([
    ['HS384', 'sha384'],
    ['HS512', 'sha512'],
  ] as const)('%s signs with the same 32 bytes', (algorithm, hash) => {
    const { token } = codec({ algorithm }).encode('u1');
    const [header, claims, signature] = token.split('.');
    const key = createHmac('sha256', SECRET).update('session').digest();
    expect(signature).toBe(createHmac(hash, key).update(`${header}.${claims}`).digest('base64url'));
  });

  it('T: ttl 7200, encode "user-123" / decode / same sub, same jti, purpose session', () => {
    const jwt = codec({ ttl: seconds(7200) });
    clock.set(NOW + 0.001);
    const { token, payload } = jwt.encode('user-123');
    expect(payload).toMatchObject({ sub: 'user-123', purpose: 'session', iat: NOW + 0.001, exp: NOW + hours(2) });
    expect(jwt.decode(token)).toEqual(payload);
  });

  it('keeps an iat of 0, every microsecond, any subject and the claims of the purpose', () => {
    const jwt = codec({ audience: 'my-app' });
    for (const now of [0, 0.001, NOW + 999.999, NOW + 0.1 + 0.2]) {
      clock.set(now);
      const { token, payload } = jwt.encode('Jürgen 猫 "\0', {
        purpose: 'email_change',
        claims: { new_email: 'a@b.example' },
      });
      const { iat, ...rest } = jwt.decode(token, { purpose: 'email_change' });
      expect(rest).toEqual({ ...payload, iat: undefined, claims: { new_email: 'a@b.example' } });
      expect(iat).toBeCloseTo(now, 6);
    }
  });

  it('a ttl of 0 is a ttl, and over at once', () => {
    const jwt = codec();
    expect(reasonOf(() => jwt.decode(jwt.encode('u1', { ttl: 0 }).token))).toBe('expired');
  });

  it('refuses what would make no token, or an endless one', () => {
    const jwt = codec();
    for (const ttl of [-1, Number.NaN, Number.POSITIVE_INFINITY, days(401)]) {
      expect(() => jwt.encode('u1', { ttl })).toThrow(RangeError);
    }
    expect(() => jwt.encode('u1', { claims: { text: 'a'.repeat(16_384) } })).toThrow(RangeError);
    for (const name of ['sub', 'jti', 'iat', 'exp', 'purpose', 'aud', 'nbf']) {
      expect(() => jwt.encode('u1', { claims: { [name]: 'x' } })).toThrow(TypeError);
    }
    expect(() => jwt.encode(5 as unknown as string)).toThrow(TypeError);
    expect(() => jwt.encode('u1', { purpose: '' as 'session' })).toThrow(TypeError);
  });
});

describe('decode', () => {
  it('T: ttl 60, clock +120 s / decode / TokenError', () => {
    const jwt = codec({ ttl: seconds(60) });
    const { token } = jwt.encode('u1');
    clock.advance(seconds(120));
    expect(reasonOf(() => jwt.decode(token))).toBe('expired');
  });

  it('expires at the exact instant: a microsecond before it is valid', () => {
    const jwt = codec({ ttl: seconds(60) });
    const { token, payload } = jwt.encode('u1');
    clock.set(payload.exp - 0.001);
    expect(jwt.decode(token)).toEqual(payload);
    clock.set(payload.exp);
    expect(reasonOf(() => jwt.decode(token))).toBe('expired');
  });

  it('T: encode purpose "verification" / decode with the default purpose / TokenError', () => {
    const jwt = codec();
    const { token } = jwt.encode('u1', { purpose: 'verification' });
    expect(reasonOf(() => jwt.decode(token))).toBe('signature');
    expect(jwt.decode(token, { purpose: 'verification' }).sub).toBe('u1');
  });

  it('the claim is a second barrier: another purpose under the right key is refused', () => {
    expect(reasonOf(() => codec().decode(signed({ ...CLAIMS, purpose: 'password_reset' })))).toBe('purpose');
  });

  it('T: after change, clock +1 microsecond, login -> new token works (the float-iat regression)', () => {
    const jwt = codec();
    const before = jwt.encode('u1');
    const cutoff = clock.now();
    clock.advance(0.001);
    const after = jwt.encode('u1');
    expect(isPayloadBulkRevoked(jwt.decode(before.token), cutoff)).toBe(true);
    expect(isPayloadBulkRevoked(jwt.decode(after.token), cutoff)).toBe(false);
  });

  it('the first secret signs, all verify, an unknown one does not', () => {
    const [a, b] = ['a'.repeat(32), 'b'.repeat(32)];
    const old = codec({}, [a]).encode('u1').token;
    expect(codec({}, [b, 'c'.repeat(32), a]).decode(old).sub).toBe('u1');
    expect(reasonOf(() => codec({}, [b]).decode(old))).toBe('signature');
    expect(codec({}, [b]).decode(codec({}, [b, a]).encode('u1').token).sub).toBe('u1');
  });

  it.each([
    ['kid', { kid: 'k1' }],
    ['an empty kid', { kid: '' }],
    ['jwk', { jwk: { kty: 'oct', k: 'AAAA' } }],
    ['jku', { jku: 'https://evil.example/keys' }],
    ['x5u', { x5u: 'https://evil.example/cert' }],
    ['x5c', { x5c: [] }],
    ['crit', { crit: ['b64'], b64: false }],
    ['another typ', { typ: 'at+jwt' }],
    ['typ null', { typ: null }],
    ['typ as a number', { typ: 5 }],
  ])('R31: rightly signed, but the header has %s: malformed', (_, members) => {
    expect(reasonOf(() => codec().decode(signed(CLAIMS, { ...HEADER, ...members })))).toBe('malformed');
  });

  it.each([
    ['none', 'sha256'],
    ['None', 'sha256'],
    ['HS384', 'sha384'],
    ['HS512', 'sha512'],
    ['RS256', 'sha256'],
    ['hs256', 'sha256'],
    [null, 'sha256'],
    [['HS256'], 'sha256'],
  ])('R31: alg %j is refused', (alg, hash) => {
    expect(reasonOf(() => codec().decode(signed(CLAIMS, { ...HEADER, alg }, 'session', hash)))).toBe('signature');
    const unsigned = signed(CLAIMS, { ...HEADER, alg })
      .split('.')
      .slice(0, 2)
      .join('.');
    expect(reasonOf(() => codec().decode(`${unsigned}.`))).not.toBe('accepted');
  });

  it('a header without typ, or with its members the other way round, is fine', () => {
    expect(codec().decode(signed(CLAIMS, { alg: 'HS256' })).sub).toBe('u1');
    expect(codec().decode(signed(CLAIMS, '{"typ":"JWT","alg":"HS256"}')).sub).toBe('u1');
  });

  it.each(['sub', 'exp', 'iat', 'jti', 'purpose'])('%s missing or null: missing_claim', (name) => {
    expect(reasonOf(() => codec().decode(signed({ ...CLAIMS, [name]: undefined })))).toBe('missing_claim');
    expect(reasonOf(() => codec().decode(signed({ ...CLAIMS, [name]: null })))).toBe('missing_claim');
  });

  it.each([
    { sub: 42 },
    { sub: ['u1'] },
    { sub: { toString: 'u1' } },
    { jti: 42 },
    { jti: '' },
    { jti: 'a'.repeat(65) },
    { iat: 'x' },
    { iat: '1735689600.5' },
    { iat: [1_735_689_600] },
    { exp: 'x' },
    { exp: true },
    { exp: '1735696800' },
    { exp: 1e300 },
    { purpose: 5 },
    { purpose: ['session'] },
  ])('%j: malformed', (claims) => {
    expect(reasonOf(() => codec().decode(signed({ ...CLAIMS, ...claims })))).toBe('malformed');
  });

  it.each(['null', '5', '"text"', '[]', 'true', '{', '', '{"exp":1e999}'])('the payload %j is refused', (payload) => {
    expect(reasonOf(() => codec().decode(signed(payload)))).not.toBe('accepted');
  });

  it('an exp with a fraction is cut, an iat in the future accepted, other claims handed on', () => {
    const claims = { ...CLAIMS, exp: NOW / 1000 + 60.9, iat: NOW / 1000 + 3600, iss: 'x', roles: ['a'] };
    const payload = codec().decode(signed(claims));
    expect(payload).toMatchObject({ exp: NOW + 60_000, iat: NOW + hours(1), claims: { iss: 'x', roles: ['a'] } });
  });

  it('a claim __proto__ changes nothing but itself', () => {
    const json = `${JSON.stringify(CLAIMS).slice(0, -1)},"__proto__":{"admin":true}}`;
    const { claims } = codec().decode(signed(json));
    expect(Object.keys(claims)).toEqual(['__proto__']);
    expect(claims.admin).toBeUndefined();
    expect(({} as Record<string, unknown>).admin).toBeUndefined();
    expect(reasonOf(() => codec().decode(signed(`{"__proto__":${JSON.stringify(CLAIMS)}}`)))).toBe('missing_claim');
  });

  it.each<[string | null, unknown, string]>([
    ['my-app', 'my-app', 'accepted'],
    ['my-app', ['other', 'my-app'], 'accepted'],
    ['my-app', undefined, 'audience'],
    ['my-app', null, 'audience'],
    ['my-app', 'other', 'audience'],
    ['my-app', [], 'audience'],
    ['my-app', ['my-app', 5], 'audience'],
    ['my-app', { 'my-app': true }, 'audience'],
    [null, undefined, 'accepted'],
    [null, 'my-app', 'audience'],
    [null, ['my-app'], 'audience'],
  ])('audience %j configured, aud %j: %s', (audience, aud, expected) => {
    expect(reasonOf(() => codec({ audience }).decode(signed({ ...CLAIMS, aud })))).toBe(expected);
  });

  it.each([undefined, null, 5, {}, [], ['a.b.c'], Symbol('s'), '', '.', '..', 'a.b.c', 'a.b.', '...'])(
    '%p is no token',
    (value) => {
      expect(reasonOf(() => codec().decode(value as string))).not.toBe('accepted');
    },
  );

  it('a huge token is refused unread', () => {
    const huge = `${'A'.repeat(50_000_000)}.e30.AAAA`;
    const reading = timeOf(() => createHash('sha256').update(huge).digest());
    const refusing = timeOf(() => {
      expect(reasonOf(() => codec().decode(huge))).toBe('malformed');
    });
    expect(refusing).toBeLessThan(reading / 2);
  });

  it('no error shows the token or any part of it', () => {
    const jwt = codec();
    const { token } = jwt.encode('subject-of-the-token', { ttl: 0 });
    for (const bad of [token, `${token}x`, token.slice(0, -5), token.replace('.', '..')]) {
      try {
        jwt.decode(bad);
        throw new Error('accepted');
      } catch (error) {
        const shown = inspect(error, { depth: 9, showHidden: true }) + JSON.stringify(error);
        expect(shown).toContain('INVALID_TOKEN');
        for (const part of token.split('.')) expect(shown).not.toContain(part.slice(0, 20));
        expect(shown).not.toContain('subject-of-the-token');
        expect((error as Error).cause).toBeUndefined();
      }
    }
  });

  it('random and mutated values: TokenError each time, never accepted', () => {
    const jwt = codec();
    const tokens = [jwt.encode('u1').token, jwt.encode('u2', { claims: { a: ['猫', 1] } }).token];
    for (const token of fuzz(tokens, FUZZED)) {
      let error: unknown;
      try {
        jwt.decode(token);
      } catch (thrown) {
        error = thrown;
      }
      if (!(error instanceof TokenError)) throw new Error(`${String(error)}: ${JSON.stringify(token)}`);
    }
  }, 60_000);
});

describe('H18: one token has one spelling, and what is signed is what was meant', () => {
  const header = base64url(JSON.stringify(HEADER));
  /** The claims with these bytes for the subject's `u1`. */
  const withSubject = (...bytes: number[]) => {
    const [before = '', after = ''] = JSON.stringify(CLAIMS).split('u1');
    return Buffer.concat([Buffer.from(before), Buffer.from(bytes), Buffer.from(after)]).toString('base64url');
  };

  it('H18: a payload that is not UTF-8 is refused, or two subjects would be one', () => {
    expect(codec().decode(signedSegments([header, withSubject(0xc3, 0xbf)])).sub).toBe('ÿ');
    const invalid = [[0xff], [0xfe], [0xc0, 0xaf], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xe2, 0x82]];
    for (const bytes of invalid) {
      expect(reasonOf(() => codec().decode(signedSegments([header, withSubject(...bytes)])))).toBe('malformed');
    }
  });

  it('H18: a header that is not UTF-8 is refused', () => {
    const bytes = Buffer.from(JSON.stringify(HEADER).replace('}', ',"a":"ÿ"}'), 'latin1');
    const claims = base64url(JSON.stringify(CLAIMS));
    expect(reasonOf(() => codec().decode(signedSegments([bytes.toString('base64url'), claims])))).toBe('malformed');
  });

  it.each(['header', 'payload', 'signature'] as const)('H18: stray bits in the last character of the %s', (part) => {
    let refused = 0;
    // Two of three lengths leave bits to spare.
    for (const pad of ['', ' ', '  ']) {
      const segments = [base64url(JSON.stringify(HEADER) + pad), base64url(JSON.stringify(CLAIMS) + pad)];
      const index = ['header', 'payload'].indexOf(part);
      const text = index < 0 ? signedSegments(segments).split('.')[2]! : segments[index]!;
      for (const other of otherSpellings(text)) {
        const token =
          index < 0
            ? [...segments, other].join('.')
            : signedSegments(segments.map((segment, i) => (i === index ? other : segment)));
        expect(reasonOf(() => codec().decode(token))).toMatch(/malformed|signature/);
        refused++;
      }
      expect(codec().decode(signedSegments(segments)).sub).toBe('u1');
    }
    expect(refused).toBeGreaterThan(2);
  });

  class Roles {
    admin = true;
  }
  it.each<[string, unknown]>([
    ['a text', 'admin'],
    ['a list', ['admin']],
    ['null', null],
    ['a number', 5],
    ['a function', () => ({ admin: true })],
    ['a Map', new Map([['admin', true]])],
    ['a Date', new Date(NOW)],
    ['an object of a class', new Roles()],
    ['an object that writes its own JSON', { toJSON: () => ({ sub: 'root' }) }],
  ])('H18: claims given as %s', (_, claims) => {
    expect(() => codec().encode('u1', { claims: claims as Record<string, unknown> })).toThrow(TypeError);
  });

  it('H18: claims without a prototype are plain', () => {
    const claims = Object.assign(Object.create(null) as Record<string, unknown>, { admin: false });
    expect(codec().decode(codec().encode('u1', { claims }).token).claims).toEqual({ admin: false });
  });

  it.each(['6', '', null, true, [6], new Date(6), { valueOf: () => 6 }])('H18: ttl given as %j', (ttl) => {
    expect(() => codec().encode('u1', { ttl: ttl as number })).toThrow(TypeError);
  });

  /** The spellings that a lenient decoder reads as the same bytes: none where all bits are used. */
  function otherSpellings(text: string): string[] {
    const bytes = Buffer.from(text, 'base64url');
    return [...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_']
      .map((last) => text.slice(0, -1) + last)
      .filter((other) => other !== text && Buffer.from(other, 'base64url').equals(bytes));
  }
});

describe('types', () => {
  /** Compiled, never run. */
  const compiled = (jwt: JwtCodecService) => {
    jwt.encode('u1', { purpose: 'login_mfa' });
    jwt.encode('u1', { purpose: 'invitation', claims: { team: 'x' } });
    const { claims } = jwt.decode('', { purpose: 'invitation' });
    claims.team satisfies string | undefined;
    // @ts-expect-error: no such purpose
    jwt.encode('u1', { purpose: 'sesion' });
    // @ts-expect-error: no such purpose
    jwt.decode('', { purpose: 'sesion' });
    // @ts-expect-error: an invitation carries its team
    jwt.encode('u1', { purpose: 'invitation' });
    // @ts-expect-error: a team is a text
    jwt.encode('u1', { purpose: 'invitation', claims: { team: 5 } });
    // @ts-expect-error: the claims of another purpose
    jwt.encode('u1', { purpose: 'email_change', claims: { phone: '+4915112345678' } });
    // @ts-expect-error: what was decoded for one purpose is nothing for another
    jwt.decode('', { purpose: 'session' }).purpose satisfies 'password_reset';
  };

  it('a wrong purpose or claim does not compile', () => {
    expect(compiled).toBeInstanceOf(Function);
  });
});

function timeOf(work: () => void): number {
  const start = performance.now();
  work();
  return performance.now() - start;
}
