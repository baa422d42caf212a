import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { AuthError, type AuthErrorCode } from '../auth.errors.js';
import { Clock } from '../common/clock.js';
import { seconds } from '../common/duration.js';
import { later } from '../common/instant.js';
import { AuthConfig } from '../config/auth-config.js';
import type { FirstFactor, UnlinkedIdentity } from '../config/ephemeral-token-settings.js';
import { lifetimesOf } from '../config/session-settings.js';
import { AuthEvents } from '../events/auth-events.js';
import { STALE } from '../login/assurance.js';
import { NewIdentities } from '../login/new-identities.js';
import { OtherSessions } from '../login/other-sessions.js';
import { StepUpMethods } from '../login/step-up-methods.js';
import { OwnerNotices } from '../mail/owner-notices.js';
import { AuthTransaction } from '../postgres/auth-transaction.js';
import { TokenRevocationService } from '../revocation/token-revocation.service.js';
import type { Session } from '../session/session.js';
import { SessionStore } from '../session/session.store.js';
import { AccountLock } from '../user/account-lock.js';
import { isActive } from '../user/account.js';
import { normalizeLogin } from '../user/login-name.js';
import { NO_PASSWORD, UserDirectory, type AuthUser } from '../user/user.directory.js';
import { IdentityStore } from './identity.store.js';
import { decideLinking, type LinkingDecision } from './linking.js';
import { expired, type OidcAnswer } from './oidc-requests.js';
import { provedAt } from './proved-at.js';

/** An account or an identity may come in between. */
const TRIES = 3;

/** An identity, whenever it was proved. */
interface ProvedIdentity {
  readonly provider: OidcAnswer['provider'];
  readonly identity: UnlinkedIdentity & Pick<OidcAnswer['identity'], 'email' | 'emailVerified'>;
}

/** What was decided is not so any more: everything is rolled back, and decided again. */
class Overtaken extends Error {}

/** Whose account an identity enters, which it opens, and to which it is linked. */
@Injectable()
export class OidcAccounts extends NewIdentities {
  constructor(
    private readonly identities: IdentityStore,
    private readonly users: UserDirectory,
    private readonly sessions: SessionStore,
    private readonly others: OtherSessions,
    private readonly stepUps: StepUpMethods,
    private readonly revocation: TokenRevocationService,
    private readonly transaction: AuthTransaction,
    private readonly accounts: AccountLock,
    private readonly notices: OwnerNotices,
    private readonly clock: Clock,
    private readonly events: AuthEvents,
    private readonly config: AuthConfig,
  ) {
    super();
  }

  /**
   * Opens something for the account of the identity, as the table has it. One transaction where the sessions are stored
   * with the accounts, so that an account never comes without its identity, nor a session after an unlink.
   */
  async enter<T>(
    answer: OidcAnswer,
    ip: string | null,
    open: (user: AuthUser, firstFactor: FirstFactor, proofs: readonly string[]) => Promise<T>,
  ): Promise<T> {
    const opening = (user: AuthUser) => {
      const { isStale, ...firstFactor } = this.firstFactorOf(answer, user);
      return open(user, firstFactor, [...proofsOf(answer), ...(isStale ? [STALE] : [])]);
    };
    for (let i = 1; ; i++) {
      const decision = await this.decide(answer, null);
      const prepare = () => this.prepare(decision, answer, ip);
      try {
        if (this.sessions.joinsTransactions) return await this.transaction.run(async () => opening(await prepare()));
        return await opening(await this.transaction.run(prepare));
      } catch (error) {
        if (!(error instanceof Overtaken)) throw error;
        if (i === TRIES) throw new AuthError('INVALID_CREDENTIALS', 'The account was changed during this login.', {});
      }
    }
  }

