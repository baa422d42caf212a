import { Injectable, Optional } from '@nestjs/common';
import { asAuthError, AuthError } from '../auth.errors.js';
import { Clock } from '../common/clock.js';
import { AuthConfig } from '../config/auth-config.js';
import type { UnlinkedIdentity } from '../config/ephemeral-token-settings.js';
import { newUserCode } from '../crypto/user-code.js';
import { EphemeralTokenService } from '../ephemeral-token/ephemeral-token.service.js';
import { newEphemeralToken } from '../ephemeral-token/ephemeral-token.types.js';
import { AuthEvents } from '../events/auth-events.js';
import { linkCodeHash } from '../login/link-code.js';
import { LoginService, type CompletedLogin, type LoginContext } from '../login/login.service.js';
import { MailedLinks, type FoundLink, type LinkProof } from '../login/mailed-links.js';
import { NewIdentities } from '../login/new-identities.js';
import type { PendingLogin } from '../login/pending-logins.js';
import type { MailDraft } from '../mail/mail.js';
import { Outbox } from '../mail/outbox.js';
import { AuthTransaction } from '../postgres/auth-transaction.js';
import { RateLimitService, type RateLimitDecision } from '../rate-limit/rate-limit.service.js';
import { SessionStore } from '../session/session.store.js';
import { checkedEmail } from '../user/email-address.js';
import { PasswordHasher } from '../user/password-hasher.js';
import { NewPasswords } from '../user/new-passwords.js';
import { invalidPassword } from '../user/password-policy.js';
import { NO_PASSWORD, UserDirectory, type AuthUser } from '../user/user.directory.js';

/** What a request for an account comes with. */
export interface RegistrationRequest {
  /** The password of the new account. Default: chosen at the end. */
  password?: string | undefined;
  /** The client's address, if known: the hasher shares its capacity fairly among addresses. */
  ip?: string | null;
}

/** A request for an account, whether or not a mail will come of it. */
export interface StartedRegistration {
  /** Ties the registration to the browser that asked, where only it can read this: in an HttpOnly cookie. */
  readonly browser: string;
  /** Epoch ms: when the mailed link and code expire. */
  readonly expiresAt: number;
}

/** Somebody who has logged in at a provider, with the address that it says and has not verified. */
export interface RegisteringIdentity extends UnlinkedIdentity {
  readonly email: string | null;
}

/** What has been chosen for an account before its mailbox is proved. */
interface Chosen {
  readonly passwordHash?: string | undefined;
  readonly identity?: UnlinkedIdentity | undefined;
}

/** What proves the mailbox, and the password where it is asked for. */
export interface RegistrationProof extends LinkProof {
  readonly password?: string | undefined;
}

/** Where the proof comes from. */
export interface RegistrationContext extends LoginContext {
  /** What requests have given this browser: see `StartedRegistration.browser`. */
  browsers?: readonly string[];
}

/**
 * Accounts that people open themselves. There is none before the mailbox is proved, so nobody can prepare one for
 * somebody else's address, and every address gets the same answer in the same time: what differs is the mail, which goes
 * out after it (OWASP ASVS 6.3.8).
 *
 * A mail has a link, and a code for the browser that asked. From another browser the link needs the password that was
 * chosen, so that whoever opens a stranger's link does not give the stranger an account with this address. A new request
 * voids the link and the code of the earlier one.
 *
 * An account that begins by a login at a provider (`flows.oidc`, `signUp`) comes here if the provider does not vouch for
 * the address. It needs no password, and is linked with the provider in the browser that asked and in no other: there the
 * link opens an account with a password, and the identity counts for nothing.
 *
 * @example
 * ```ts
 * const { browser } = await registration.register('ada@example.com', { password, ip }); // browser: into a cookie
 *
 * const login = await registration.confirm({ code: 'WDJB-MJHT' }, { browsers: [browser], ip }); // from the mail
 * if (login.status === 'authenticated') return { id: login.user.id };
 * ```
 */
@Injectable()
export class RegistrationService {
  constructor(
    private readonly users: UserDirectory,
    private readonly hasher: PasswordHasher,
    private readonly newPasswords: NewPasswords,
    private readonly tokens: EphemeralTokenService,
    private readonly links: MailedLinks,
    private readonly limits: RateLimitService,
    private readonly outbox: Outbox,
    private readonly logins: LoginService,
    private readonly sessions: SessionStore,
    private readonly transaction: AuthTransaction,
    private readonly config: AuthConfig,
    private readonly clock: Clock,
    private readonly events: AuthEvents,
    @Optional() private readonly identities?: NewIdentities,
  ) {}

