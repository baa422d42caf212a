import { createHmac } from 'node:crypto';
import { Injectable, Optional } from '@nestjs/common';
import { AuthConfig } from '../config/auth-config.js';
import { KeyRing } from '../crypto/key-ring.js';
import { newUserCode, typedUserCode } from '../crypto/user-code.js';
import { EphemeralTokenService } from '../ephemeral-token/ephemeral-token.service.js';
import { asEndedAccount } from '../login/ended-account.js';
import type { FactorClaim } from '../login/second-factor.js';
import { Outbox } from '../mail/outbox.js';
import { normalizeLogin } from '../user/login-name.js';
import { PasswordHasher } from '../user/password-hasher.js';
import type { AuthUser } from '../user/user.directory.js';

/** What a code is for: a proof, or to find out whether the mailbox is the user's. */
export type MailedCodeType = 'login_code' | 'email_otp_setup';

/** A code, and what it is for. */
export interface MailedCodeOf {
  readonly type: MailedCodeType;
  readonly user: AuthUser;
  /** Names the login or the session that it is for, and in which alone it can be used. */
  readonly attempt: string;
}

const PURPOSE = 'nestjs-latchkey:mailed-code';
const KINDS = { login_code: 'login_code', email_otp_setup: 'email_code_setup' } as const;

/**
 * Mailed codes: eight letters (RFC 8628, section 6.1), stored with the slow hash of passwords (OWASP ASVS 6.5.2), for ten
 * minutes (6.5.5), in the login or session alone for which they were asked. An account has one at a time of each type: a
 * new one voids the earlier.
 *
 * The token of a code is derived from what it is for, so that nobody has to keep it.
 */
@Injectable()
export class MailedCodes {
  constructor(
    private readonly tokens: EphemeralTokenService,
    private readonly hasher: PasswordHasher,
    private readonly keys: KeyRing,
    private readonly config: AuthConfig,
    // Without a mailer no factor that mails is on.
    @Optional() private readonly outbox?: Outbox,
  ) {}

  /**
   * Mails a new code. If the mail is not sent, whenever that turns out, the code is void and `onUnsent` is called.
   *
   * @throws {AuthError} `HASHER_OVERLOADED` if too many passwords are waiting to be hashed; the earlier code stays.
   * @throws {AuthError} `UNAUTHENTICATED` if the account is gone.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async send(of: MailedCodeOf, ip: string | null, onUnsent: () => Promise<unknown>): Promise<void> {
    const { type, user } = of;
    const code = newUserCode();
    const codeHash = await this.hasher.hash(typedUserCode(code), { ip });
    const token = this.tokensOf(of)[0]!;
    const fields = { username: normalizeLogin(user.email), codeHash };
    await this.tokens.issue(type, fields, { token }).catch((error: unknown) => {
      throw asEndedAccount(error);
    });
    const { ttl } = this.config.ephemeralTokens.get(type)!;
    this.outbox!.post({
      kind: KINDS[type],
      to: user.email,
      userId: user.id,
      facts: { code, validFor: ttl },
      onUnsent: async () => {
        try {
          // With its hash: by then there may be a later code.
          await this.tokens.revoke(type, token, codeHash);
        } finally {
          await onUnsent();
        }
      },
    });
  }

  /**
   * `false` for a code that is wrong, spent, expired, replaced or for something else; otherwise what spends it. In each
   * case one hash is computed.
   *
   * @throws {AuthError} `HASHER_OVERLOADED` if too many passwords are waiting to be hashed.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async judge(of: MailedCodeOf, code: string, ip: string | null): Promise<false | FactorClaim> {
    const { type, user } = of;
    const held = await this.find(of);
    const origin = { login: user.id, ip };
    const isRight = await this.hasher.matches(held?.codeHash ?? null, typedUserCode(code), origin);
    if (!held || !isRight) return false;
    return async () => (await this.tokens.consume(type, held.token, held.codeHash)) !== null;
  }

  /** Does the work of `judge` for a code that does not count. */
  async judgeInVain({ id }: AuthUser, code: string, ip: string | null): Promise<false> {
    await this.hasher.matches(null, typedUserCode(code), { login: id, ip });
    return false;
  }

  private async find(of: MailedCodeOf): Promise<{ token: string; codeHash: string } | null> {
    for (const token of this.tokensOf(of)) {
      const fields = await this.tokens.peek(of.type, token);
      if (fields) return { token, codeHash: fields.codeHash };
    }
    return null;
  }

  /** One for each secret, the current one first. */
  private tokensOf({ type, user, attempt }: MailedCodeOf): string[] {
    const text = JSON.stringify([type, user.id, attempt]);
    return this.keys.forPurpose(PURPOSE).map((key) => createHmac('sha256', key).update(text).digest('base64url'));
  }
}