  /**
   * Links the identity with this account, which is locked, and looked at once more with its session: while the provider
   * was asked, its owner may have ended everything. `spend` says whether what it is linked by counts still, once.
   */
  async link(
    answer: ProvedIdentity,
    { user, session, ip }: { readonly user: AuthUser; readonly session: Session; readonly ip: string | null },
    spend: () => Promise<boolean> = async () => true,
  ): Promise<void> {
    for (let i = 1; ; i++) {
      const decision = await this.decide(answer, user.id);
      if (decision.kind === 'already_linked') return;
      if (decision.kind !== 'link') throw inUse();
      try {
        return await this.transaction.run(async () => {
          await this.revocation.confirmOwner(user);
          await this.others.requireLive(session);
          await this.stepUps.demandMost(session);
          if (!(await spend())) throw expired();
          await this.addOrRefuse(answer, user, ip);
        });
      } catch (error) {
        if (!(error instanceof Overtaken)) throw error;
        if (i === TRIES) throw inUse();
      }
    }
  }

  override async addTo(user: AuthUser, identity: UnlinkedIdentity, ip: string | null): Promise<boolean> {
    return (await this.store({ ...identity, email: user.email }, user, ip)) === 'added';
  }

  /** @throws {AuthError} `INVALID_CREDENTIALS` if it is disabled or deleted. */
  async accountOf(userId: string): Promise<AuthUser> {
    const user = await this.users.findById(userId);
    if (isActive(user)) return user;
    throw new AuthError('INVALID_CREDENTIALS', 'The account is disabled.', {});
  }

  /**
   * Never older than the cutoff either, which would end the session at once. `isStale`: it was proved before that, or
   * nobody knows when, so that nothing of it is fresh; the provider tells whole seconds.
   */
  private firstFactorOf(
    { identity, provider, request }: OidcAnswer,
    user: AuthUser,
  ): FirstFactor & { readonly isStale: boolean } {
    const { session, flows } = this.config;
    const tokensInvalidatedAfter = user.tokensInvalidatedAfter ?? null;
    const proved = provedAt(identity.authTime, {
      now: this.clock.now(),
      absoluteLifetime: lifetimesOf({ remembered: request.remember }, session).absoluteLifetime,
      freshness: flows.freshness,
      isFreshWithout: provider.freshWithoutAuthTime === true,
    });
    const authenticatedAt = later(proved.at, tokensInvalidatedAfter);
    const isStale = proved.isStale || authenticatedAt - proved.at >= seconds(1);
    return { authenticatedAt, tokensInvalidatedAfter, isStale };
  }

  /**
   * The account, which nobody else changes until the end of the transaction around this. It comes before the rows of
   * tokens and identities, as with all that ends them: the other way round is a deadlock.
   *
   * @throws {AuthError} `INVALID_CREDENTIALS` if it is disabled, deleted, or changed at this moment.
   */
  async lockedAccountOf(userId: string): Promise<AuthUser> {
    await this.accounts.hold(userId);
    const user = await this.accountOf(userId);
    await this.revocation.confirmLogin(user, this.clock.now());
    return user;
  }

  private async prepare(decision: LinkingDecision, answer: OidcAnswer, ip: string | null): Promise<AuthUser> {
    switch (decision.kind) {
      case 'log_in': {
        const user = await this.lockedAccountOf(decision.userId);
        if (!(await this.use(answer))) throw new Overtaken();
        return user;
      }
      case 'link': {
        const user = await this.lockedAccountOf(decision.userId);
        // From now on its address stays what the decision was made by, or is not that any more.
        const still = await this.decide(answer, null);
        if (still.kind !== 'link' || still.userId !== user.id) throw new Overtaken();
        await this.addOrRefuse(answer, user, ip);
        return user;
      }
      case 'create':
        return this.create(answer, ip);
      default:
        throw refusalOf(decision, answer);
    }
  }

