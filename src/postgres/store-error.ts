import { AuthError } from '../auth.errors.js';
import { connectionFault } from './connection-fault.js';

const INSUFFICIENT_PRIVILEGE = '42501';
const UNDEFINED_TABLE = '42P01';
const UNDEFINED_COLUMN = '42703';
const UNDEFINED_FUNCTION = '42883';
const INVALID_STATEMENT_NAME = '26000';
const DUPLICATE_STATEMENT = '42P05';
const FEATURE_NOT_SUPPORTED = '0A000';
const DEADLOCK_DETECTED = '40P01';
const SERIALIZATION_FAILURE = '40001';
const STATEMENT_COMPLETION_UNKNOWN = '40003';

/**
 * Refused before anything ran: the connection has lost the statement (a pooler, DISCARD), or a column has changed its
 * type.
 */
export const STALE_STATEMENT = new Set([INVALID_STATEMENT_NAME, DUPLICATE_STATEMENT, FEATURE_NOT_SUPPORTED]);
/** The client is now on another server connection: a pooler has swapped it. */
export const NOT_OURS = new Set([INVALID_STATEMENT_NAME, DUPLICATE_STATEMENT]);
/** Rolled back as a whole by PostgreSQL, which asks for exactly this: a retry. */
export const TRY_AGAIN = new Set([DEADLOCK_DETECTED, SERIALIZATION_FAILURE]);

/** PostgreSQL's five-character error code, if the error comes from the server. */
export function sqlState(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) ? code : undefined;
}

/** The code of an error, or of the error that `toAuthError` wrapped. */
export function sqlStateOrCause(error: unknown): string | undefined {
  return sqlState(error) ?? sqlState((error as Error | null)?.cause);
}

/** Whether PostgreSQL refused the commit: a deferred constraint (23) or trigger, or a rollback (40). */
export function wasRefused(error: unknown): boolean {
  const code = sqlStateOrCause(error) ?? '';
  return /^(23|40|P0)/.test(code) && code !== STATEMENT_COMPLETION_UNKNOWN;
}

/** What to throw for this error: an `AuthError`, or the error itself if it is about the caller's data. */
export function toAuthError(error: unknown, code: string | undefined, statement: string): unknown {
  if (code === UNDEFINED_TABLE || code === UNDEFINED_COLUMN || code === UNDEFINED_FUNCTION) {
    const detail = (error as Error).message;
    return new AuthError(
      'SCHEMA_MISSING',
      `The schema of nestjs-latchkey is missing or older than the code (${detail}). Run \`npx nestjs-latchkey migrate\`, or add ` +
        "authMigrations to the DataSource's migrations and run them.",
      { detail },
      { cause: error },
    );
  }
  if (code?.startsWith('22') || code?.startsWith('23')) return error;
  const fault = code === INSUFFICIENT_PRIVILEGE ? connectionFault(error) : undefined;
  return new AuthError(
    'STORE_UNAVAILABLE',
    fault
      ? `The database refuses this (${(error as Error).message}). ${fault.remedy}`
      : 'The database did not answer. See the cause; requests are answered again as soon as it is back.',
    { part: statement },
    { cause: error },
  );
}