  /**
   * Asks for an account. If the address is free, a link and a code are mailed to it; the owner of one that is taken, by a
   * disabled account too, is told so by mail. The answer says neither. At most `email_send` mails go to one address; one
   * that is not sent does not count, and voids its link. Limit a handler of your own by its clients: ours are, by
   * `register_ip` and `mail_ip`.
   *
   * @throws {AuthError} `INVALID_INPUT` if the address is not exactly one mailbox.
   * @throws {AuthError} `WEAK_PASSWORD` if the `PasswordPolicy` refuses the password.
   * @throws {AuthError} `HASHER_OVERLOADED` if too many passwords are waiting to be hashed.
   */
  async register(email: string, { password, ip = null }: RegistrationRequest = {}): Promise<StartedRegistration> {
    const address = mailbox(email);
    if (password !== undefined) await this.newPasswords.accept(password, { email: address });
    // Also where the address is taken: it takes as long.
    const hash = password === undefined ? undefined : await this.hasher.hash(password, { ip });
    return this.start(address, async () => ({ passwordHash: hash }));
  }

  /**
   * As `register`, for somebody who has just logged in at a provider by which nobody logs in here yet, and which has not
   * verified the address: what `OidcService.logIn` refuses with `EMAIL_NOT_VERIFIED`.
   *
   * @throws {AuthError} `INVALID_INPUT` if the address is not exactly one mailbox.
   */
  registerWith({ email, provider, issuer, subject }: RegisteringIdentity): StartedRegistration {
    return this.start(mailbox(email), async () => ({ identity: { provider, issuer, subject } }));
  }

  /**
   * Asks for another mail; the link and the code of the earlier one are void. The password or the identity that was chosen
   * in this browser stays, otherwise a password is chosen at the end.
   *
   * @throws {AuthError} `INVALID_INPUT` if the address is not exactly one mailbox.
   */
  resend(email: string, { browsers = [] }: Pick<RegistrationContext, 'browsers'> = {}): StartedRegistration {
    const address = mailbox(email);
    return this.start(address, () => this.chosenBefore(address, browsers));
  }

  /**
   * Creates the account, without a role, and logs it in. Of any number of calls at once, in any number of processes,
   * exactly one does: the unique address decides. All of it is one transaction, so after a fault the link can be used
   * again; with an `engine` other than PostgreSQL the session follows the commit, and if that fails, its owner logs in
   * with the password. Emits `account.registered`, `email.verified` and `login.succeeded`.
   *
   * Nothing that is refused is spent: neither by a wrong code nor by a wrong password.
   *
   * @throws {AuthError} `INVALID_LINK` if the token or code is wrong, spent, expired or replaced by a newer one, the code
   *   comes from another browser, or the address or the identity has been taken meanwhile: all alike.
   * @throws {AuthError} `INVALID_INPUT` if there is no password, and none has been chosen or the link comes from another
   *   browser than the one that asked; and if a new one is too short or too long. An identity takes its place.
   * @throws {AuthError} `INVALID_CREDENTIALS` if the password is not the one that was chosen.
   * @throws {AuthError} `RATE_LIMITED` after `register_confirm` wrong codes or passwords (default 5 in 15 minutes).
   * @throws {AuthError} `HASHER_OVERLOADED` if too many passwords are waiting to be hashed; nothing is counted.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async confirm(
    proof: RegistrationProof,
    { browsers = [], ...context }: RegistrationContext = {},
  ): Promise<CompletedLogin | PendingLogin> {
    const pending = await this.links.find('register', proof, browsers);
    if (!pending) {
      this.events.emit({ type: 'token.refused', at: this.clock.now(), tokenType: 'register' });
      throw invalidLink();
    }
    const passwordHash = await this.passwordHash(pending, proof.password, context.ip ?? null);
    // Whoever opens the link elsewhere has not logged in at the provider (F29).
    const identity = pending.isOwnBrowser ? pending.fields.identity : undefined;
    try {
      return await this.open(pending.token, { passwordHash, identity }, context);
    } catch (error) {
      throw asAuthError(error, 'The user directory');
    }
  }

  /** The same for every address: what is about the address happens after the answer. */
  private start(email: string, choose: () => Promise<Chosen>): StartedRegistration {
    const token = newEphemeralToken('register');
    this.outbox.post(() => this.mail(email, token, choose));
    return { browser: this.links.browserOf('register', token), expiresAt: this.clock.now() + this.ttl };
  }

