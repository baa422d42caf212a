import { isLocalPath } from '../common/local-path.js';
import { FlowSettings } from './every-flow-settings.js';
import type { OptionChecker } from './option-checker.js';

/**
 * `POST passkeys`, `GET passkeys`, `POST passkey-login` and what belongs to them. Needs `@simplewebauthn/server`, and
 * `baseUrl` unless `rpId` and `origins` are written.
 */
export class PasskeySettings extends FlowSettings {
  /** The name of your application, which browsers show beside the passkey. Required. */
  rpName: string = '';
  /**
   * The domain that the passkeys belong to: that of the pages, or one above it. Default: the host of `baseUrl`. With
   * another one every passkey that there is stops working.
   */
  rpId: string | undefined = undefined;
  /**
   * Where passkeys may be used: the origins of the pages, such as `https://app.example.com`, and of apps, such as
   * `android:apk-key-hash:…`. Default: that of `baseUrl`.
   */
  origins: readonly string[] | undefined = undefined;
  /**
   * The path of your page on which users add and remove passkeys. Password managers learn it from
   * `/.well-known/passkey-endpoints`. Default: none, and that address is not answered.
   */
  page: string | undefined = undefined;
}

/** The relying party (WebAuthn Level 3, section 4). */
export interface RelyingParty {
  readonly name: string;
  readonly id: string;
  readonly origins: readonly string[];
}

const DOMAIN = /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/;
const ADDRESS = /^[\d.]+$/;
const APP = /^android:apk-key-hash:[\w-]{43}$/;
const MAX_NAME = 64;

/** What checked settings say. */
export function relyingPartyOf({ rpName: name, rpId, origins }: Readonly<PasskeySettings>): RelyingParty {
  return { name, id: rpId!, origins: origins! };
}

/** Where the passkeys belong to, written or by `baseUrl`. */
export function checkPasskeys(
  check: OptionChecker,
  label: string,
  { rpName, rpId, origins, page }: Readonly<PasskeySettings>,
  { baseUrl }: { readonly baseUrl: string | undefined },
): Pick<PasskeySettings, 'rpId' | 'origins'> {
  check.that(
    typeof rpName === 'string' && rpName.trim() !== '' && [...rpName].length <= MAX_NAME,
    `${label}.rpName must be the name of your application, at most ${MAX_NAME} characters: browsers show it.`,
  );
  check.that(
    baseUrl !== undefined || (rpId !== undefined && origins !== undefined),
    `${label} needs baseUrl, from which rpId and origins follow, or both of them.`,
  );
  check.that(
    rpId === undefined || isDomain(rpId),
    `${label}.rpId must be a domain such as 'example.com', without a scheme or a port; it cannot be an address.`,
  );
  const areOrigins = origins === undefined || (Array.isArray(origins) && origins.length > 0 && origins.every(isOrigin));
  check.that(
    areOrigins,
    `${label}.origins must be a list such as ['https://app.example.com']: without a path, and https except for localhost.`,
  );
  check.that(
    page === undefined || isLocalPath(page),
    `${label}.page must be a path of this application such as '/account/passkeys', not an address elsewhere.`,
  );
  // Of another one it is a mistake already.
  const base = URL.canParse(baseUrl ?? '') ? new URL(baseUrl!) : undefined;
  const resolved = { rpId: rpId ?? base?.hostname, origins: origins ?? (base && [base.origin]) };
  if (!areOrigins || !isDomain(rpId ?? 'localhost') || resolved.rpId === undefined) return resolved;
  check.that(
    isDomain(resolved.rpId),
    `${label}.rpId: the host of baseUrl is an address, to which no passkey can belong. Use a name, such as localhost.`,
  );
  for (const origin of resolved.origins ?? []) {
    check.that(
      isWithin(origin, resolved.rpId),
      `${label}.origins: '${origin}' is not within the domain '${resolved.rpId}', so no browser would use its passkeys there.`,
    );
  }
  return { ...resolved, origins: resolved.origins && Object.freeze([...resolved.origins]) };
}

const isDomain = (value: unknown): boolean => typeof value === 'string' && DOMAIN.test(value) && !ADDRESS.test(value);

function isOrigin(value: unknown): boolean {
  if (typeof value !== 'string') return false;
  if (APP.test(value)) return true;
  if (!URL.canParse(value)) return false;
  const { origin, protocol, hostname } = new URL(value);
  return origin === value && (protocol === 'https:' || (protocol === 'http:' && hostname === 'localhost'));
}

/** What a browser asks of a relying party (WebAuthn Level 3, section 5.1.3); an app is bound to it by its own means. */
function isWithin(origin: string, id: string): boolean {
  if (APP.test(origin)) return true;
  const { hostname } = new URL(origin);
  return hostname === id || hostname.endsWith(`.${id}`);
}
