import type { RelyingParty } from '../config/passkey-settings.js';
import { ALGORITHMS } from './ceremony-options.js';
import { PasskeyRefusal } from './passkey-refusal.js';
import type { StoredPasskey } from './passkey.store.js';

/** What `PublicKeyCredential.toJSON` makes of a new passkey. */
export interface PasskeyRegistrationResponse {
  readonly id: string;
  readonly rawId: string;
  readonly type: string;
  readonly response: {
    readonly clientDataJSON: string;
    readonly attestationObject: string;
    readonly transports?: readonly string[] | undefined;
  };
}

/** What `PublicKeyCredential.toJSON` makes of the use of a passkey. */
export interface PasskeyAssertionResponse {
  readonly id: string;
  readonly rawId: string;
  readonly type: string;
  readonly response: {
    readonly clientDataJSON: string;
    readonly authenticatorData: string;
    readonly signature: string;
    readonly userHandle?: string | null | undefined;
  };
}

/** A key whose authenticator has answered the challenge. */
export type RegisteredKey = Pick<
  StoredPasskey,
  'credentialId' | 'publicKey' | 'signCount' | 'aaguid' | 'transports' | 'multiDevice' | 'backedUp'
>;

/** A proof by a passkey, whose signature has been verified. Its count has not been compared with anything. */
export interface VerifiedAssertion {
  readonly signCount: number;
  readonly backedUp: boolean;
  /** Whether the authenticator has verified the user, by PIN or biometrics: a second factor by itself. */
  readonly userVerified: boolean;
}

/** WebAuthn Level 3, section 5.8.3. */
const TRANSPORTS: ReadonlySet<string> = new Set(['ble', 'hybrid', 'internal', 'nfc', 'smart-card', 'usb']);
const MAX_PUBLIC_KEY = 2_048;
/** 1,023 bytes (WebAuthn Level 3, section 4). */
const CREDENTIAL_ID = /^[\w-]{1,1364}$/;
const UNKNOWN_MODEL = '00000000-0000-0000-0000-000000000000';
const MAX_SIGN_COUNT = 0xffff_ffff;
/**
 * What is left of an attestation where none is asked for (WebAuthn Level 3, section 5.1.3), and what authenticators send
 * all the same. Not those with certificates that are verified: the library fetches the revocation lists that these name,
 * of `android-key` before it knows the root, so whoever adds a passkey could have any address asked from here.
 */
const ATTESTATIONS: ReadonlySet<unknown> = new Set(['none', 'packed', 'fido-u2f']);

/** What is used of `@simplewebauthn/server`; with its types every application would have to install it. */
interface SimpleWebAuthn {
  readonly isoBase64URL: { toBuffer(text: string): Uint8Array };
  decodeAttestationObject(attestationObject: Uint8Array): { get(key: 'fmt'): unknown };
  verifyRegistrationResponse(options: object): Promise<{
    readonly verified: boolean;
    readonly registrationInfo?: {
      readonly aaguid: string;
      readonly credential: { readonly id: string; readonly publicKey: Uint8Array; readonly counter: number };
      readonly credentialDeviceType: 'singleDevice' | 'multiDevice';
      readonly credentialBackedUp: boolean;
    };
  }>;
  verifyAuthenticationResponse(options: object): Promise<{
    readonly verified: boolean;
    readonly authenticationInfo: {
      readonly newCounter: number;
      readonly userVerified: boolean;
      readonly credentialBackedUp: boolean;
    };
  }>;
}

/**
 * Verifies what authenticators answer (WebAuthn Level 3, sections 7.1 and 7.2), and nothing else: it reads and writes no
 * storage. Each method returns what is verified, or throws a `PasskeyRefusal`.
 */
export class WebAuthn {
  private constructor(private readonly library: SimpleWebAuthn) {}

  /** `null` if the optional package is not installed. What else keeps it from being loaded is thrown. */
  static async load(library?: () => Promise<unknown>): Promise<WebAuthn | null> {
    try {
      // Within `try`, and in no function of its own: only so does a bundler that cannot find it go on.
      const found: unknown = library
        ? await library()
        : { ...(await import('@simplewebauthn/server')), ...(await import('@simplewebauthn/server/helpers')) };
      return new WebAuthn(found as SimpleWebAuthn);
    } catch (error) {
      if (isMissing(error)) return null;
      throw error;
    }
  }

