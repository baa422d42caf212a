import type { KeyObject } from 'node:crypto';
import { decodedCookie, signedText } from './signed-text.js';

/** The session id in a cookie of express-session, `s:id.signature` (cookie-signature), or `null`. */
export function expressSessionId(cookie: string, keys: readonly KeyObject[]): string | null {
  const value = decodedCookie(cookie);
  return value?.startsWith('s:') ? signedText(value.slice('s:'.length), keys, { padding: false }) : null;
}

/** The session token in a cookie of better-auth, `token.signature` (better-call), or `null`. */
export function betterAuthToken(cookie: string, keys: readonly KeyObject[]): string | null {
  const value = decodedCookie(cookie);
  return value === null ? null : signedText(value, keys, { padding: true });
}
