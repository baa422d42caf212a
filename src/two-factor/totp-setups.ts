import { createHmac } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { renderSVG } from 'uqr';
import { Clock } from '../common/clock.js';
import { AuthConfig } from '../config/auth-config.js';
import { KeyRing } from '../crypto/key-ring.js';
import { randomToken } from '../crypto/random.js';
import { SealedText } from '../crypto/sealed-text.js';
import { EphemeralTokenService } from '../ephemeral-token/ephemeral-token.service.js';
import { asEndedAccount } from '../login/ended-account.js';
import { normalizeLogin } from '../user/login-name.js';
import type { AuthUser } from '../user/user.directory.js';
import { base32, fromBase32 } from './base32.js';
import { matchingStep, TOTP_SECRET_BYTES, totpUri } from './totp.js';

/** A secret for an authenticator app, shown only this once. */
export interface TotpSetup {
  /** Base32, for typing. */
  readonly secret: string;
  /** `otpauth://…`, for a link on a phone. */
  readonly uri: string;
  /** The same as the picture of a QR code: an SVG without script or style. */
  readonly qr: string;
}

/** A secret that was shown, and that no code has proved yet. */
export interface ShownSecret {
  readonly secret: string;
  /** The step of the code, if it is one of this secret now. */
  stepOf(code: string): number | null;
  /** Spends the set-up: true for one of concurrent calls. */
  claim(): Promise<boolean>;
}

const PURPOSE = 'totp-setup';

/** Secrets for authenticator apps, from when they are shown until a code has proved them, for ten minutes. */
@Injectable()
export class TotpSetups {
  private readonly sealed: SealedText;

  constructor(
    private readonly tokens: EphemeralTokenService,
    private readonly keys: KeyRing,
    private readonly clock: Clock,
    private readonly config: AuthConfig,
  ) {
    this.sealed = new SealedText(keys.forPurpose(PURPOSE));
  }

  /** A new secret for this session or held login; a later one replaces it. */
  async begin(user: AuthUser, boundTo: string): Promise<TotpSetup> {
    const secret = base32(randomToken().subarray(0, TOTP_SECRET_BYTES));
    const sealedSecret = this.sealed.seal(secret, user.id);
    const fields = { username: normalizeLogin(user.email), challengeId: boundTo, sealedSecret };
    await this.tokens.issue('totp_setup', fields, { token: this.tokenOf(boundTo) }).catch((error: unknown) => {
      throw asEndedAccount(error);
    });
    const uri = totpUri(secret, { issuer: this.issuer, account: user.email });
    return { secret, uri, qr: renderSVG(uri) };
  }

  /** What was begun for this session or held login; `null` if nothing was, or it has expired. */
  async find(user: AuthUser, boundTo: string): Promise<ShownSecret | null> {
    const token = this.tokenOf(boundTo);
    const setup = await this.tokens.peek('totp_setup', token, boundTo);
    const secret = setup && this.sealed.open(setup.sealedSecret, user.id);
    if (!secret) return null;
    return {
      secret,
      stepOf: (code) => matchingStep(fromBase32(secret)!, code, this.clock.now()),
      claim: async () => (await this.tokens.consume('totp_setup', token, boundTo)) !== null,
    };
  }

  /** Nobody has to be given it: whoever presents the session, or the held login, has it with that. */
  private tokenOf(boundTo: string): string {
    return createHmac('sha256', this.keys.forPurpose(PURPOSE)[0]).update(boundTo).digest('base64url');
  }

  private get issuer(): string {
    const { flows, baseUrl, mail } = this.config;
    return (
      flows.twoFactor?.totp?.issuer ??
      mail?.site?.replaceAll(':', ' ') ??
      (baseUrl ? new URL(baseUrl).hostname : 'nestjs-latchkey')
    );
  }
}
