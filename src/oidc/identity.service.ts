import { Injectable } from '@nestjs/common';
import { AuthError } from '../auth.errors.js';
import { Clock } from '../common/clock.js';
import { AuthConfig } from '../config/auth-config.js';
import { AuthEvents } from '../events/auth-events.js';
import type { TokenTransport } from '../login/login.service.js';
import { OtherSessions } from '../login/other-sessions.js';
import type { CookieValue } from '../login/session-scheme.js';
import { PendingLogins } from '../login/pending-logins.js';
import { StepUpMethods } from '../login/step-up-methods.js';
import { TrustedBrowsers } from '../login/trusted-browsers.js';
import { WaysIn } from '../login/ways-in.js';
import { OwnerNotices } from '../mail/owner-notices.js';
import { AuthTransaction } from '../postgres/auth-transaction.js';
import { TokenRevocationService } from '../revocation/token-revocation.service.js';
import type { Session } from '../session/session.js';
import type { AuthUser } from '../user/user.directory.js';
import { IdentityStore, type StoredIdentity } from './identity.store.js';
import { ProviderLabels } from './provider-labels.js';

/** An account at a provider, as the user sees it who logs in by it. Instants are epoch milliseconds. */
export interface LinkedIdentity extends Pick<StoredIdentity, 'id' | 'provider' | 'email' | 'linkedAt' | 'lastUsedAt'> {
  /** What the provider is called; its id, if the configuration does not have it any more. */
  readonly label: string;
}

/** Whose identities are changed, and in which session. */
export interface IdentityOwner {
  readonly user: AuthUser;
  /** The live session of the request. */
  readonly session: Session;
  /** The client's address, if known. */
  readonly ip?: string | null;
  /** What the client says that it is, if known. */
  readonly userAgent?: string | null;
  /** How the client holds the session. Default `cookie`. */
  readonly transport?: TokenTransport;
}

/**
 * The accounts at providers by which a user logs in: listed, and unlinked by their owner. They are linked by a login there
 * (`OidcService`).
 *
 * @example
 * ```ts
 * const [first] = await identities.list(user.id);
 * if (first) await identities.unlink({ user, session: current }, first.id); // LAST_LOGIN_METHOD, if there is no other way in
 * ```
 */
@Injectable()
export class IdentityService {
  private readonly labels: ProviderLabels;

  constructor(
    private readonly identities: IdentityStore,
    private readonly waysIn: WaysIn,
    private readonly stepUps: StepUpMethods,
    private readonly others: OtherSessions,
    private readonly pending: PendingLogins,
    private readonly revocation: TokenRevocationService,
    private readonly trusted: TrustedBrowsers,
    private readonly notices: OwnerNotices,
    private readonly transaction: AuthTransaction,
    private readonly events: AuthEvents,
    private readonly clock: Clock,
    { flows }: AuthConfig,
  ) {
    this.labels = new ProviderLabels(flows.oidc?.providers);
  }

  /**
   * The user's identities, the oldest first.
   *
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async list(userId: string): Promise<LinkedIdentity[]> {
    const own = await this.identities.listByUser(userId);
    return own.map(({ id, provider, email, linkedAt, lastUsedAt }) => {
      return { id, provider, label: this.labels.of(provider), email, linkedAt, lastUsedAt };
    });
  }

  /**
   * Takes a provider's account from the user's ways to log in, and ends the user's other sessions, and logins that
   * are under way, which may have begun by it. Emits `identity.unlinked`, and tells the owner. The last way in stays: of concurrent removals, also of
   * passkeys, one is refused.
   *
   * Returns the new token of the session where there are sessions that are stored nowhere (`jwt: { sessions: true }`), with
   * which it ends; otherwise it keeps its own, and this is `null`.
   *
   * @throws {AuthError} `STEP_UP_REQUIRED` if the session is not fresh, or has proved less than the account can.
   * @throws {AuthError} `UNAUTHENTICATED` if the session has ended meanwhile.
   * @throws {AuthError} `IDENTITY_NOT_FOUND` if the user has no such identity.
   * @throws {AuthError} `LAST_LOGIN_METHOD` if nobody could log in to the account any more: nothing has changed.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async unlink(owner: IdentityOwner, id: string): Promise<CookieValue | null> {
    const { user, session, ip = null, userAgent = null, transport } = owner;
    await this.stepUps.demandMost(session);
    const { amr: proofs, authenticatedAt } = session;
    const endOthers = () =>
      this.others.endKeeping(user, session, { ip, userAgent, transport, proofs, authenticatedAt });
    const isJoined = this.others.areJoined(session);
    const credential = await this.transaction.run(async () => {
      // Once more, with the account locked: all of it may have ended since the request was authenticated.
      await this.revocation.confirmOwner(user);
      await this.others.requireLive(session);
      await this.identities.lockWaysIn(user.id);
      const own = await this.identities.listByUser(user.id);
      const identity = own.find((one) => one.id === id);
      if (!identity) throw notFound();
      await this.waysIn.demandOther(user, id);
      await this.identities.delete(user.id, id);
      const going = isJoined ? await endOthers() : null;
      await this.pending.endAllOf(user);
      await this.trusted.forget(user.id);
      const { provider } = identity;
      this.notices.tell(user, 'identity_unlinked', { provider: this.labels.of(provider) });
      const at = this.clock.now();
      this.events.emitAfterTransaction({ type: 'identity.unlinked', at, userId: user.id, provider, ip });
      return going;
    });
    return isJoined ? credential : endOthers();
  }
}

function notFound(): AuthError {
  return new AuthError('IDENTITY_NOT_FOUND', 'The user has no identity with this id: take it from the list.', {});
}
