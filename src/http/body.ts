import type { z } from 'zod';
import { AuthError } from '../auth.errors.js';

/**
 * The body as this schema reads it. Throws `INVALID_INPUT`, which names the fields and what they must be, never what
 * was sent; `what` is what the body is, such as `a login`.
 */
export function parseBody<Schema extends z.ZodType>(schema: Schema, body: unknown, what: string): z.output<Schema> {
  const parsed = schema.safeParse(body ?? {});
  if (parsed.success) return parsed.data;
  const fields = Object.fromEntries(parsed.error.issues.flatMap(expectations));
  if (fields['body']) fields['body'] = 'must be a JSON object';
  throw new AuthError('INVALID_INPUT', `Not ${what}: ${Object.keys(fields).join(', ')}.`, { fields });
}

function expectations(issue: z.core.$ZodIssue): [field: string, expected: string][] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.slice(0, MAX_NAMED).map((key) => [nameOf(key), 'is not a field here']);
  }
  return [[String(issue.path[0] ?? 'body'), issue.message]];
}

const MAX_NAMED = 10;
/** The client chooses these names. JSON sent as a form is one name, with the password in it. */
const nameOf = (key: string): string => (/^\w{1,40}$/.test(key) ? key : UNNAMED);
const UNNAMED = '(another name)';
