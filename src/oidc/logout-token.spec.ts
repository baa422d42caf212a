import { createHmac, generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { keyIdOf, readLogoutToken } from './logout-token.js';

const NOW = 1_800_000_000_000;
const EVENT = 'http://schemas.openid.net/event/backchannel-logout';
const own = generateKeyPairSync('rsa', { modulusLength: 2048 });
const foreign = generateKeyPairSync('rsa', { modulusLength: 2048 });
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const published = own.publicKey.export({ type: 'spki', format: 'pem' });
const expected = { issuer: 'https://id.example', clientId: 'notes', algorithms: ['RS256'], now: NOW };
const iat = NOW / 1000;
const good = {
  iss: 'https://id.example',
  aud: 'notes',
  iat,
  exp: iat + 120,
  jti: 'one',
  sub: 'ada',
  sid: 'session',
  events: { [EVENT]: {} },
};

type Claims = Readonly<Record<string, unknown>>;
const encoded = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
const signed = (claims: Claims, header: Claims = {}, signature?: (input: string) => Buffer) => {
  const input = `${encoded({ alg: 'RS256', kid: 'k', typ: 'logout+jwt', ...header })}.${encoded(claims)}`;
  const made = signature ? signature(input) : sign('sha256', Buffer.from(input), own.privateKey);
  return `${input}.${made.toString('base64url')}`;
};
const read = (token: string, key: KeyObject = own.publicKey, more = {}) =>
  readLogoutToken(token, key, { ...expected, ...more });

describe('a logout token', () => {
  it.each<[what: string, claims: Claims, header?: Claims]>([
    ['as it should be', good],
    ['without exp, as it was before the final standard', { ...good, exp: undefined }],
    ['without a session', { ...good, sid: undefined }],
    ['to several', { ...good, aud: ['else', 'notes'] }],
    ['with another member in its event', { ...good, events: { [EVENT]: { reason: 'x' }, other: {} } }],
    ['without a type', good, { typ: undefined }],
    ['of the type JWT', good, { typ: 'JWT' }],
    ['nearly ten minutes old', { ...good, iat: iat - 599, exp: undefined }],
    ['of a clock that is ahead', { ...good, iat: iat + 10 }],
  ])('is read: %s', (...[, claims, header]) => {
    expect(read(signed(claims, header))).toMatchObject({ subject: 'ada', jti: 'one' });
  });

  it('names a user, a session, or both', () => {
    expect(read(signed({ ...good, sub: undefined }))).toMatchObject({ subject: null, session: 'session' });
    expect(read(signed({ ...good, sid: undefined }))).toMatchObject({ subject: 'ada', session: null });
  });

  it.each<[what: string, claims: Claims, header?: Claims]>([
    ['of another issuer', { ...good, iss: 'https://evil.example' }],
    ['of none', { ...good, iss: undefined }],
    ['to another client', { ...good, aud: 'else' }],
    ['to nobody', { ...good, aud: undefined }],
    ['that has expired', { ...good, iat: iat - 300, exp: iat - 11 }],
    ['ten minutes old', { ...good, iat: iat - 600, exp: undefined }],
    ['from the future', { ...good, iat: iat + 11 }],
    ['without iat', { ...good, iat: undefined }],
    ['whose iat is a text', { ...good, iat: String(iat) }],
    ['without jti', { ...good, jti: undefined }],
    ['whose jti is too long', { ...good, jti: 'x'.repeat(256) }],
    ['without events', { ...good, events: undefined }],
    ['of another event', { ...good, events: { 'http://schemas.openid.net/event/other': {} } }],
    ['whose event is true', { ...good, events: { [EVENT]: true } }],
    ['whose events are a list', { ...good, events: [EVENT] }],
    ['with a nonce: an ID token', { ...good, nonce: 'n' }],
    ['with a nonce of null', { ...good, nonce: null }],
    ['of no user and no session', { ...good, sub: undefined, sid: undefined }],
    ['of a session that is no text', { ...good, sid: 7 }],
    ['of an empty session', { ...good, sid: '' }],
    ['of an empty user', { ...good, sub: '' }],
    ['not valid yet', { ...good, nbf: iat + 11 }],
    ['whose exp is a text', { ...good, exp: String(iat + 120) }],
    ['with an extension that must be understood', good, { crit: ['exp'] }],
    ['of another type', good, { typ: 'at+jwt' }],
    ['of a type that is none', good, { typ: 7 }],
  ])('is refused: %s', (...[, claims, header]) => {
    expect(read(signed(claims, header))).toBeNull();
  });

  it('F59: is refused without the signature of this key and algorithm', () => {
    const hmac = (input: string) => createHmac('sha256', published).update(input).digest();
    const byForeign = (input: string) => sign('sha256', Buffer.from(input), foreign.privateKey);
    const broken = (input: string) => {
      const made = sign('sha256', Buffer.from(input), own.privateKey);
      made[5]! ^= 1;
      return made;
    };
    expect(read(signed(good, {}, byForeign))).toBeNull();
    expect(read(signed(good, {}, broken))).toBeNull();
    expect(read(signed(good, {}, () => Buffer.alloc(0)))).toBeNull();
    expect(read(signed(good, { alg: 'none' }, () => Buffer.alloc(0)))).toBeNull();
    expect(read(signed(good, { alg: 'HS256' }, hmac))).toBeNull();
    expect(read(signed(good), ec.publicKey)).toBeNull();
    expect(read(signed(good), own.publicKey, { algorithms: ['ES256'] })).toBeNull();
    for (const none of ['', 'x', 'x.y.z', `${signed(good)}.x`])
      expect([read(none), keyIdOf(none)?.kid]).toEqual([null, undefined]);
    // Negative control.
    expect(read(signed(good))).toEqual({ subject: 'ada', session: 'session', jti: 'one', staleAt: NOW + 610_000 });
  });

  it('names its key', () => {
    expect(keyIdOf(signed(good))).toEqual({ kid: 'k', alg: 'RS256' });
    expect(keyIdOf(signed(good, { kid: 7 }))).toEqual({ kid: undefined, alg: 'RS256' });
  });
});
