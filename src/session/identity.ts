import { formatInstant, parseInstant, type Instant } from '../common/instant.js';

/**
 * Whom a signed session cookie identifies. The first six fields are those of the source system; the others are ours:
 * its reader ignores them, a cookie that it wrote lacks them, and `decode` then makes them up.
 */
export interface Identity {
  readonly sub: string;
  /** As the identity provider gave it; whether it was verified is not known here. */
  readonly email: string | null;
  readonly name: string | null;
  readonly providerId: string;
  readonly issuedAt: Instant;
  /** Moves with every re-issue. What ends a cookie is the age of its signature, not this. */
  readonly expiresAt: Instant;
  /** Random and kept through every re-issue, so that a logout can name all cookies of one login. */
  readonly sid?: string;
  /** When the user last authenticated. No re-issue moves it. */
  readonly authenticatedAt?: Instant;
  /** No re-issue moves the session past this: it expires at this instant. */
  readonly absoluteExpiresAt?: Instant;
}

/** The longest `sid` that fits the column of revoked ones. */
const MAX_SID_LENGTH = 64;

/** The JSON object that is signed: the names and the field order of the source system, then our own. */
export function identityToJson(identity: Identity): Record<string, string | null | undefined> {
  return {
    sub: identity.sub,
    email: identity.email,
    name: identity.name,
    provider_id: identity.providerId,
    issued_at: formatInstant(identity.issuedAt),
    expires_at: formatInstant(identity.expiresAt),
    sid: identity.sid,
    auth_time: identity.authenticatedAt === undefined ? undefined : formatInstant(identity.authenticatedAt),
    absolute_expires_at:
      identity.absoluteExpiresAt === undefined ? undefined : formatInstant(identity.absoluteExpiresAt),
  };
}

/**
 * The identity in a signed payload, or `null` when it is not one. As lenient as the source system: keys it does not
 * know are ignored, `email` and `name` may be missing, an instant has any form that `parseInstant` reads.
 */
export function identityFromJson(payload: unknown): Identity | null {
  if (typeof payload !== 'object' || payload === null || Array.isArray(payload)) return null;
  const json = payload as Record<string, unknown>;
  const { sub, email = null, name = null, provider_id: providerId, sid } = json;
  if (typeof sub !== 'string' || typeof providerId !== 'string') return null;
  if (!isTextOrNull(email) || !isTextOrNull(name) || !isSidOrMissing(sid)) return null;

  const issuedAt = parseInstant(json.issued_at);
  const expiresAt = parseInstant(json.expires_at);
  const authenticatedAt = json.auth_time === undefined ? undefined : parseInstant(json.auth_time);
  const absoluteExpiresAt = json.absolute_expires_at === undefined ? undefined : parseInstant(json.absolute_expires_at);
  if (issuedAt === null || expiresAt === null || authenticatedAt === null || absoluteExpiresAt === null) return null;
  return { sub, email, name, providerId, issuedAt, expiresAt, sid, authenticatedAt, absoluteExpiresAt };
}

function isTextOrNull(value: unknown): value is string | null {
  return value === null || typeof value === 'string';
}

function isSidOrMissing(value: unknown): value is string | undefined {
  return value === undefined || (typeof value === 'string' && value !== '' && value.length <= MAX_SID_LENGTH);
}
