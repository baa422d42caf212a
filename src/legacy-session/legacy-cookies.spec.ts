import { createRequire } from 'node:module';
import { describe, expect, it } from '@jest/globals';
import { betterAuthToken, expressSessionId } from './legacy-cookies.js';
import { legacyKeys } from './signed-text.js';

/** What express-session signs with. */
const { sign } = createRequire(import.meta.url)('cookie-signature') as {
  readonly sign: (text: string, secret: string) => string;
};

const keys = legacyKeys('test', ['the new one', 'a secret']);
const cookieOf = (id: string, secret = 'a secret') => encodeURIComponent(`s:${sign(id, secret)}`);

describe('the cookie of express-session', () => {
  it('is the session id, signed by any of the secrets', () => {
    expect(expressSessionId(cookieOf('an-id'), keys)).toBe('an-id');
    expect(expressSessionId(cookieOf('an-id', 'the new one'), keys)).toBe('an-id');
    expect(expressSessionId(cookieOf('an.id.with.dots'), keys)).toBe('an.id.with.dots');
    // As a client may send it that decodes what it was given.
    expect(expressSessionId(decodeURIComponent(cookieOf('an-id')), keys)).toBe('an-id');
  });

  it.each([
    ['another secret', cookieOf('an-id', 'forged')],
    ['another id', cookieOf('an-id').replace('an-id', 'another')],
    ['no signature', 's%3Aan-id'],
    ['an empty signature', 's%3Aan-id.'],
    ['padding that is not written', `${cookieOf('an-id')}%3D`],
    ['no id', cookieOf('')],
    ['no prefix', cookieOf('an-id').slice('s%3A'.length)],
    ['an id in JSON', `j%3A${sign('an-id', 'a secret')}`],
    ['half an escape', 's%3Aan-id%E0%A4%A'],
    ['nothing', ''],
  ])('%s is null', (_, cookie) => {
    expect(expressSessionId(cookie, keys)).toBeNull();
  });
});

describe('the cookie of better-auth', () => {
  const token = 'SdbJYpnWoqhEZaS5Z0PZTyQWFkLD3vYc';
  const signed = (text: string) => `${sign(text, 'a secret')}=`;

  it('is the token, signed', () => {
    expect(betterAuthToken(encodeURIComponent(signed(token)), keys)).toBe(token);
    expect(betterAuthToken(signed(token), keys)).toBe(token);
  });

  it.each([
    ['a changed token', signed(token).replace('S', 'T')],
    ['no padding', sign(token, 'a secret')],
    ['no signature', token],
    ['no token', signed('')],
    ['half an escape', '%'],
  ])('%s is null', (_, cookie) => {
    expect(betterAuthToken(cookie, keys)).toBeNull();
  });
});

it('secrets that are none are refused', () => {
  for (const secret of ['', [], [''], [undefined], undefined]) {
    expect(() => legacyKeys('expressSessions', secret as string)).toThrow(TypeError);
  }
});
