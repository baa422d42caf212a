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

export const CONTENDERS: readonly Contender[] = [
  { name: BARE, kind: 'limit', module: 'limits', start: 'bareHandler', guarantees: null, isGuarded: false },
  {
    name: MAP,
    kind: 'limit',
    module: 'limits',
    start: 'mapGuard',
    guarantees: { revocable: 'no', hashed: 'yes', absolute: 'yes' },
  },
  {
    name: CACHED,
    kind: 'ours',
    module: 'latchkey',
    start: 'cachedSession',
    guarantees: { revocable: 'here at once, elsewhere in ms', ...OURS },
  },
  {
    name: SIGNED,
    kind: 'ours',
    module: 'latchkey',
    start: 'signedCookie',
    guarantees: { revocable: 'here at once, elsewhere in ms', hashed: 'not stored', absolute: 'yes' },
  },
  {
    name: JWT,
    kind: 'ours',
    module: 'latchkey',
    start: 'sessionJwt',
    guarantees: { revocable: 'here at once, elsewhere in ms', hashed: 'not stored', absolute: 'yes' },
  },
  {
    name: PASSPORT_KEY,
    kind: 'peer',
    module: 'passport-jwt',
    start: 'passportJwtWithKeyObject',
    guarantees: { revocable: 'no', hashed: 'not stored', absolute: 'yes' },
  },
  {
    name: PASSPORT,
    kind: 'peer',
    module: 'passport-jwt',
    start: 'passportJwtByDefault',
    guarantees: { revocable: 'no', hashed: 'not stored', absolute: 'yes' },
  },
  {
    name: BETTER_AUTH_CACHE,
    kind: 'peer',
    module: 'better-auth',
    start: 'betterAuthCookieCache',
    guarantees: { revocable: 'after the cache (default 5 min)', hashed: 'no', absolute: 'no' },
  },
  {
    name: JOIN,
    kind: 'limit',
    module: 'limits',
    start: 'preparedJoin',
    guarantees: { revocable: 'at once', hashed: 'yes', absolute: 'yes' },
  },
  {
    name: UNCACHED,
    kind: 'ours',
    module: 'latchkey',
    start: 'uncachedSession',
    guarantees: { revocable: 'at once', ...OURS },
  },
  {
    name: 'latchkey, JWT',
    kind: 'ours',
    module: 'latchkey',
    start: 'uncachedSessionJwt',
    guarantees: { revocable: 'at once', hashed: 'not stored', absolute: 'yes' },
  },
  {
    name: SESSION_READ_ONLY,
    kind: 'peer',
    module: 'express-session',
    start: 'expressSessionReadOnly',
    guarantees: { revocable: 'at once', hashed: 'no', absolute: 'no' },
  },
  {
    name: SESSION_DEFAULT,
    kind: 'peer',
    module: 'express-session',
    start: 'expressSessionByDefault',
    guarantees: { revocable: 'at once', hashed: 'no', absolute: 'no' },
  },
  {
    name: 'naive TypeORM guard with a relation',
    kind: 'peer',
    module: 'typeorm-guard',
    start: 'repositoryGuard',
    guarantees: { revocable: 'at once', hashed: 'yes', absolute: 'yes' },
  },
  {
    name: BETTER_AUTH,
    kind: 'peer',
    module: 'better-auth',
    start: 'betterAuthDatabase',
    guarantees: { revocable: 'at once', hashed: 'no', absolute: 'no' },
  },
];
