import { createSecretKey } from 'node:crypto';
import jwt, { type JwtPayload } from 'jsonwebtoken';
import { days } from '../common/duration.js';
import type { LegacySession, LegacySessionContext, LegacySessionSource } from '../config/legacy-session-settings.js';
import { sha256Hex } from '../crypto/hash.js';

/** How the old application made its tokens: the options of its `JwtModule` and of its passport-jwt strategy. */
export interface PassportJwtOptions {
  readonly secret: string;
  /** Default `HS256`; no other is accepted. */
  readonly algorithm?: 'HS256' | 'HS384' | 'HS512';
  /** Required of every token, if given. */
  readonly issuer?: string;
  /** Required of every token, if given. */
  readonly audience?: string;
  /** The account's id in a token. Default: `sub`. */
  readonly userId?: (payload: Readonly<Record<string, unknown>>) => string | number | null | undefined;
}

/** For how long a spent token without `exp` is remembered: longer than `legacySessions.until` can be away. */
const FOREVER = days(3_650);

/**
 * The bearer tokens of an application with @nestjs/jwt and passport-jwt, each good for one exchange:
 * `HttpSessions.exchangeToken`. It needs no table of the old system; a token that has been exchanged or logged out stands
 * in `revoked_tokens` until it expires.
 *
 * @throws {TypeError} if there is no secret.
 *
 * @example
 * ```ts
 * const sources = [passportJwt({ secret: process.env['JWT_SECRET']! })];
 * AuthModule.forRoot({ secrets, legacySessions: { sources, until: new Date('2027-01-31') } });
 * ```
 */
export function passportJwt({
  secret,
  algorithm = 'HS256',
  issuer,
  audience,
  userId = ({ sub }) => sub as string | undefined,
}: PassportJwtOptions): LegacySessionSource {
  if (typeof secret !== 'string' || secret === '')
    throw new TypeError('passportJwt needs the secret of the old tokens.');
  const key = createSecretKey(secret, 'utf8');
  const verified = (token: string, now: number): JwtPayload | null => {
    try {
      const clockTimestamp = Math.floor(now / 1000);
      const payload = jwt.verify(token, key, { algorithms: [algorithm], issuer, audience, clockTimestamp });
      return typeof payload === 'string' ? null : payload;
    } catch {
      return null;
    }
  };
  return {
    name: 'passport-jwt',
    cookies: [],
    async find(token: string, { now }: LegacySessionContext): Promise<LegacySession | null> {
      const payload = verified(token, now);
      const id = (payload && userId(payload)) ?? null;
      if (payload === null || id === null) return null;
      const told: unknown = payload['auth_time'];
      if (typeof told === 'number') return { userId: String(id), authenticatedAt: told * 1000 };
      const issuedAt = payload.iat === undefined ? null : payload.iat * 1000;
      return { userId: String(id), authenticatedAt: issuedAt, isRenewal: true };
    },
    async consume(token: string, { now, spend }: LegacySessionContext): Promise<boolean> {
      const payload = verified(token, now);
      if (!payload) return false;
      // By its claims and not its text: a base64url text has several spellings.
      const [header, claims] = token.split('.');
      const canonical = [header!, claims!]
        .map((part) => Buffer.from(part, 'base64url').toString('base64url'))
        .join('.');
      const expiresAt = payload.exp === undefined ? now + FOREVER : payload.exp * 1000;
      return spend(sha256Hex(`passport-jwt:${canonical}`), expiresAt);
    },
  };
}