  private async mail(email: string, token: string, choose: () => Promise<Chosen>): Promise<MailDraft | null> {
    const sent = await this.limits.consume('email_send', email);
    if (!sent.allowed) return null;
    const refund = () => this.limits.refund(sent);
    return this.refunding(sent, this.draft(email, token, choose, refund));
  }

  private async draft(
    email: string,
    token: string,
    choose: () => Promise<Chosen>,
    refund: () => Promise<unknown>,
  ): Promise<MailDraft> {
    const owner = await this.users.findByLogin(email);
    if (owner) return { kind: 'already_registered', to: owner.email, userId: owner.id, facts: {}, onUnsent: refund };
    const code = newUserCode();
    const fields = { email, ...(await choose()), codeHash: linkCodeHash(token, code) };
    await this.tokens.issue('register', fields, { token });
    return {
      kind: 'registration',
      to: email,
      facts: { token, code, validFor: this.ttl },
      onUnsent: async () => {
        await this.tokens.revoke('register', token);
        await refund();
      },
    };
  }

  private async chosenBefore(email: string, browsers: readonly string[]): Promise<Chosen> {
    for (const token of this.links.tokensOf('register', browsers)) {
      const fields = await this.tokens.peek('register', token);
      if (fields?.email === email) return { passwordHash: fields.passwordHash, identity: fields.identity };
    }
    return {};
  }

  /** That of the new account: the one that was chosen, or else this one, or none beside an identity. */
  private async passwordHash(
    pending: FoundLink<'register'>,
    password: string | undefined,
    ip: string | null,
  ): Promise<string> {
    const { token, fields, isOwnBrowser } = pending;
    const { email, passwordHash: chosen, identity } = fields;
    if (chosen === undefined) {
      if (password === undefined && identity && isOwnBrowser) return NO_PASSWORD;
      if (password === undefined) throw invalidPassword('password', 'must be the password of the new account');
      await this.newPasswords.accept(password, { email });
      return this.hasher.hash(password, { ip });
    }
    if (password === undefined) {
      if (isOwnBrowser) return chosen;
      throw invalidPassword('password', 'must be the one that was chosen, as this is another browser');
    }
    const judged = () => this.hasher.matches(chosen, password, { login: email, ip });
    if (!(await this.links.judge('register', [token], judged)))
      throw new AuthError('INVALID_CREDENTIALS', 'Not the password that this account was asked for with.', {});
    return chosen;
  }

  private async open(
    token: string,
    { passwordHash, identity }: { readonly passwordHash: string; readonly identity: UnlinkedIdentity | undefined },
    context: LoginContext,
  ): Promise<CompletedLogin | PendingLogin> {
    const { joinsTransactions } = this.sessions;
    // The login at the provider may be a day old: what is proved now is the mailbox.
    const proofs = [passwordHash === NO_PASSWORD ? MAILED_LINK : 'password'];
    const logIn = (user: AuthUser) => this.logins.begin(user, proofs, context);
    const opened = await this.transaction.run(async () => {
      const at = this.clock.now();
      const fields = await this.tokens.consume('register', token);
      const user = fields && (await this.users.register({ email: fields.email, passwordHash, emailVerifiedAt: at }));
      // Not thrown: the link to an address that is taken is spent.
      if (!user) return null;
      const { ip = null } = context;
      const of = { at, userId: user.id, ip };
      this.events.emitAfterTransaction({ type: 'account.registered', ...of });
      this.events.emitAfterTransaction({ type: 'email.verified', ...of });
      if (identity && !(await this.identities?.addTo(user, identity, ip))) throw invalidLink();
      return { user, login: joinsTransactions ? await logIn(user) : null };
    });
    if (!opened) throw invalidLink();
    return opened.login ?? logIn(opened.user);
  }

  /** What a fault kept from being mailed does not count. */
  private async refunding<T>(decision: RateLimitDecision, work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      await this.limits.refund(decision).catch(() => false);
      throw error;
    }
  }

  private get ttl() {
    return this.config.ephemeralTokens.get('register')!.ttl;
  }
}

/** As `Session.amr` calls it. */
const MAILED_LINK = 'magic-link';

function mailbox(email: string | null): string {
  const address = typeof email === 'string' ? checkedEmail(email) : null;
  if (address !== null) return address;
  const fields = { email: 'must be one e-mail address' };
  throw new AuthError('INVALID_INPUT', 'email must be one e-mail address.', { fields });
}

function invalidLink(): AuthError {
  return new AuthError('INVALID_LINK', 'This link or code is unknown, spent, expired or replaced by a newer one.', {});
}
