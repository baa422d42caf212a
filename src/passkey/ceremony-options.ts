import type { RelyingParty } from '../config/passkey-settings.js';
import type { StoredPasskey } from './passkey.store.js';

/** A key that an authenticator may or must not use. */
interface CredentialDescriptor {
  readonly type: 'public-key';
  readonly id: string;
  readonly transports: readonly string[];
}

/** For `PublicKeyCredential.parseCreationOptionsFromJSON` and `navigator.credentials.create` in the browser. */
export interface PasskeyCreationOptions {
  readonly rp: { readonly name: string; readonly id: string };
  readonly user: { readonly id: string; readonly name: string; readonly displayName: string };
  readonly challenge: string;
  readonly pubKeyCredParams: readonly { readonly type: 'public-key'; readonly alg: number }[];
  /** In milliseconds. */
  readonly timeout: number;
  readonly excludeCredentials: readonly CredentialDescriptor[];
  readonly authenticatorSelection: {
    readonly residentKey: 'required';
    readonly requireResidentKey: true;
    readonly userVerification: 'preferred';
  };
  readonly attestation: 'none';
}

/** For `PublicKeyCredential.parseRequestOptionsFromJSON` and `navigator.credentials.get` in the browser. */
export interface PasskeyRequestOptions {
  readonly challenge: string;
  /** In milliseconds. */
  readonly timeout: number;
  readonly rpId: string;
  /** The keys of the user; missing where nobody has said yet who they are. */
  readonly allowCredentials?: readonly CredentialDescriptor[];
  readonly userVerification: 'required' | 'preferred';
}

/** ES256, EdDSA and RS256, the best first: what authenticators have. */
export const ALGORITHMS = [-7, -8, -257] as const;

/**
 * A key that the authenticator finds without a name, so that it can log in by itself (WebAuthn Level 3, section 5.4.6),
 * and no attestation: it would tell the model of the authenticator, about which nothing is decided.
 */
export function creationOptions(
  { name, id }: RelyingParty,
  user: { readonly userHandle: string; readonly login: string },
  { challenge, timeout, others }: { challenge: string; timeout: number; others: readonly StoredPasskey[] },
): PasskeyCreationOptions {
  return {
    rp: { name, id },
    user: { id: user.userHandle, name: user.login, displayName: user.login },
    challenge,
    pubKeyCredParams: ALGORITHMS.map((alg) => ({ type: 'public-key', alg })),
    timeout,
    excludeCredentials: others.map(descriptorOf),
    authenticatorSelection: { residentKey: 'required', requireResidentKey: true, userVerification: 'preferred' },
    attestation: 'none',
  };
}

/** Before a first factor without `allowed`: what it lists would tell who exists and has what. */
export function requestOptions(
  { id: rpId }: RelyingParty,
  { challenge, timeout, allowed }: { challenge: string; timeout: number; allowed?: readonly StoredPasskey[] },
): PasskeyRequestOptions {
  return {
    challenge,
    timeout,
    rpId,
    ...(allowed && { allowCredentials: allowed.map(descriptorOf) }),
    userVerification: allowed ? 'preferred' : 'required',
  };
}

function descriptorOf({ credentialId: id, transports }: StoredPasskey): CredentialDescriptor {
  return { type: 'public-key', id, transports: [...transports] };
}
