import { Injectable } from '@nestjs/common';
import { asAuthError, AuthError } from '../auth.errors.js';
import { Clock } from '../common/clock.js';
import { later } from '../common/instant.js';
import { isLocalPath } from '../common/local-path.js';
import { AuthConfig } from '../config/auth-config.js';
import { newUserCode } from '../crypto/user-code.js';
import { EphemeralTokenService } from '../ephemeral-token/ephemeral-token.service.js';
import { newEphemeralToken } from '../ephemeral-token/ephemeral-token.types.js';
import { AuthEvents } from '../events/auth-events.js';
import { linkCodeHash } from '../login/link-code.js';
import { LoginService, type CompletedLogin, type LoginContext } from '../login/login.service.js';
import { MailboxProofs } from '../login/mailbox-proofs.js';
import { MailedLinks, type FoundLink, type LinkProof } from '../login/mailed-links.js';
import type { PendingLogin } from '../login/pending-logins.js';
import type { MailDraft } from '../mail/mail.js';
import { Outbox } from '../mail/outbox.js';
import { AuthTransaction } from '../postgres/auth-transaction.js';
import { RateLimitService } from '../rate-limit/rate-limit.service.js';
import { SessionStore } from '../session/session.store.js';
import { AccountLock } from '../user/account-lock.js';
import { isActive } from '../user/account.js';
import { normalizeLogin } from '../user/login-name.js';
import { UserDirectory, type AuthUser } from '../user/user.directory.js';

/** A request for a link, whether or not a mail will come of it. */
export interface StartedMagicLink {
  /** Ties the link to the browser that asked, where only it can read this: in an HttpOnly cookie. */
  readonly browser: string;
  /** Epoch ms: when the mailed link and code expire. */
  readonly expiresAt: number;
}

/** What a request wants of the login; it is kept with the link. */
export interface MagicLinkWishes {
  /** A path of your application, which `confirm` hands back. */
  readonly returnTo?: string | undefined;
  /** "Remember me": see `LoginContext`. Default false. */
  readonly remember?: boolean | undefined;
}

/** Where the proof comes from. */
export interface MagicLinkContext extends LoginContext {
  /** What requests have given this browser: see `StartedMagicLink.browser`. */
  browsers?: readonly string[];
}

/** A login by link, finished or not. */
export type MagicLinkLogin = (CompletedLogin | PendingLogin) & {
  /** The path that was asked for with the link. */
  readonly returnTo?: string;
};

const METHOD = 'magic-link';

/**
 * Logins by a mailed link, without a password. The link and the code beside it work once, for ten minutes, and only in
 * the browser that asked: whoever opens the link elsewhere, as a stranger to whom it was forwarded or a victim to whom
 * an attacker sends a link of their own, is not logged in, and the code can be typed where it was asked for. A new
 * request voids the earlier link, as do a new password, a disabling and "sign out everywhere".
 *
 * It proves a mailbox and no second factor: a user who has one is asked for it. Every address gets the same answer in
 * the same time; no account is made.
 *
 * @example
 * ```ts
 * const { browser } = magicLinks.request('ada@example.com'); // browser: into a cookie
 *
 * const login = await magicLinks.confirm({ code: 'WDJB-MJHT' }, { browsers: [browser], ip }); // from the mail
 * if (login.status === 'authenticated') return { id: login.user.id };
 * ```
 */
@Injectable()
export class MagicLinkService {
  constructor(
    private readonly users: UserDirectory,
    private readonly tokens: EphemeralTokenService,
    private readonly links: MailedLinks,
    private readonly limits: RateLimitService,
    private readonly outbox: Outbox,
    private readonly logins: LoginService,
    private readonly mailboxes: MailboxProofs,
    private readonly sessions: SessionStore,
    private readonly transaction: AuthTransaction,
    private readonly accounts: AccountLock,
    private readonly config: AuthConfig,
    private readonly clock: Clock,
    private readonly events: AuthEvents,
  ) {}

  /**
   * Mails a link and a code to the owner of the account with this login name, in any spelling. Returns at once: whether
   * there is an account is looked up after the answer (OWASP ASVS 6.3.8). An unknown or disabled account gets no mail. At
   * most `email_send` mails go to one address; one that is not sent does not count, and voids its link. Limit a handler
   * of your own by its clients: ours is, by `mail_ip`.
   *
   * @throws {AuthError} `INVALID_INPUT` if `returnTo` is anything but a path on this host.
   * @throws {TypeError} if `email` is not a string.
   */
  request(email: string, wishes: MagicLinkWishes = {}): StartedMagicLink {
    const login = normalizeLogin(email);
    const { returnTo } = wishes;
    if (returnTo !== undefined && !isLocalPath(returnTo)) throw invalidPath();
    const token = newEphemeralToken('magic_link');
    this.outbox.post(() => this.mailFor(login, token, wishes));
    return { browser: this.links.browserOf('magic_link', token), expiresAt: this.clock.now() + this.ttl };
  }

