import { Injectable, Logger, type OnModuleInit } from '@nestjs/common';
import { AuthError, isAuthError } from '../auth.errors.js';
import { Clock } from '../common/clock.js';
import { days } from '../common/duration.js';
import { formatInstant } from '../common/instant.js';
import { AuthConfig } from '../config/auth-config.js';
import type { LegacySession, LegacySessionContext, LegacySessionSource } from '../config/legacy-session-settings.js';
import { lifetimesOf } from '../config/session-settings.js';
import { AuthEvents } from '../events/auth-events.js';
import { LoginService, type CompletedLogin, type LoginContext } from '../login/login.service.js';
import { AuthTransaction } from '../postgres/auth-transaction.js';
import { PreparedStatements } from '../postgres/prepared-statements.js';
import { sqlStateOrCause } from '../postgres/store-error.js';
import { TokenRevocationService } from '../revocation/token-revocation.service.js';
import { AccountLock } from '../user/account-lock.js';
import { isActive, isBeforeCutoff } from '../user/account.js';
import { UserDirectory, type AuthUser } from '../user/user.directory.js';

/** The furthest that `legacySessions.until` may be away. */
const MAX_AHEAD = days(400);
/** Of a session whose login nobody has noted: long enough ago that nothing takes it for a fresh one. */
const UNKNOWN_AGE = days(1);
/** The proof of such a login, in the events: there was one, in another system. */
const PROOF = 'legacy-session';

/** A credential of the old system, as a client has sent it. */
export interface PresentedLegacySession {
  readonly source: LegacySessionSource;
  readonly credential: string;
}

/**
 * Accepts the sessions of the system that the application moves in from (`legacySessions`), each of them once: the old
 * one ends in the same transaction in which `LoginService` opens ours. Nothing of it runs after `until`.
 */
@Injectable()
export class LegacySessions implements OnModuleInit {
  private readonly logger = new Logger('Auth');
  private readonly until: number;
  private readonly all: readonly LegacySessionSource[];
  /** By source and credential: requests that a browser sends at once get the same session. */
  private readonly openings = new Map<string, Promise<CompletedLogin | null>>();

  constructor(
    { legacySessions, session, flows }: AuthConfig,
    private readonly users: UserDirectory,
    private readonly logins: LoginService,
    private readonly revocation: TokenRevocationService,
    private readonly transaction: AuthTransaction,
    private readonly accounts: AccountLock,
    private readonly statements: PreparedStatements,
    private readonly clock: Clock,
    private readonly events: AuthEvents,
  ) {
    this.until = legacySessions?.until.getTime() ?? Number.NEGATIVE_INFINITY;
    this.all = legacySessions?.sources ?? [];
    this.absoluteLifetime = lifetimesOf({}, session).absoluteLifetime;
    this.unknownAge = Math.min(UNKNOWN_AGE, Math.max(flows.freshness, this.absoluteLifetime / 2));
  }

  private readonly absoluteLifetime: number;
  /** `UNKNOWN_AGE`, but never so long that the session is over as it begins. */
  private readonly unknownAge: number;

  /**
   * Fails the boot if the end is too far away, or a source cannot read its table and delete from it.
   *
   * @throws {AuthError} `INVALID_CONFIG`
   */
  async onModuleInit(): Promise<void> {
    if (this.all.length === 0) return;
    if (this.until - this.clock.now() > MAX_AHEAD) {
      throw invalid(
        'legacySessions.until is more than 400 days ahead: name the day on which the last old session ends.',
      );
    }
    if (this.sources.length === 0) {
      const end = formatInstant(this.until);
      this.logger.warn(`legacySessions ended at ${end}, and old sessions are not accepted: remove the option.`);
    }
    for (const source of this.sources) await this.check(source);
  }

  /** Those whose sessions are accepted now: none without the option, and none after its end. */
  get sources(): readonly LegacySessionSource[] {
    return this.clock.now() < this.until ? this.all : [];
  }

