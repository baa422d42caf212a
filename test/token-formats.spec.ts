import { Logger } from '@nestjs/common';
import { beforeAll, describe, expect, it, jest } from '@jest/globals';
import { JwtCodecService, type TokenPurpose } from 'nestjs-latchkey';
import { TokenError } from 'nestjs-latchkey/engine';
import { AuthConfig, KeyRing, SignedCookieSession, SignedTokens, TimedSerializer } from 'nestjs-latchkey/engine';
import { FrozenClock } from 'nestjs-latchkey/testing';
import { OpaqueTokens } from '../src/session/opaque-tokens.js';

declare module 'nestjs-latchkey' {
  interface TokenPurposes {
    /** The only way a host can name a purpose like a salt of ours. */
    'reflow-session-v1': Record<string, unknown>;
  }
}

const config = AuthConfig.from({ secrets: ['x'.repeat(32)] });
const keyRing = new KeyRing(config);
const clock = new FrozenClock();
const jwt = new JwtCodecService(keyRing, clock, config);
const cookies = new SignedCookieSession(keyRing, clock, config);
const opaque = new OpaqueTokens();
const tokens = new SignedTokens(keyRing);
const oauth = new TimedSerializer(keyRing.forSalt('reflow-oauth-tx-v1'));
const identity = cookies.makeIdentity({ sub: 'alice', providerId: 'basic' });

interface Format {
  name: string;
  issue: () => string;
  accepts: (value: string) => boolean;
}

const jwtOf = (purpose: TokenPurpose): Format => ({
  name: `JWT for ${purpose}`,
  issue: () =>
    jwt.encode('alice', { purpose: purpose as 'verification', claims: { new_email: 'a@b.example', phone: '1' } }).token,
  accepts: (value) => {
    try {
      return jwt.decode(value, { purpose }).sub === 'alice';
    } catch (error) {
      if (error instanceof TokenError) return false;
      throw error;
    }
  },
});

const formats: Format[] = [
  { name: 'session token', issue: () => opaque.issue(), accepts: (value) => opaque.idOf(value) !== null },
  { name: 'signed token', issue: () => tokens.issue(), accepts: (value) => tokens.idOf(value) !== null },
  { name: 'signed cookie', issue: () => cookies.encode(identity), accepts: (value) => cookies.decode(value) !== null },
  {
    name: 'itsdangerous value of another salt',
    issue: () => oauth.encode({ ...identity, provider_id: 'basic' }, { now: clock.now() }),
    accepts: (value) => oauth.decode(value, { now: clock.now(), maxAge: 60_000 }).status === 'ok',
  },
  ...(['session', 'password_reset', 'email_change', 'phone_setup', 'login_mfa', 'reflow-session-v1'] as const).map(
    jwtOf,
  ),
];

beforeAll(() => {
  jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
});

describe('R32: a value of one format or purpose is refused by every other, under the same secret', () => {
  const pairs = formats.flatMap((issuer) => formats.map((reader) => ({ issuer, reader })));

  it.each(pairs)('$issuer.name read as $reader.name', ({ issuer, reader }) => {
    expect(reader.accepts(issuer.issue())).toBe(issuer === reader);
  });
});

describe('R33: what is stored is no token', () => {
  const stored = [
    opaque.idOf(opaque.issue()),
    tokens.idOf(tokens.issue()),
    jwt.encode('alice').payload.jti,
    identity.sid,
  ];

  it.each(formats)('no stored value is a $name', ({ accepts }) => {
    expect(stored.map((value) => accepts(value as string))).toEqual([false, false, false, false]);
  });
});
