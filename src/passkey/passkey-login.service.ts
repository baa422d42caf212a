import { Injectable } from '@nestjs/common';
import { asAuthError, AuthError } from '../auth.errors.js';
import { Clock } from '../common/clock.js';
import { AuthConfig } from '../config/auth-config.js';
import { sha256Hex } from '../crypto/hash.js';
import { randomToken } from '../crypto/random.js';
import { AuthEvents } from '../events/auth-events.js';
import { LoginService, type CompletedLogin, type LoginContext } from '../login/login.service.js';
import type { PendingLogin } from '../login/pending-logins.js';
import type { CookieValue } from '../login/session-scheme.js';
import { AuthTransaction } from '../postgres/auth-transaction.js';
import { SessionStore } from '../session/session.store.js';
import { AccountLock } from '../user/account-lock.js';
import { isActive } from '../user/account.js';
import { UserDirectory, type AuthUser } from '../user/user.directory.js';
import type { PasskeyRequestOptions } from './ceremony-options.js';
import { PasskeyAssertions, type PasskeyProof } from './passkey-assertions.js';
import { PasskeyRefusal } from './passkey-refusal.js';
import type { PasskeyAssertionResponse } from './webauthn.js';

/** A login by passkey that has begun. */
export interface StartedPasskeyLogin {
  readonly options: PasskeyRequestOptions;
  /** For a cookie of this browser: without it the answer is nothing elsewhere. */
  readonly browser: CookieValue;
}

/**
 * Logins without a name: the authenticator knows the account. It must verify its user, so that the passkey is two factors
 * (`aal` 2, `amr` `passkey`) and nothing else is due.
 *
 * @example
 * ```ts
 * const { options, browser } = await passkeyLogins.start(); // the options for the page, the other for a cookie
 * const login = await passkeyLogins.complete(response, { browsers: [browser.value], transport: 'bearer', ip });
 * ```
 */
@Injectable()
export class PasskeyLoginService {
  private readonly ttl: number;

  constructor(
    private readonly assertions: PasskeyAssertions,
    private readonly users: UserDirectory,
    private readonly logins: LoginService,
    private readonly sessions: SessionStore,
    private readonly transaction: AuthTransaction,
    private readonly accounts: AccountLock,
    private readonly clock: Clock,
    private readonly events: AuthEvents,
    { ephemeralTokens }: AuthConfig,
  ) {
    this.ttl = ephemeralTokens.get('passkey_assert')!.ttl;
  }

  /**
   * What the browser needs to use a passkey, once and for five minutes. It tells nothing of any account.
   *
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async start(): Promise<StartedPasskeyLogin> {
    const value = randomToken().toString('base64url');
    const options = await this.assertions.ask('login', sha256Hex(value));
    return { options, browser: { value, expiresAt: this.clock.now() + this.ttl } };
  }

  /**
   * Opens the session of the passkey's account. `browsers` are the values of the cookie. Of concurrent calls with one
   * answer exactly one opens a session. Emits `login.succeeded` or `login.failed`.
   *
   * @throws {AuthError} `INVALID_CREDENTIALS` for whatever is wrong: the challenge, its browser, the passkey, its
   *   signature or count, no user verification, a disabled account.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer. Nobody is logged in, and the answer can be sent
   *   again.
   */
  async complete(
    response: PasskeyAssertionResponse,
    { browsers = [], ...context }: LoginContext & { browsers?: readonly string[] } = {},
  ): Promise<CompletedLogin | PendingLogin> {
    const authenticatedAt = this.clock.now();
    try {
      const boundTo = browsers.map((browser) => sha256Hex(browser));
      const proof = await this.assertions.verify(response, { purpose: 'login', boundTo });
      if (!proof.userVerified) throw new PasskeyRefusal('Its authenticator has not verified the user.');
      const user = await this.users.findById(proof.passkey.userId);
      if (!isActive(user)) throw new PasskeyRefusal('Its account is disabled.');
      const tokensInvalidatedAfter = user.tokensInvalidatedAfter ?? null;
      const login = await this.open(proof, user, { ...context, authenticatedAt, tokensInvalidatedAfter });
      if (!login) throw new PasskeyRefusal('Its challenge was spent meanwhile, or there may be a copy of it.');
      return login;
    } catch (error) {
      const fault = error instanceof PasskeyRefusal ? refused(error) : asAuthError(error, 'A login by passkey');
      const attempt = { login: null, ip: context.ip ?? null, factors: ['passkey'] };
      const reason = fault.code === 'RATE_LIMITED' ? 'UNKNOWN' : fault.code;
      this.events.emit({ type: 'login.failed', at: this.clock.now(), reason, ...attempt });
      throw fault;
    }
  }

  /** `null` if the proof is spent. Together: after a fault it is not. */
  private async open({ claim }: PasskeyProof, user: AuthUser, context: LoginContext) {
    const begin = () => this.logins.begin(user, ['passkey'], context);
    const claimed = async () => {
      await this.accounts.hold(user.id);
      return claim();
    };
    if (this.sessions.joinsTransactions) return this.transaction.run(async () => ((await claimed()) ? begin() : null));
    return (await this.transaction.run(claimed)) ? begin() : null;
  }
}

function refused(refusal: PasskeyRefusal): AuthError {
  return new AuthError('INVALID_CREDENTIALS', `The passkey was refused: ${refusal.message}`, {}, { cause: refusal });
}
