import { formatInstant, parseInstant, type Instant } from '../common/instant.js';

/**
 * The content of a signed session cookie. The first six fields are those of equalify-reflow, the others are ours: its
 * reader ignores them, and a cookie it wrote lacks them, in which case `decode` fills them in.
 */
export interface Identity {
  readonly sub: string;
  /** As the identity provider supplied it; whether it was verified is not known here. */
  readonly email: string | null;
  readonly name: string | null;
  readonly providerId: string;
  readonly issuedAt: Instant;
  /** Moves with every re-issue. The cookie's lifetime depends on the age of its signature, not on this. */
  readonly expiresAt: Instant;
  /** Random, and kept through every re-issue, so that a logout can name all cookies of one login. */
  readonly sid?: string;
  /** When the user last authenticated. A re-issue does not move it. */
  readonly authenticatedAt?: Instant;
  /** The session expires at this instant at the latest, however often it is re-issued. */
  readonly absoluteExpiresAt?: Instant;
  /** Whether its login asked to be remembered; missing if there was nothing to choose. */
  readonly remembered?: boolean | undefined;
}

/** An identity with all that a cookie of another system lacks. */
export type FullIdentity = Required<Omit<Identity, 'remembered'>> & Pick<Identity, 'remembered'>;

/** The longest `sid` that fits the column `revoked_tokens.jti`. */
const MAX_SID_LENGTH = 64;

/** The JSON object that is signed: names and field order as equalify-reflow writes them, then our own. */
export function identityToJson(identity: Identity): Record<string, string | boolean | null | undefined> {
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
    remembered: identity.remembered,
  };
}

/**
 * The identity in a signed payload, or `null` if it is not one. As lenient as equalify-reflow: unknown keys are
 * ignored, `email` and `name` may be missing, and an instant may have any form that `parseInstant` reads.
 */
export function identityFromJson(payload: unknown): Identity | null {
  if (typeof payload !== 'object' || payload === null || Array.isArray(payload)) return null;
  const json = payload as Record<string, unknown>;
  const { sub, email = null, name = null, provider_id: providerId, sid } = json;
  if (typeof sub !== 'string' || typeof providerId !== 'string') return null;
  if (!isTextOrNull(email) || !isTextOrNull(name) || !isSidOrMissing(sid)) return null;

  const remembered = typeof json.remembered === 'boolean' ? json.remembered : undefined;

  const issuedAt = parseInstant(json.issued_at);
  const expiresAt = parseInstant(json.expires_at);
  const authenticatedAt = json.auth_time === undefined ? undefined : parseInstant(json.auth_time);
  const absoluteExpiresAt = json.absolute_expires_at === undefined ? undefined : parseInstant(json.absolute_expires_at);
  if (issuedAt === null || expiresAt === null || authenticatedAt === null || absoluteExpiresAt === null) return null;
  return { sub, email, name, providerId, issuedAt, expiresAt, sid, authenticatedAt, absoluteExpiresAt, remembered };
}

function isTextOrNull(value: unknown): value is string | null {
  return value === null || typeof value === 'string';
}

function isSidOrMissing(value: unknown): value is string | undefined {
  return value === undefined || (typeof value === 'string' && value !== '' && value.length <= MAX_SID_LENGTH);
}
