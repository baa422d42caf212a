/**
 * What has changed, and so must not be answered from memory any longer. `'*'` is everything of that kind: the result of
 * a flood of changes or of a message that cannot be parsed.
 */
export interface Invalidation {
  /** Ids of sessions that were changed or ended. */
  readonly sessions?: readonly string[] | '*';
  /** Ids of users who were changed, disabled or deleted, or whose sessions and tokens were ended. */
  readonly users?: readonly string[] | '*';
  /** Self-contained tokens that were ended: `jti`, and the epoch ms at which they would have ended by themselves. */
  readonly tokens?: readonly RevokedToken[] | '*';
}

export type RevokedToken = readonly [jti: string, exp: number];

export const EVERYTHING: Invalidation = Object.freeze({ sessions: '*', users: '*', tokens: '*' });

/** Longer lists are sent as `'*'`: forgetting everything costs less than a flood. */
export const MAX_LIST_LENGTH = 100;
/** Bytes. NOTIFY refuses 8,000. */
const MAX_MESSAGE_BYTES = 7_900;

const CHECKS: Record<keyof Invalidation, (entry: unknown) => boolean> = {
  sessions: isText,
  users: isText,
  tokens: (entry) => Array.isArray(entry) && entry.length === 2 && isText(entry[0]) && Number.isFinite(entry[1]),
};

/** A message from the wire, parsed; `null` if it is not one. Never throws. */
export function parseInvalidation(payload: string): Invalidation | null {
  let parsed: unknown;
  try {
    parsed = JSON.parse(payload);
  } catch {
    return null;
  }
  return isInvalidation(parsed) ? parsed : null;
}

/** What a host passes, without the kinds it leaves out; `null` when none is left. Throws a TypeError for anything else. */
export function checkedInvalidation(written: Invalidation): Invalidation | null {
  const given = Object.fromEntries(Object.entries(written).filter(([, entries]) => entries !== undefined));
  if (Object.keys(given).length === 0) return null;
  if (isInvalidation(given)) return given;
  throw new TypeError(
    "publish() takes { users: ['id'] }, { sessions: ['id'] } or { tokens: [['jti', exp]] }, or '*' for all.",
  );
}

function isInvalidation(value: unknown): value is Invalidation {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const kinds = Object.entries(value);
  const holds = ([kind, entries]: [string, unknown]) => {
    const check = Object.hasOwn(CHECKS, kind) ? CHECKS[kind as keyof typeof CHECKS] : undefined;
    return check !== undefined && (entries === '*' || (Array.isArray(entries) && entries.every(check)));
  };
  return kinds.length > 0 && kinds.every(holds);
}

/** The message for the wire, with what is too long for it cut down to `'*'`. */
export function formatInvalidation(invalidation: Invalidation): string {
  const cutAt = (maxLength: number) =>
    JSON.stringify(invalidation, (key, value: unknown) =>
      key !== '' && Array.isArray(value) && value.length > maxLength && Object.hasOwn(CHECKS, key) ? '*' : value,
    );
  const message = cutAt(MAX_LIST_LENGTH);
  return Buffer.byteLength(message) <= MAX_MESSAGE_BYTES ? message : cutAt(0);
}

function isText(value: unknown): boolean {
  return typeof value === 'string';
}
