import { createPrivateKey, sign, type KeyObject } from 'node:crypto';
import { SystemClock, type Clock } from '../../common/clock.js';
import { minutes } from '../../common/duration.js';
import type { OidcProvider } from '../../config/oidc-settings.js';
import { withSettings, type OpenIdSettings } from './provider-settings.js';

/** Sign in with Apple: what its developer pages show. */
export interface AppleSettings extends Omit<OpenIdSettings, 'clientSecret'> {
  /** Ten characters. */
  readonly teamId: string;
  /** That of the key, ten characters. */
  readonly keyId: string;
  /** The text of `AuthKey_<keyId>.p8`. */
  readonly privateKey: string;
  /** Default: the clock of the machine. */
  readonly clock?: Clock;
}

const ISSUER = 'https://appleid.apple.com';
/** Apple takes up to six months. */
const LIFETIME = minutes(5);

/**
 * Apple. `clientId` is the id of the service. In place of a secret each request is signed with your key (ES256), for five
 * minutes. It answers by a form, tells the name only at the very first login and only beside the ID token, so that no name
 * comes here, and may give a relay address in place of the user's own. Where it says `"true"` in place of `true`, as it
 * may by its documentation, the address is not verified. No step-up is offered there: its documentation has no parameter
 * that asks a user again.
 *
 * @throws {TypeError} if `privateKey` is no P-256 key in PEM.
 *
 * @example
 * ```ts
 * apple({ clientId: 'com.example.web', teamId, keyId, privateKey: process.env['APPLE_KEY']!, signUp: true });
 * ```
 */
export function apple({
  teamId,
  keyId,
  privateKey,
  clock = new SystemClock(),
  ...settings
}: AppleSettings): OidcProvider {
  const key = keyOf(privateKey);
  return withSettings<OidcProvider>(
    {
      id: 'apple',
      label: 'Apple',
      issuer: ISSUER,
      scope: 'openid email name',
      // It refuses a scope with another one.
      responseMode: 'form_post',
      clientAuthentication: 'post',
      stepUp: false,
    },
    {
      ...settings,
      clientSecret: () => {
        const iat = Math.floor(clock.now() / 1000);
        const claims = { iss: teamId, sub: settings.clientId, aud: ISSUER, iat, exp: iat + LIFETIME / 1000 };
        return signed({ alg: 'ES256', kid: keyId }, claims, key);
      },
    },
  );
}

/** A JWT (RFC 7519), whose signature is r and s beside each other (RFC 7518, section 3.4). */
function signed(header: object, claims: object, key: KeyObject): string {
  const input = [header, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
  const signature = sign('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' });
  return `${input}.${signature.toString('base64url')}`;
}

function keyOf(pem: string): KeyObject {
  const key = readable(pem);
  if (key?.asymmetricKeyDetails?.namedCurve === 'prime256v1') return key;
  throw new TypeError('apple({ privateKey }) must be the text of AuthKey_<keyId>.p8, with its BEGIN and END lines.');
}

function readable(pem: string): KeyObject | null {
  try {
    return createPrivateKey(pem);
  } catch {
    // What it says may show the key.
    return null;
  }
}
