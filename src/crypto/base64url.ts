/**
 * The bytes of a base64url text, or `null` unless it is their canonical spelling (RFC 4648 section 3.5): no padding, no
 * foreign character, no stray bits in the last one. Node decodes nearly anything.
 */
export function canonicalBytes(text: string): Buffer | null {
  const bytes = Buffer.from(text, 'base64url');
  return bytes.toString('base64url') === text ? bytes : null;
}
