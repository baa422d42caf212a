import { DIGEST_LENGTH, type InvalidationKind } from './invalidation-digest.js';

/**
 * What has changed, and so must no longer be answered from memory. `'*'` is everything of that kind: the result of a
 * flood of changes, or of a message that cannot be parsed.
 */
export interface Invalidation {
  /** Ids of sessions that were changed or ended. */
  readonly sessions?: readonly string[] | '*';
  /** Ids of users who were changed, disabled or deleted, or whose sessions and tokens were ended. */
  readonly users?: readonly string[] | '*';
  /** `jti`s of self-contained tokens that were ended. */
  readonly tokens?: readonly string[] | '*';
}

/**
 * An invalidation on the wire, with digests in place of the ids (`InvalidationChannel.digest`). It is a hint: anyone
 * who may connect to the database can send one, so its reader forgets and reads again, and takes nothing for proven.
 */
export type InvalidationHint = Invalidation;

export const EVERYTHING: InvalidationHint = Object.freeze({ sessions: '*', users: '*', tokens: '*' });

/** Longer lists are sent as `'*'`: forgetting everything costs less than a flood of messages. */
export const MAX_LIST_LENGTH = 100;
/** In bytes. NOTIFY refuses 8,000 and more. */
const MAX_MESSAGE_BYTES = 7_900;

const KINDS: readonly InvalidationKind[] = ['sessions', 'users', 'tokens'];
const DIGEST = new RegExp(`^[0-9a-f]{${DIGEST_LENGTH}}$`);

/** A message from the wire, parsed; `null` if it is not one. Never throws. */
export function parseHint(payload: string): InvalidationHint | null {
  let parsed: unknown;
  try {
    parsed = JSON.parse(payload);
  } catch {
    return null;
  }
  return isInvalidation(parsed, isDigest, MAX_LIST_LENGTH) ? parsed : null;
}

/**
 * The invalidation that a caller passes, without the kinds it leaves out; `null` if none is left. Throws a `TypeError`
 * for anything else.
 */
export function checkedInvalidation(written: Invalidation): Invalidation | null {
  const given = Object.fromEntries(Object.entries(written).filter(([, entries]) => entries !== undefined));
  if (Object.keys(given).length === 0) return null;
  if (isInvalidation(given, isText, Number.POSITIVE_INFINITY)) return given;
  throw new TypeError(
    "publish() takes { users: ['id'] }, { sessions: ['id'] } or { tokens: ['jti'] }, or '*' for all.",
  );
}

/** The message of a change. */
export function hintOf(invalidation: Invalidation, digest: (kind: InvalidationKind, id: string) => string) {
  const hint: { -readonly [Kind in InvalidationKind]?: readonly string[] | '*' } = {};
  for (const kind of KINDS) {
    const ids = invalidation[kind];
    if (ids !== undefined) hint[kind] = ids === '*' ? ids : ids.map((id) => digest(kind, id));
  }
  return hint satisfies InvalidationHint;
}

/** The text for the wire; what is too long is replaced by `'*'`. */
export function formatHint(hint: InvalidationHint): string {
  const cutAt = (maxLength: number) =>
    JSON.stringify(hint, (key, value: unknown) =>
      key !== '' && Array.isArray(value) && value.length > maxLength ? '*' : value,
    );
  const message = cutAt(MAX_LIST_LENGTH);
  return message.length <= MAX_MESSAGE_BYTES ? message : cutAt(0);
}

function isInvalidation(
  value: unknown,
  isEntry: (entry: unknown) => boolean,
  maxLength: number,
): value is Invalidation {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const kinds = Object.entries(value);
  const holds = ([kind, entries]: [string, unknown]) =>
    (KINDS as readonly string[]).includes(kind) &&
    (entries === '*' || (Array.isArray(entries) && entries.length <= maxLength && entries.every(isEntry)));
  return kinds.length > 0 && kinds.every(holds);
}

function isText(value: unknown): boolean {
  return typeof value === 'string';
}

function isDigest(value: unknown): boolean {
  return typeof value === 'string' && DIGEST.test(value);
}
