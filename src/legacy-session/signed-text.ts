import { createHmac, createSecretKey, timingSafeEqual, type KeyObject } from 'node:crypto';

/** The keys of a source: of one secret, or of several, any of which may have signed. Throws a `TypeError` for none. */
export function legacyKeys(source: string, secret: string | readonly string[]): readonly KeyObject[] {
  const secrets = [secret].flat() as unknown[];
  if (secrets.length === 0 || !secrets.every((one) => typeof one === 'string' && one !== '')) {
    throw new TypeError(`${source} needs the secret of the old system, or a list of them.`);
  }
  return (secrets as string[]).map((one) => createSecretKey(one, 'utf8'));
}

/**
 * The text of `text.signature`, with the signature in base64 being HMAC-SHA256 of the text under one of the keys, or
 * `null`. In constant time, and one spelling of a signature only.
 */
export function signedText(
  value: string,
  keys: readonly KeyObject[],
  { padding }: { readonly padding: boolean },
): string | null {
  const dot = value.lastIndexOf('.');
  if (dot <= 0) return null;
  const text = value.slice(0, dot);
  const given = Buffer.from(value.slice(dot + 1));
  const isSigned = keys.some((key) => {
    const signature = createHmac('sha256', key).update(text).digest('base64');
    const expected = Buffer.from(padding ? signature : signature.replace(/=+$/, ''));
    return given.length === expected.length && timingSafeEqual(given, expected);
  });
  return isSigned ? text : null;
}

/** The value of a cookie, percent-decoded; `null` if it cannot be. */
export function decodedCookie(value: string): string | null {
  try {
    return decodeURIComponent(value);
  } catch {
    return null;
  }
}
