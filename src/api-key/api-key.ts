import { hours, type Duration } from '../common/duration.js';
import { canonicalBytes } from '../crypto/base64url.js';
import { sha256Hex } from '../crypto/hash.js';
import { randomToken } from '../crypto/random.js';
import { isActive, isBeforeCutoff } from '../user/account.js';
import type { AuthUser } from '../user/user.directory.js';

/** An API key as its owner and handlers see it: never the key itself. Instants are epoch milliseconds. */
export interface ApiKey {
  /** Public name of the key, to revoke it by. It authenticates nobody. */
  readonly id: string;
  readonly userId: string;
  /** What its owner calls it. */
  readonly name: string;
  /** The first characters of the key, by which its owner recognises it. */
  readonly prefix: string;
  /** What it may do now: of the scopes it was made with, those that still exist and that the roles of its owner allow. */
  readonly scopes: readonly string[];
  readonly createdAt: number;
  /** It is refused from this exact instant on. */
  readonly expiresAt: number;
  /** As coarse as a minute; `null` if it never was. */
  readonly lastUsedAt: number | null;
}

/** A live key and its owner, as the account is now. */
export interface AuthenticatedApiKey {
  readonly apiKey: ApiKey;
  readonly user: AuthUser;
}

/** A key as it is stored, live or not; its scopes are those that it was made with. */
export interface StoredApiKey extends AuthenticatedApiKey {
  readonly revokedAt: number | null;
}

/** The longest life of a key: a leap year. The table refuses more. */
export const MAX_API_KEY_LIFETIME: Duration = hours(366 * 24);
export const MAX_API_KEY_NAME = 100;
/** How coarse `lastUsedAt` is. */
export const API_KEY_USE_GRAIN: Duration = 60_000;

const MARK = 'lk_';
const FORM = /^lk_[A-Za-z0-9_-]{43}$/;
/** 36 of the 256 bits. */
const PREFIX_LENGTH = MARK.length + 6;

/** Whether this is spelled like an API key, which no token of a session is: those are shorter, or have dots. */
export const isApiKey = (text: string): boolean => FORM.test(text);

/**
 * What is stored of a key: the lower-case hex SHA-256 of its 32 bytes. `null` for anything but their canonical spelling,
 * so that malformed input costs no query and a stored hash is not a key.
 */
export function hashOfApiKey(key: string): string | null {
  if (!isApiKey(key)) return null;
  const bytes = canonicalBytes(key.slice(MARK.length));
  return bytes && sha256Hex(bytes);
}

/** A fresh key: `lk_` and base64url of 32 random bytes, so that scanners for leaked secrets recognise it. */
export function newApiKey(): { key: string; hash: string; prefix: string } {
  const bytes = randomToken();
  const key = `${MARK}${bytes.toString('base64url')}`;
  return { key, hash: sha256Hex(bytes), prefix: key.slice(0, PREFIX_LENGTH) };
}

/** Why a stored key authenticates nobody at `now`; `null` if it does. */
export function lackOf({ apiKey, user, revokedAt }: StoredApiKey, now: number): 'revoked' | 'expired' | 'owner' | null {
  if (revokedAt !== null) return 'revoked';
  if (!(now < apiKey.expiresAt)) return 'expired';
  return isActive(user) && !isBeforeCutoff(apiKey.createdAt, user.tokensInvalidatedAfter) ? null : 'owner';
}