  /**
   * Opens a session of ours in place of this one: AAL 1, and authenticated when the user logged in there. `null`, and the
   * old one stays, if it is not valid, its account is missing, disabled or signed out everywhere since, or it is older
   * than `session.absoluteLifetime`. Concurrent calls with one credential get the same session in one process, and
   * `null` in all others. Emits `session.imported`.
   *
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer; the old session stays for the next try.
   */
  open(presented: PresentedLegacySession, context: LoginContext): Promise<CompletedLogin | null> {
    const key = `${presented.source.name} ${presented.credential}`;
    const shared = this.openings.get(key);
    if (shared) return shared;
    const opening = this.exchange(presented, context).finally(() => this.openings.delete(key));
    this.openings.set(key, opening);
    return opening;
  }

  /**
   * Ends it where it is, as at a logout.
   *
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async end({ source, credential }: PresentedLegacySession): Promise<void> {
    await source.consume(credential, this.context());
  }

  private async exchange(
    { source, credential }: PresentedLegacySession,
    context: LoginContext,
  ): Promise<CompletedLogin | null> {
    const found = await source.find(credential, this.context());
    const user = found && (await this.users.findById(this.users.importedId(found.userId)));
    if (!found || !isActive(user) || !this.isAcceptable(found, user)) return null;
    const authenticatedAt = this.authenticationOf(found);
    try {
      return await this.transaction.run(async () => {
        await this.accounts.hold(user.id);
        if (!(await source.consume(credential, this.context()))) return null;
        const login = await this.logins.begin(user, [PROOF], { ...context, authenticatedAt });
        // Thrown, so that nothing is consumed: its user has a second factor, which the old session may not have asked for.
        if (login.status !== 'authenticated') throw new AuthError('INVALID_CREDENTIALS', 'A second factor is due.', {});
        const [at, userId, ip] = [this.clock.now(), user.id, context.ip ?? null];
        this.events.emitAfterTransaction({ type: 'session.imported', at, userId, ip, source: source.name });
        return login;
      });
    } catch (error) {
      // Also an account that was disabled, or signed out everywhere, since it was read.
      if (isAuthError(error, 'INVALID_CREDENTIALS')) return null;
      throw error;
    }
  }

  /** When its user has proved who they are, and never so lately that nobody can know. */
  private authenticationOf({ authenticatedAt, isRenewal = false }: LegacySession): number {
    const unknown = this.clock.now() - this.unknownAge;
    if (authenticatedAt === null) return unknown;
    return isRenewal ? Math.min(authenticatedAt, unknown) : authenticatedAt;
  }

  private isAcceptable(
    { authenticatedAt, isRenewal = false }: LegacySession,
    { tokensInvalidatedAfter }: AuthUser,
  ): boolean {
    const cutoff = tokensInvalidatedAfter ?? null;
    if (authenticatedAt !== null && this.clock.now() >= authenticatedAt + this.absoluteLifetime) return false;
    // The login may be from before the cutoff, so it has to count as from before.
    if (authenticatedAt === null || isRenewal) return cutoff === null && this.unknownAge < this.absoluteLifetime;
    return !isBeforeCutoff(authenticatedAt, cutoff);
  }

  private async check(source: LegacySessionSource): Promise<void> {
    try {
      await source.check?.(this.context());
    } catch (error) {
      const state = sqlStateOrCause(error);
      if (!state?.startsWith('42')) throw error;
      const { cause = error } = error as Error;
      throw invalid(
        `legacySessions: the table of ${source.name} cannot be used (${(cause as Error).message}). Name it with its schema ` +
          '(`table`), and grant SELECT and DELETE on it.',
      );
    }
  }

  private context(): LegacySessionContext {
    return {
      now: this.clock.now(),
      until: this.until,
      query: async <Row>(text: string, values: unknown[]) =>
        (await this.statements.run<Row>({ name: '', text }, values)).rows,
      spend: (key, expiresAt) => this.revocation.revoke(key, expiresAt),
    };
  }
}

function invalid(mistake: string): AuthError<'INVALID_CONFIG'> {
  return new AuthError('INVALID_CONFIG', `AuthModule cannot start: ${mistake}`, { mistakes: [mistake] });
}
