import { createHmac, timingSafeEqual } from 'node:crypto';
import { seconds } from '../common/duration.js';

// RFC 6238 with the parameters that every authenticator understands: SHA-1, six digits, thirty seconds.

const STEP = seconds(30);
const DIGITS = 6;
/** How many steps before and after the current one count: for a clock that is wrong, and a code typed at the last moment. */
const WINDOW = 1;

/** 160 bits, as RFC 4226 recommends. */
export const TOTP_SECRET_BYTES = 20;

/** The step of this instant (epoch ms). */
export function totpStep(instant: number): number {
  return Math.floor(instant / STEP);
}

/** The code of this step, for the raw bytes of a secret (RFC 4226, section 5.3). */
export function totpCode(secret: Uint8Array, step: number, digits: number = DIGITS): string {
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(step));
  const digest = createHmac('sha1', secret).update(counter).digest();
  const offset = digest[digest.length - 1]! & 0xf;
  const value = digest.readUInt32BE(offset) & 0x7fff_ffff;
  return String(value % 10 ** digits).padStart(digits, '0');
}

/**
 * The step whose code this is, among the one of the instant (epoch ms), the one before and the one after; or `null`. Blanks
 * in the code are forgiven. It takes the same time for every code of six digits.
 */
export function matchingStep(secret: Uint8Array, code: string, instant: number): number | null {
  const typed = code.replaceAll(/\s/g, '');
  if (!/^\d{6}$/.test(typed)) return null;
  const current = totpStep(instant);
  let found: number | null = null;
  for (let step = Math.max(0, current - WINDOW); step <= current + WINDOW; step++) {
    if (timingSafeEqual(Buffer.from(totpCode(secret, step)), Buffer.from(typed))) found ??= step;
  }
  return found;
}

/** The address that an authenticator reads from the QR code (the Key URI format). */
export function totpUri(secret: string, { issuer, account }: { issuer: string; account: string }): string {
  const label = `${encodeURIComponent(issuer)}:${encodeURIComponent(account)}`;
  return `otpauth://totp/${label}?secret=${secret}&issuer=${encodeURIComponent(issuer)}&algorithm=SHA1&digits=${DIGITS}&period=${STEP / 1000}`;
}
