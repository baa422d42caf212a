import type { Row } from '../../harness/scenario.js';

export interface Guarantees {
  readonly revocable: string;
  readonly hashed: string;
  readonly absolute: string;
}

export interface Contender {
  readonly name: string;
  readonly kind: Row['kind'];
  readonly module: string;
  readonly start: string;
  readonly guarantees: Guarantees | null;
  /** Answers nobody but who is logged in. */
  readonly isGuarded?: boolean;
}

const OURS = { hashed: 'yes', absolute: 'yes' };
const SELF_CONTAINED = { hashed: 'not stored', absolute: 'yes' };
const BARE = 'no authentication';
export const MAP = 'hand-written: hash, Map';
export const JOIN = 'hand-written: hash, prepared join';
export const CACHED = 'latchkey, session, cached';
export const UNCACHED = 'latchkey, session';
export const SIGNED = 'latchkey, signed cookie, cached';
export const JWT = 'latchkey, JWT, cached';
export const SESSION_DEFAULT = 'express-session + connect-pg-simple';
export const SESSION_READ_ONLY = `${SESSION_DEFAULT}, disableTouch`;
export const BETTER_AUTH = 'better-auth';
export const BETTER_AUTH_CACHE = 'better-auth, cookie cache';
const PASSPORT = '@nestjs/jwt + passport-jwt';
export const PASSPORT_KEY = `${PASSPORT}, KeyObject`;

const contender = (
  name: string,
  kind: Row['kind'],
  module: string,
  start: string,
  guarantees: Guarantees,
): Contender => ({ name, kind, module, start, guarantees });

export const CONTENDERS: readonly Contender[] = [
  { name: BARE, kind: 'limit', module: 'limits', start: 'bareHandler', guarantees: null, isGuarded: false },
  contender(MAP, 'limit', 'limits', 'mapGuard', { revocable: 'no', hashed: 'yes', absolute: 'yes' }),
  contender(CACHED, 'ours', 'latchkey', 'cachedSession', { revocable: 'here at once, elsewhere in ms', ...OURS }),
  contender(SIGNED, 'ours', 'latchkey', 'signedCookie', {
    revocable: 'here at once, elsewhere in ms',
    ...SELF_CONTAINED,
  }),
  contender(JWT, 'ours', 'latchkey', 'sessionJwt', { revocable: 'here at once, elsewhere in ms', ...SELF_CONTAINED }),
  contender(PASSPORT_KEY, 'peer', 'passport-jwt', 'passportJwtWithKeyObject', { revocable: 'no', ...SELF_CONTAINED }),
  contender(PASSPORT, 'peer', 'passport-jwt', 'passportJwtByDefault', { revocable: 'no', ...SELF_CONTAINED }),
  contender(BETTER_AUTH_CACHE, 'peer', 'better-auth', 'betterAuthCookieCache', {
    revocable: 'after the cache (default 5 min)',
    hashed: 'no',
    absolute: 'no',
  }),
  contender(JOIN, 'limit', 'limits', 'preparedJoin', { revocable: 'at once', hashed: 'yes', absolute: 'yes' }),
  contender(UNCACHED, 'ours', 'latchkey', 'uncachedSession', { revocable: 'at once', ...OURS }),
  contender('latchkey, JWT', 'ours', 'latchkey', 'uncachedSessionJwt', { revocable: 'at once', ...SELF_CONTAINED }),
  contender(SESSION_READ_ONLY, 'peer', 'express-session', 'expressSessionReadOnly', {
    revocable: 'at once',
    hashed: 'no',
    absolute: 'no',
  }),
  contender(SESSION_DEFAULT, 'peer', 'express-session', 'expressSessionByDefault', {
    revocable: 'at once',
    hashed: 'no',
    absolute: 'no',
  }),
  contender('naive TypeORM guard with a relation', 'peer', 'typeorm-guard', 'repositoryGuard', {
    revocable: 'at once',
    hashed: 'yes',
    absolute: 'yes',
  }),
  contender(BETTER_AUTH, 'peer', 'better-auth', 'betterAuthDatabase', {
    revocable: 'at once',
    hashed: 'no',
    absolute: 'no',
  }),
];