  async verifyRegistration(
    response: PasskeyRegistrationResponse,
    challenge: string,
    party: RelyingParty,
  ): Promise<RegisteredKey> {
    requirePlace(response.response.clientDataJSON, party);
    const { library } = this;
    const format = await judged(() => {
      const attestation = library.isoBase64URL.toBuffer(response.response.attestationObject);
      return library.decodeAttestationObject(attestation).get('fmt');
    });
    if (!ATTESTATIONS.has(format)) throw new PasskeyRefusal('It has an attestation, which was not asked for.');
    const { verified, registrationInfo: info } = await judged(() =>
      this.library.verifyRegistrationResponse({
        response,
        expectedChallenge: challenge,
        expectedOrigin: [...party.origins],
        expectedRPID: party.id,
        // As its options ask: what it is worth is decided with each use.
        requireUserVerification: false,
        supportedAlgorithmIDs: [...ALGORITHMS],
      }),
    );
    if (!verified || !info) throw new PasskeyRefusal('Its attestation is not valid.');
    const { credential, aaguid } = info;
    // The id that was signed, and not the one beside it.
    if (credential.id !== response.id || !CREDENTIAL_ID.test(credential.id)) {
      throw new PasskeyRefusal('Its credential id is not the one that was signed.');
    }
    if (credential.publicKey.length > MAX_PUBLIC_KEY) throw new PasskeyRefusal('Its public key is too long.');
    return {
      credentialId: credential.id,
      publicKey: credential.publicKey,
      signCount: checkedCount(credential.counter),
      aaguid: aaguid === UNKNOWN_MODEL ? null : aaguid,
      transports: [...new Set(response.response.transports)].filter((transport) => TRANSPORTS.has(transport)),
      multiDevice: info.credentialDeviceType === 'multiDevice',
      backedUp: info.credentialBackedUp,
    };
  }

  async verifyAssertion(
    response: PasskeyAssertionResponse,
    challenge: string,
    party: RelyingParty,
    passkey: Pick<StoredPasskey, 'credentialId' | 'publicKey'>,
  ): Promise<VerifiedAssertion> {
    requirePlace(response.response.clientDataJSON, party);
    if (response.id !== passkey.credentialId) throw new PasskeyRefusal('It is another passkey.');
    const { verified, authenticationInfo: info } = await judged(() =>
      this.library.verifyAuthenticationResponse({
        response,
        expectedChallenge: challenge,
        expectedOrigin: [...party.origins],
        expectedRPID: party.id,
        requireUserVerification: false,
        // The count is compared by the statement that stores it: two that read the same one would both pass here.
        credential: { id: passkey.credentialId, publicKey: new Uint8Array(passkey.publicKey), counter: 0 },
      }),
    );
    if (!verified) throw new PasskeyRefusal('Its signature is not valid.');
    const { newCounter, userVerified, credentialBackedUp } = info;
    return { signCount: checkedCount(newCounter), userVerified, backedUp: credentialBackedUp };
  }
}

/** The challenge that a browser says it has answered; `null` if it does not. It proves nothing by itself. */
export function challengeOf({ response }: { readonly response: { readonly clientDataJSON: string } }): string | null {
  const challenge = clientDataOf(response.clientDataJSON)['challenge'];
  return typeof challenge === 'string' ? challenge : null;
}

/** Not in a frame of another site, which the library lets pass if that is not named. */
function requirePlace(clientDataJSON: string, { origins }: RelyingParty): void {
  const { origin, crossOrigin, topOrigin } = clientDataOf(clientDataJSON);
  if (typeof origin !== 'string' || !origins.includes(origin)) {
    const from = typeof origin === 'string' && URL.canParse(origin) ? ` (${new URL(origin).origin})` : '';
    throw new PasskeyRefusal(`It was used at an origin${from} that is not among flows.passkeys.origins.`);
  }
  if ((crossOrigin !== undefined && crossOrigin !== false) || topOrigin !== undefined) {
    throw new PasskeyRefusal('It was used in a frame of another site.');
  }
}

function clientDataOf(clientDataJSON: string): Record<string, unknown> {
  try {
    return Object(JSON.parse(Buffer.from(clientDataJSON, 'base64url').toString('utf8')));
  } catch {
    return {};
  }
}

/** Whatever the library throws is about what it was given: it asks nobody. */
async function judged<T>(verify: () => T | Promise<T>): Promise<T> {
  try {
    return await verify();
  } catch (error) {
    throw new PasskeyRefusal('It is not a valid answer to its challenge.', { cause: error });
  }
}

function checkedCount(count: number): number {
  if (Number.isInteger(count) && count >= 0 && count <= MAX_SIGN_COUNT) return count;
  throw new PasskeyRefusal('Its count is none.');
}

function isMissing(error: unknown): boolean {
  const { code, message } = Object(error) as { code?: unknown; message?: unknown };
  const isOfModule = code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND';
  return isOfModule && String(message).includes('@simplewebauthn/server');
}
