import { createHmac, timingSafeEqual, type KeyObject } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { Clock } from '../common/clock.js';
import { days } from '../common/duration.js';
import { KeyRing } from '../crypto/key-ring.js';
import { randomId } from '../crypto/random.js';
import { normalizeLogin } from '../user/login-name.js';
import type { CookieValue } from './session-scheme.js';

const PURPOSE = 'nestjs-latchkey:known-device';
/** How long a device stays known after its last login. */
const LIFETIME = days(180);
const VALUE = /^([\w-]{22})\.([0-9a-z]{1,11})\.([\w-]{43})$/;

/**
 * The devices that have logged in to an account before (OWASP, "Device cookies"). Each has a rate limit of its own,
 * `login_known_device`, in place of the account's: guesses by strangers cannot lock the owner out of a browser that has
 * been used before.
 *
 * The value is an id, the instant of the login, and an HMAC of both and of the login name. It is no credential: whoever
 * has a stolen one still needs the password, and has as many tries as a stranger has. A value that is missing,
 * malformed, expired, forged or of another account counts as none. Values stay valid while their secret is in `secrets`.
 */
@Injectable()
export class KnownDevices {
  constructor(
    private readonly keyRing: KeyRing,
    private readonly clock: Clock,
  ) {}

  /** The id of the first of these values that is valid for this login name, or `null`. */
  identify(values: readonly string[], login: string): string | null {
    const name = normalizeLogin(login);
    for (const value of values) {
      const [, id, issued, mac] = VALUE.exec(value) ?? [];
      if (id === undefined || issued === undefined || mac === undefined) continue;
      const isCurrent = this.clock.now() - Number.parseInt(issued, 36) < LIFETIME;
      if (isCurrent && this.keyRing.forPurpose(PURPOSE).some((key) => isEqual(macOf(key, id, issued, name), mac))) {
        return id;
      }
    }
    return null;
  }

  /** The value for a device that has just logged in; a known one keeps its id. */
  issue(login: string, known: string | null): CookieValue {
    const now = this.clock.now();
    const id = known ?? randomId();
    const issued = Math.floor(now).toString(36);
    const mac = macOf(this.keyRing.forPurpose(PURPOSE)[0], id, issued, normalizeLogin(login));
    return { value: `${id}.${issued}.${mac}`, expiresAt: now + LIFETIME };
  }
}

/** `name`: in the spelling of `normalizeLogin`. */
function macOf(key: KeyObject, id: string, issued: string, name: string): string {
  return createHmac('sha256', key).update(`${id}.${issued}.${name}`).digest('base64url');
}

/** Both have 43 characters. */
function isEqual(expected: string, given: string): boolean {
  return timingSafeEqual(Buffer.from(expected), Buffer.from(given));
}