  /**
   * Spends the link and logs in, or holds the login if a second factor is due. Of any number of calls at once, in any
   * number of processes, exactly one does. It is one transaction: after a fault the link can be used again; with an
   * `engine` other than PostgreSQL the session of an account that is taken over follows the commit.
   *
   * The first proof of a mailbox that nobody has proved before takes the account over: see `MailboxProofs`. Emits
   * `login.succeeded` or `login.failed`.
   *
   * @throws {AuthError} `INVALID_LINK` if the token or code is wrong, spent, expired or void, or comes from another
   *   browser: all alike, and nothing is spent.
   * @throws {AuthError} `RATE_LIMITED` after `magic_link_confirm` wrong codes (default 5 in 15 minutes).
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async confirm(proof: LinkProof, { browsers = [], ...context }: MagicLinkContext = {}): Promise<MagicLinkLogin> {
    const authenticatedAt = this.clock.now();
    try {
      const link = await this.links.find('magic_link', proof, browsers);
      if (!link?.isOwnBrowser) {
        this.events.emit({ type: 'token.refused', at: authenticatedAt, tokenType: 'magic_link' });
        throw invalidLink();
      }
      const { returnTo, remember = context.remember } = link.fields;
      const login = await this.open(link, { ...context, remember, authenticatedAt });
      // Once more: the options may have changed since, and nobody follows what is no path of ours.
      return isLocalPath(returnTo) ? { ...login, returnTo: returnTo! } : login;
    } catch (error) {
      const fault = asAuthError(error, 'A login by link');
      // A refused attempt was not judged; the limit's own event reports it, once.
      if (fault.code !== 'RATE_LIMITED') {
        const attempt = { login: null, ip: context.ip ?? null, factors: [METHOD] };
        this.events.emit({ type: 'login.failed', at: this.clock.now(), reason: fault.code, ...attempt });
      }
      throw fault;
    }
  }

  private async mailFor(login: string, token: string, wishes: MagicLinkWishes): Promise<MailDraft | null> {
    const user = await this.users.findByLogin(login);
    if (!isActive(user)) return null;
    // One account has one bucket, and one link, in whatever spelling it is asked for.
    const username = normalizeLogin(user.email);
    const sent = await this.limits.consume('email_send', username);
    if (!sent.allowed) return null;
    const refund = () => this.limits.refund(sent);
    const code = newUserCode();
    const codeHash = linkCodeHash(token, code);
    try {
      const { returnTo, remember } = wishes;
      const wished = { ...(returnTo !== undefined && { returnTo }), ...(remember && { remember }) };
      const fields = { username, account: user.id, codeHash, ...wished };
      await this.tokens.issue('magic_link', fields, { token });
    } catch (error) {
      await refund().catch(() => false);
      throw error;
    }
    return {
      kind: 'magic_link',
      to: user.email,
      userId: user.id,
      facts: { token, code, validFor: this.ttl },
      onUnsent: async () => {
        try {
          await this.tokens.revoke('magic_link', token);
        } finally {
          await refund();
        }
      },
    };
  }

  private async open(
    { token, fields }: FoundLink<'magic_link'>,
    context: LoginContext,
  ): Promise<CompletedLogin | PendingLogin> {
    const opened = await this.transaction.run(async () => {
      const user = await this.users.findByLogin(fields.username);
      if (!isActive(user) || user.id !== fields.account) throw invalidLink();
      // The account first, as all that ends its tokens does: the other way round is a deadlock.
      await this.accounts.hold(user.id);
      if (!(await this.users.confirmLogin(user, this.clock.now()))) throw invalidLink();
      if (!(await this.tokens.consume('magic_link', token))) throw invalidLink();
      const owner = await this.mailboxes.accept(user, { ip: context.ip ?? null });
      if (!owner) throw invalidLink();
      const own = { owner, isTakenOver: owner !== user };
      // A storage of its own does not see what has just ended, before the commit.
      const isJoined = this.sessions.joinsTransactions || !own.isTakenOver;
      return { ...own, login: isJoined ? await this.logIn(own, context) : null };
    });
    if (opened.isTakenOver) await this.mailboxes.endOthers(opened.owner.id);
    return opened.login ?? this.logIn(opened, context);
  }

  private logIn({ owner, isTakenOver }: { owner: AuthUser; isTakenOver: boolean }, context: LoginContext) {
    const { authenticatedAt = this.clock.now() } = context;
    // What has just been ended was all before this login.
    const at = isTakenOver ? later(authenticatedAt, owner.tokensInvalidatedAfter) : authenticatedAt;
    return this.logins.begin(owner, [METHOD], { ...context, authenticatedAt: at });
  }

  private get ttl() {
    return this.config.ephemeralTokens.get('magic_link')!.ttl;
  }
}

function invalidLink(): AuthError {
  return new AuthError(
    'INVALID_LINK',
    'This link or code is unknown, spent, expired, replaced by a newer one, or of another browser: ask for it where it is used.',
    {},
  );
}

function invalidPath(): AuthError {
  const expected = 'must be a path of this application such as /notes';
  return new AuthError('INVALID_INPUT', `returnTo ${expected}.`, { fields: { returnTo: expected } });
}
