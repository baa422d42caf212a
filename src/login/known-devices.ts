import { createHmac, timingSafeEqual, type KeyObject } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { Clock } from '../common/clock.js';
import { days, seconds } from '../common/duration.js';
import { KeyRing } from '../crypto/key-ring.js';
import { randomToken } from '../crypto/random.js';
import { normalizeLogin } from '../user/login-name.js';
import type { CookieValue } from './session-scheme.js';

const PURPOSE = 'nestjs-latchkey:known-device';
/** From the last login on the device. */
const LIFETIME = days(180);
/** `id.seconds.mac` */
const VALUE = /^([0-9a-f]{32})\.(\d{1,11})\.[A-Za-z0-9_-]{43}$/;
/** Of the cookies with our name; the others are not looked at. */
const MAX_PRESENTED = 4;

/**
 * The devices on which a login name has been logged in before (OWASP, "device cookies"): each keeps a signed value,
 * good for this name and for nothing but a place of its own in the limits, so that strangers who use up the name's
 * limits do not lock its owner out. It authenticates nobody, and nothing is stored here.
 *
 * A value that is missing, malformed, forged, expired, or of another login name is no value. After a rotation of
 * `secrets` values signed with a previous one stay valid.
 */
@Injectable()
export class KnownDevices {
  constructor(
    private readonly keys: KeyRing,
    private readonly clock: Clock,
  ) {}

  /** The id of the device that one of these values proves, or `null`. */
  find(login: string, presented: readonly string[]): string | null {
    for (const value of presented.slice(0, MAX_PRESENTED)) {
      const [, id, issuedAt] = VALUE.exec(value) ?? [];
      if (id === undefined || this.clock.now() >= seconds(Number(issuedAt)) + LIFETIME) continue;
      const isSigned = this.keys.forPurpose(PURPOSE).some((key) => isSame(value, valueOf(key, id, issuedAt!, login)));
      if (isSigned) return id;
    }
    return null;
  }

  /** A value for a device on which this name has just logged in; it keeps the id that it had. */
  issue(login: string, presented: readonly string[] = []): CookieValue {
    const id = this.find(login, presented) ?? randomToken().toString('hex', 0, 16);
    const issuedAt = Math.floor(this.clock.now() / 1000);
    const value = valueOf(this.keys.forPurpose(PURPOSE)[0], id, String(issuedAt), login);
    return { value, expiresAt: seconds(issuedAt) + LIFETIME };
  }
}

function valueOf(key: KeyObject, id: string, issuedAt: string, login: string): string {
  const signed = `${id}.${issuedAt}`;
  const mac = createHmac('sha256', key)
    .update(`${signed}.${normalizeLogin(login)}`)
    .digest('base64url');
  return `${signed}.${mac}`;
}

function isSame(presented: string, expected: string): boolean {
  return presented.length === expected.length && timingSafeEqual(Buffer.from(presented), Buffer.from(expected));
}
