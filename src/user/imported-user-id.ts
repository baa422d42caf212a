import { createHash } from 'node:crypto';
import { UUID } from '../common/uuid.js';

/** Of the ids of other systems; made once, and never to be changed: accounts have ids made with it. */
const NAMESPACE = Buffer.from('8f5b0b8e5c2f4d0f9a60d6b1f3f4c1a7', 'hex');

/**
 * The id in the table `users` of an account that another system knows by this one: a UUID stays what it is, and from any
 * other text or number a UUID is made that is the same every time (version 5, RFC 9562 5.5). The command `import` and
 * `legacySessions` go by it; use it to move references of your own tables.
 *
 * @example
 * ```ts
 * await dataSource.query('UPDATE notes SET user_id = $1 WHERE author = $2', [importedUserId(author), author]);
 * ```
 */
export function importedUserId(id: string): string {
  if (UUID.test(id)) return id.toLowerCase();
  const bytes = createHash('sha1').update(NAMESPACE).update(id).digest().subarray(0, 16);
  bytes[6] = (bytes[6]! & 0x0f) | 0x50;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = bytes.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}
