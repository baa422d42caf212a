/** The part of a DevTools session (CDP) that is used, as playwright-core and puppeteer-core have it. */
export interface DevToolsSession {
  send(method: string, parameters?: object): Promise<unknown>;
}

/** A passkey that a virtual authenticator holds. */
export interface VirtualCredential {
  /** Base64url, as the browser and the server name it. */
  readonly credentialId: string;
  readonly rpId: string;
  /** Base64url. */
  readonly userHandle: string | null;
  readonly signCount: number;
  /** Whether it is found without a name. */
  readonly isResidentCredential: boolean;
}

/** What kind of authenticator it is. */
export interface VirtualAuthenticatorOptions {
  /** Whether it verifies its user, as with a fingerprint. Default true; `setUserVerified` changes what it says. */
  readonly userVerified?: boolean;
  /**
   * Whether it can verify its user at all; a key without a PIN cannot, and then its touch is enough where the user need
   * not be verified. Default true: if it can and does not, the browser gives up (`NotAllowedError`).
   */
  readonly hasUserVerification?: boolean;
  /** `internal` is that of the device, `usb` a key. Default `internal`. */
  readonly transport?: 'internal' | 'usb';
}

/**
 * An authenticator for the browser of your end-to-end tests, by the DevTools protocol (`WebAuthn` domain): a real browser
 * makes and uses real passkeys, and nobody has to touch anything. Give it a session of a Chromium that you have started,
 * by playwright-core or puppeteer-core; this module depends on neither. The page must be a secure context:
 * `http://localhost` is one.
 *
 * @example
 * ```ts
 * const authenticator = await VirtualAuthenticator.enable(await page.context().newCDPSession(page));
 * await page.click('#add-passkey');
 * const [credential] = await authenticator.credentials();
 * ```
 */
export class VirtualAuthenticator {
  private constructor(
    private readonly session: DevToolsSession,
    private readonly authenticatorId: string,
  ) {}

  /** Adds one to the page of this session. It is gone with the session, or by `remove`. */
  static async enable(
    session: DevToolsSession,
    { userVerified = true, hasUserVerification = true, transport = 'internal' }: VirtualAuthenticatorOptions = {},
  ): Promise<VirtualAuthenticator> {
    await session.send('WebAuthn.enable', { enableUI: false });
    const options = {
      protocol: 'ctap2',
      transport,
      hasResidentKey: true,
      hasUserVerification,
      isUserVerified: userVerified && hasUserVerification,
      automaticPresenceSimulation: true,
    };
    const { authenticatorId } = Object(await session.send('WebAuthn.addVirtualAuthenticator', { options })) as {
      authenticatorId: string;
    };
    return new VirtualAuthenticator(session, authenticatorId);
  }

  /** Whether it verifies its user from now on, as with a wrong finger. */
  async setUserVerified(isUserVerified: boolean): Promise<void> {
    await this.send('WebAuthn.setUserVerified', { isUserVerified });
  }

  /** The passkeys that it holds. */
  async credentials(): Promise<VirtualCredential[]> {
    const { credentials } = Object(await this.send('WebAuthn.getCredentials')) as {
      credentials: (Omit<VirtualCredential, 'userHandle'> & { userHandle?: string })[];
    };
    return credentials.map(({ credentialId, rpId, userHandle, signCount, isResidentCredential }) => ({
      credentialId: urlSafe(credentialId),
      rpId,
      userHandle: userHandle === undefined ? null : urlSafe(userHandle),
      signCount,
      isResidentCredential,
    }));
  }

  /** It forgets all of them, as one that is lost. */
  async clear(): Promise<void> {
    await this.send('WebAuthn.clearCredentials');
  }

  /** Takes it away from the page. */
  async remove(): Promise<void> {
    await this.send('WebAuthn.removeVirtualAuthenticator');
  }

  private send(method: string, parameters: object = {}): Promise<unknown> {
    return this.session.send(method, { authenticatorId: this.authenticatorId, ...parameters });
  }
}

/** The protocol has base64, with padding. */
function urlSafe(base64: string): string {
  return Buffer.from(base64, 'base64').toString('base64url');
}