  private async decide({ identity, provider }: ProvedIdentity, userId: string | null): Promise<LinkingDecision> {
    const { issuer, subject, email } = identity;
    let found = await this.identities.find(issuer, subject);
    const isUnknown = found === null && userId === null && email !== null;
    const account = isUnknown ? await this.users.findByLogin(normalizeLogin(email)) : null;
    // Another login may have opened it meanwhile, together with the identity.
    if (account) found = await this.identities.find(issuer, subject);
    const intent = userId === null ? 'login' : 'link';
    return decideLinking({ intent, userId, ownerId: found?.userId ?? null, identity, account, provider });
  }

  private async use({ identity }: OidcAnswer): Promise<boolean> {
    const { issuer, subject } = identity;
    const found = await this.identities.find(issuer, subject);
    const email = verifiedEmail(identity);
    return found !== null && this.identities.use(found.id, { email, now: this.clock.now() });
  }

  private async create(answer: OidcAnswer, ip: string | null): Promise<AuthUser> {
    const at = this.clock.now();
    const email = answer.identity.email!;
    const user = await this.users.register({ email, passwordHash: NO_PASSWORD, emailVerifiedAt: at });
    if (!user || (await this.store(answer.identity, user, ip)) !== 'added') throw new Overtaken();
    const of = { at, userId: user.id, ip };
    this.events.emitAfterTransaction({ type: 'account.registered', ...of });
    this.events.emitAfterTransaction({ type: 'email.verified', ...of });
    return user;
  }

  /** To an account that there is, whose owner is told. */
  private async addOrRefuse({ identity, provider }: ProvedIdentity, user: AuthUser, ip: string | null): Promise<void> {
    const outcome = await this.store({ ...identity, email: verifiedEmail(identity) }, user, ip);
    if (outcome === 'full') throw inUse();
    if (outcome === 'taken') throw new Overtaken();
    this.notices.tell(user, 'identity_linked', { provider: provider.label ?? provider.id });
  }

  private async store(
    { provider, issuer, subject, email }: UnlinkedIdentity & { readonly email: string | null },
    { id: userId }: AuthUser,
    ip: string | null,
  ): Promise<'added' | 'taken' | 'full'> {
    const at = this.clock.now();
    const outcome = await this.identities.add({
      id: randomUUID(),
      userId,
      provider,
      issuer,
      subject,
      email,
      linkedAt: at,
    });
    if (outcome === 'added') this.events.emitAfterTransaction({ type: 'identity.linked', at, userId, provider, ip });
    return outcome;
  }
}

/** What anybody could have written there is not kept: by its address an identity is taken for the owner's. */
function verifiedEmail({
  email,
  emailVerified,
}: Pick<OidcAnswer['identity'], 'email' | 'emailVerified'>): string | null {
  return emailVerified ? email : null;
}

/**
 * That there is an account is told only to somebody whose mailbox the provider has verified: anybody can write the address
 * of somebody else into an account of theirs.
 */
function refusalOf(decision: LinkingDecision, { identity, provider }: OidcAnswer): AuthError {
  const isUnproved = !identity.emailVerified && provider.signUp === true && identity.email !== null;
  const isTold = decision.kind === 'refuse' && (decision.code !== 'ACCOUNT_EXISTS' || identity.emailVerified);
  const code: AuthErrorCode = isTold ? decision.code : isUnproved ? 'EMAIL_NOT_VERIFIED' : 'NO_ACCOUNT';
  switch (code) {
    case 'ACCOUNT_EXISTS':
      return new AuthError(code, 'There is an account with this address: its owner logs in, and then links this.', {});
    case 'EMAIL_NOT_VERIFIED':
      return new AuthError(code, 'The provider has not verified the address, so no account is opened for it.', {});
    default:
      return new AuthError('NO_ACCOUNT', 'Nobody has linked this identity, and it opens no account (signUp).', {});
  }
}

/** What a login at this provider proves. */
export const proofsOf = ({ identity }: OidcAnswer): string[] => [identity.aal === 2 ? 'oidc-mfa' : 'oidc'];

const inUse = () =>
  new AuthError('IDENTITY_IN_USE', 'It is linked with another account, or the account has another one there.', {});
