/**
 * Whether this is a path on our own host in the eyes of every browser: no `//host`, no `/\\host`, no control
 * characters.
 */
export function isLocalPath(value: unknown): boolean {
  return typeof value === 'string' && /^\/(?![/\\])[\x21-\x5b\x5d-\x7e]*$/.test(value);
}
