import { AuthError } from '../auth.errors.js';

/**
 * What your application keeps in a session, such as the chosen tenant or a basket. Empty until you declare its fields,
 * by module augmentation. It stays on the server; clients never see it.
 *
 * @example
 * ```ts
 * declare module 'nestjs-latchkey' {
 *   interface SessionData {
 *     tenant: string;
 *     basket: { article: string; count: number }[];
 *   }
 * }
 * ```
 */
// oxlint-disable-next-line typescript/no-empty-interface, typescript/no-empty-object-type -- the application fills it
export interface SessionData {}

/** The data of one session: a new session has none of the fields. */
export type StoredSessionData = Readonly<Partial<SessionData>>;

/** The fields to set, each as a whole; `null` or `undefined` deletes one. Fields that are not named stay as they are. */
export type SessionDataPatch = { readonly [Field in keyof SessionData]?: SessionData[Field] | null };

/** What a patch does, as the stores take it. */
export interface SessionDataChange {
  /** By field: its new value as JSON. */
  readonly set: ReadonlyMap<string, string>;
  readonly deleted: readonly string[];
}

/**
 * The most that a session's data may take as JSON, in bytes of UTF-8. PostgreSQL counts a space after each colon and
 * comma, Redis only after those between the fields.
 */
export const MAX_SESSION_DATA = 4096;

/** How deep values may be nested. */
const MAX_DEPTH = 32;
const PLAIN_JSON =
  `null, booleans, finite numbers, well-formed text without U+0000, and arrays and plain objects of those, at most ` +
  `${MAX_DEPTH} deep and without a key __proto__`;

/**
 * Checks a patch. Whatever it contains reads back as it was given, from every storage.
 *
 * @throws {AuthError} `INVALID_INPUT` for anything but plain JSON.
 * @throws {AuthError} `SESSION_DATA_TOO_LARGE` if what is set could not be stored even alone.
 */
export function checkedChange(patch: SessionDataPatch): SessionDataChange {
  if (!isPlainObject(patch)) throw notJson('The patch is no plain object.');
  const set = new Map<string, string>();
  const deleted: string[] = [];
  const budget = { values: MAX_SESSION_DATA };
  for (const [field, value] of Object.entries(patch)) {
    if (!isKey(field)) throw notJson('The name of a field cannot be stored.');
    if (value === null || value === undefined) {
      deleted.push(field);
      continue;
    }
    if (!isPlainJson(value, MAX_DEPTH, budget))
      throw notJson(`The value of the field '${field.slice(0, 100)}' is not JSON.`);
    set.set(field, JSON.stringify(value));
  }
  let size = 0;
  for (const [field, json] of set) size += Buffer.byteLength(JSON.stringify(field)) + Buffer.byteLength(json);
  if (size > MAX_SESSION_DATA) throw tooLarge();
  return { set, deleted };
}

export function tooLarge(): AuthError<'SESSION_DATA_TOO_LARGE'> {
  const message =
    `The data of a session may take ${MAX_SESSION_DATA} bytes as JSON, and nothing was changed: delete fields, or keep ` +
    'them in a table of your own and only their id in the session.';
  return new AuthError('SESSION_DATA_TOO_LARGE', message, { limit: MAX_SESSION_DATA });
}

/** A copy that its holder may write to. */
export function copyOfData(data: StoredSessionData): StoredSessionData {
  // Most sessions have none, and every cached lookup passes here.
  for (const _field in data) return structuredClone(data);
  return {};
}

function notJson(found: string): AuthError<'INVALID_INPUT'> {
  return new AuthError('INVALID_INPUT', `${found} Session data is ${PLAIN_JSON}.`, { fields: { data: PLAIN_JSON } });
}

/**
 * Bounded by `depth`, so that a cycle ends too, and by the number of values, of which each takes a byte at least, so that
 * several cycles do not multiply. A property that is `undefined` is no property, as in JSON.
 */
function isPlainJson(value: unknown, depth: number, budget: { values: number }): boolean {
  if (--budget.values < 0) throw tooLarge();
  if (value === null || typeof value === 'boolean') return true;
  if (typeof value === 'number') return Number.isFinite(value);
  if (typeof value === 'string') return isStorableText(value);
  if (depth === 0) return false;
  if (Array.isArray(value)) return value.every((item) => isPlainJson(item, depth - 1, budget)) && !hasHoles(value);
  if (!isPlainObject(value)) return false;
  return Object.entries(value).every(
    ([key, item]) => isKey(key) && (item === undefined || isPlainJson(item, depth - 1, budget)),
  );
}

/** `every` skips them, and JSON would write null. */
const hasHoles = (array: readonly unknown[]): boolean => Object.keys(array).length !== array.length;

function isPlainObject(value: unknown): value is object {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

const isKey = (key: string): boolean => key !== '__proto__' && isStorableText(key);
/** PostgreSQL stores neither U+0000 nor half a surrogate pair. */
const isStorableText = (text: string): boolean => !/[\0\p{Surrogate}]/u.test(text);
