import { Injectable, Optional } from '@nestjs/common';
import { AuthError, isAuthError } from '../auth.errors.js';
import { Clock } from '../common/clock.js';
import { minutes, seconds } from '../common/duration.js';
import { later } from '../common/instant.js';
import { AuthConfig } from '../config/auth-config.js';
import type { ProviderSession } from '../config/ephemeral-token-settings.js';
import { AuthEvents } from '../events/auth-events.js';
import type { AssuranceLevel, Session } from '../session/session.js';
import type { RotationOptions, SessionContext } from '../session/session.service.js';
import { hasCutoff, isActive } from '../user/account.js';
import type { AuthUser } from '../user/user.directory.js';
import { aalOf, checkedProofs, isFresh, joinedProofs, provedAnew, STALE } from './assurance.js';
import { BearerSessions } from './bearer-sessions.js';
import { KnownDevices } from './known-devices.js';
import { LoginLimits } from './login-limits.js';
import { PendingLogins, type PendingLogin } from './pending-logins.js';
import { ProviderSessions } from './provider-sessions.js';
import { TrustedBrowsers, type TrustedBrowserValue } from './trusted-browsers.js';
import { SessionScheme, type CookieValue, type ElevatedSession } from './session-scheme.js';

/** How the client keeps its session: in our cookie, or as a bearer token it stores itself. */
export type TokenTransport = 'cookie' | 'bearer';

/** Where a login comes from, and what it replaces. */
export interface LoginContext extends SessionContext {
  /** Default `cookie`. */
  transport?: TokenTransport;
  /** The tokens that the client presented in that transport; their sessions end with the login (session fixation). */
  presented?: readonly string[];
  /**
   * "Remember me": whether the session gets the lifetimes of `session.remembered` and a cookie that outlives the
   * browser. No effect without that option, nor on a JWT. Default false.
   */
  remember?: boolean | undefined;
  /** The values of the device cookie that the client presented: see `KnownDevices`. */
  devices?: readonly string[];
  /** The values of the cookie of trusted browsers that the client presented: see `TrustedBrowsers`. */
  trustedBrowsers?: readonly string[];
  /** The name that was typed, for the events; default: the account's address. */
  login?: string;
  /**
   * Epoch ms: when the proof began, before a password was read. Default: now. What was proved before everything of the
   * account ended opens a session that is not fresh.
   */
  authenticatedAt?: number;
  /**
   * The account's `tokensInvalidatedAfter` as it was read with the first of several proofs: if the account has another
   * one by now, the login is refused. Default: that of `user`.
   */
  tokensInvalidatedAfter?: number | null;
  /** The session at the provider that this login came from. When that one ends, the new session ends too. */
  providerSession?: ProviderSession | undefined;
}

/** A login attempt. The caller supplies the proof. */
export interface LoginAttempt {
  /** The name that was typed, in the spelling of `normalizeLogin`; `null` if none is asked for, as with a passkey. */
  readonly login: string | null;
  /** The methods of proof, such as `['password']` or `['passkey']`: see `Session.amr` for the names, and `aalOf`. */
  readonly proofs: readonly string[];
  /**
   * Returns the verified account, or `null`, and is given the client's address, and whether this device has logged in to
   * the account before. Anything it throws counts as a failed login, except a fault (503).
   */
  readonly verify: (ip: string | null, isKnownDevice: boolean) => Promise<AuthUser | null>;
}

/** A finished login; no further step is required. */
export interface CompletedLogin {
  readonly status: 'authenticated';
  readonly user: AuthUser;
  /** The value of the cookie, or the bearer token. It is shown only this once. */
  readonly credential: CookieValue;
  /** The value of the device cookie to set: see `KnownDevices`. `null` for clients without cookies. */
  readonly device: CookieValue | null;
  /** The value of the cookie of trusted browsers to set, if there is another one. */
  readonly trustedBrowser?: TrustedBrowserValue | null;
}

/**
 * The single entry point: every session is created here, however the user was authenticated. So no way in can forget to
 * end the session that the client had (session fixation, OWASP ASVS 7.2.4), to refuse a stale proof, or to emit the
 * events. In an HTTP handler use `HttpSessions`, which calls this and writes the cookie.
 *
 * @example
 * ```ts
 * const login = await logins.attempt(
 *   { login: null, proofs: ['saml'], verify: () => saml.verify(assertion) }, // the account, or null
 *   { ip, userAgent, transport: 'bearer' },
 * );
 * if (login.status !== 'authenticated') return { due: login.methods, token: login.token };
 * return { id: login.user.id, token: login.credential.value };
 * ```
 */
@Injectable()
export class LoginService {
  constructor(
    private readonly scheme: SessionScheme,
    private readonly bearer: BearerSessions,
    private readonly limits: LoginLimits,
    private readonly devices: KnownDevices,
    private readonly pending: PendingLogins,
    private readonly trusted: TrustedBrowsers,
    private readonly clock: Clock,
    private readonly events: AuthEvents,
    private readonly config: AuthConfig,
    @Optional() private readonly providerSessions?: ProviderSessions,
  ) {}

  /**
   * Judges an attempt: first the back-off and the limits of the address and the login name, then the proof, then the
   * session is created, or the login held if a second factor is due. Only failures count against the limits; a success
   * clears those of the name, never those of the address. Emits `login.succeeded` when a session is created and
   * `login.failed` when the attempt is refused, but neither when a limit refuses it or a second factor is due.
   *
   * @throws {AuthError} `RATE_LIMITED` if the address or the name has had too many failures; the proof is not looked
   *   at.
   * @throws {AuthError} `INVALID_CREDENTIALS` if `verify` returned `null`, or the account is disabled, deleted or
   *   changed since.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer. Nobody is logged in.
   * @throws {AuthError} `INVALID_CONFIG` if the id of the user is not a string, or `flows.twoFactor.required` returned
   *   something else than a boolean.
   * @throws {TypeError} if a name in `proofs` is not valid: see `begin`.
   * @throws whatever `verify` throws.
   */
  async attempt(
    { login, proofs, verify }: LoginAttempt,
    context: LoginContext = {},
  ): Promise<CompletedLogin | PendingLogin> {
    const ip = context.ip ?? null;
    try {
      const judge = async (isKnownDevice: boolean) => {
        const authenticatedAt = this.clock.now();
        const user = await verify(ip, isKnownDevice);
        return user && this.begin(user, proofs, { ...context, authenticatedAt, login: login ?? user.email });
      };
      return await this.limits.enforce(ip, login, judge, login === null ? null : this.knownDevice(login, context));
    } catch (error) {
      const reason = error instanceof AuthError ? error.code : 'UNKNOWN';
      // A refused attempt was not judged; the limit's own event reports it, once.
      if (reason !== 'RATE_LIMITED') {
        const attempt = { login, ip, factors: [...proofs] };
        this.events.emit({ type: 'login.failed', at: this.clock.now(), reason, ...attempt });
      }
      throw error;
    }
  }

  /**
   * Creates the session of a user whose identity has been verified, and ends those that the client presented; or, if the
   * user has a second factor that these proofs lack (`SecondFactor`), holds the login until it is proved. For
   * passwords and codes use `attempt`, which limits the guesses too. Emits `login.succeeded` when a session is created;
   * within an `AuthTransaction`, after the commit.
   *
   * @throws {AuthError} `INVALID_CREDENTIALS` if the account is disabled, or was deleted or changed since the proof
   *   began.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer. Nobody is logged in.
   * @throws {AuthError} `INVALID_CONFIG` if the id of `user` is not a string, or empty: your `UserDirectory` must return
   *   one, also where the table's key is a number; or if `flows.twoFactor.required` returned something else than a
   *   boolean.
   * @throws {TypeError} if `authenticatedAt` is not a finite number and the session is a stored one, or a name in `proofs`
   *   is not a valid name (letters, digits and . _ : / -).
   */
  async begin(
    user: AuthUser,
    proofs: readonly string[],
    context: LoginContext = {},
  ): Promise<CompletedLogin | PendingLogin> {
    requireTextId(user);
    const given = checkedProofs(proofs);
    if (!isActive(user)) throw new AuthError('INVALID_CREDENTIALS', 'The account is disabled.', {});
    // From here on the account is compared with `user`, up to the statement that opens the session.
    if (context.tokensInvalidatedAfter !== undefined && !hasCutoff(user, context.tokensInvalidatedAfter)) {
      throw new AuthError('INVALID_CREDENTIALS', 'The account was changed while this login was under way.', {});
    }
    const {
      transport = 'cookie',
      ip = null,
      userAgent = null,
      login = user.email,
      remember,
      providerSession,
    } = context;
    const authenticatedAt = context.authenticatedAt ?? this.clock.now();
    const amr = this.isStale(user, authenticatedAt) ? joinedProofs(given, [STALE]) : given;
    const browser = transport === 'cookie' ? await this.trusted.find(user, context.trustedBrowsers ?? []) : null;
    const proved = { proofs: amr, transport, remember, providerSession, isTrusted: browser !== null };
    const pending = await this.pending.hold(user, proved, authenticatedAt);
    if (pending) {
      if (providerSession) await this.providerSessions?.recordHeld(providerSession, user.id);
      return pending;
    }
    const opening = { ip, userAgent, authenticatedAt, aal: this.aalOf(amr), amr, remember };
    const [presented = null, ...others] = context.presented ?? [];
    try {
      if (transport === 'cookie' && others.length > 0) await this.scheme.revoke(others);
      const opener = transport === 'bearer' ? this.bearer : this.scheme;
      const { handle, ...credential } = await opener.open(user, presented, opening);
      if (providerSession && handle !== null) {
        await this.providerSessions?.record(providerSession, { userId: user.id, handle });
      }
      const at = this.clock.now();
      this.events.emitAfterTransaction({
        type: 'login.succeeded',
        at,
        userId: user.id,
        login,
        ip,
        factors: provedAnew(proofs),
      });
      const device = transport === 'bearer' ? null : this.devices.issue(login, this.knownDevice(login, context));
      // The login stands: if this fails, the second step is due again next time.
      const trustedBrowser = browser && (await this.trusted.rotate(user, browser).catch(() => null));
      return { status: 'authenticated', user, credential, device, ...(trustedBrowser && { trustedBrowser }) };
    } catch (error) {
      throw asChanged(error);
    }
  }

  /**
   * A new value for the session of this cookie, at a change of privilege: same session, same lifetime. `null` if the
   * cookie does not name a live session; revoked in the meantime stays revoked. The old value stays usable for
   * `session.rotationGrace` unless `grace` is false; a signed cookie is refused at once.
   *
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  rotate(value: string, context: SessionContext & RotationOptions = {}): Promise<CookieValue | null> {
    return this.scheme.rotate(value, context);
  }

  /**
   * A step-up: the user of a live session has just proved again who they are, by these methods. The session gets a new
   * token, and the old one is refused at once: a copy of it does not follow (OWASP ASVS 7.2.4). It keeps its handle and
   * data; the proofs are added to its own, and its lifetimes begin anew. For a password use `StepUpService`, which limits
   * the guesses too.
   *
   * `null`, with nothing changed, if the session is over or has a new token already: revoked in the meantime stays
   * revoked, and of concurrent calls exactly one succeeds.
   *
   * @throws {AuthError} `INVALID_CREDENTIALS` if `user` is not the session's, is disabled, or was changed since.
   * @throws {AuthError} `INVALID_CONFIG` for the cookie of `session: { scheme: 'signed-cookie' }`.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   * @throws {TypeError} if a name in `proofs` is not a valid name (letters, digits and . _ : / -).
   */
  async elevate(
    user: AuthUser,
    session: Session,
    proofs: readonly string[],
    context: Pick<LoginContext, 'ip' | 'userAgent' | 'transport' | 'authenticatedAt'> = {},
  ): Promise<ElevatedSession | null> {
    requireTextId(user);
    const given = joinedProofs(provedAnew(session.amr), checkedProofs(proofs));
    if (user.id !== session.userId) {
      throw new AuthError('INVALID_CREDENTIALS', 'The proof is of another account than the session.', {});
    }
    if (!isActive(user)) throw new AuthError('INVALID_CREDENTIALS', 'The account is disabled.', {});
    const { ip = null, userAgent = null, transport = 'cookie', authenticatedAt = this.clock.now() } = context;
    const amr = this.isStale(user, authenticatedAt) ? joinedProofs(given, [STALE]) : given;
    // Never less than before: what an application's own method was worth is known only to the session.
    const aal = session.aal === 2 ? 2 : this.aalOf(amr);
    const opening = { ip, userAgent, authenticatedAt, aal, amr };
    const opener = transport === 'bearer' ? this.bearer : this.scheme;
    return opener.elevate(user, session, opening).catch((error: unknown) => {
      throw asChanged(error);
    });
  }

  /**
   * A new session in place of one that a change of the account has just ended: a full lifetime and a new handle. Pass on
   * whether the old one was remembered, and its proofs (`amr`), to which `proofs` are added, by default the password. If
   * nothing was proved with the change, pass no `proofs` and the old `authenticatedAt`: a JWT keeps it. A stored session
   * always gets the current time, since an older one would be past the account's cutoff, and `stale` in its proofs if
   * the old one was not fresh. Call it in the transaction that ended the old one.
   *
   * @throws {AuthError} `INVALID_CREDENTIALS` if the account was disabled or changed since `user` was read.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   * @throws {TypeError} if a name in `proofs` is not valid: see `begin`.
   */
  async renew(
    user: AuthUser,
    {
      ip = null,
      userAgent = null,
      transport = 'cookie',
      remember,
      amr: before = [],
      proofs = ['password'],
      authenticatedAt: provedAt,
    }: SessionContext &
      Pick<LoginContext, 'transport' | 'remember' | 'authenticatedAt'> & {
        amr?: readonly string[] | undefined;
        proofs?: readonly string[];
      } = {},
  ): Promise<CookieValue> {
    // Past the cutoff, also for a storage that does not know it.
    const now = later(this.clock.now(), user.tokensInvalidatedAfter);
    const isJwt = transport === 'bearer' && this.config.jwt.sessions;
    const authenticatedAt = isJwt ? (provedAt ?? now) : now;
    // Where nothing was proved, it is no fresher than it was.
    const proof = { authenticatedAt: isJwt ? now : (provedAt ?? now), amr: before };
    const isStale = proofs.length === 0 && !isFresh(proof, { now, maxAge: this.config.flows.freshness });
    const amr = joinedProofs(provedAnew(before), isStale ? [STALE] : checkedProofs(proofs));
    const opening = { ip, userAgent, authenticatedAt, aal: this.aalOf(amr), amr, remember };
    const opener = transport === 'bearer' ? this.bearer : this.scheme;
    return opener.open(user, null, opening).catch((error: unknown) => {
      throw asChanged(error);
    });
  }

  /**
   * Whether this was proved before everything of the account ended: a stored session counts from then all the same. A
   * clock that was ahead has told a login of just now the same.
   */
  private isStale({ tokensInvalidatedAfter: cutoff }: AuthUser, authenticatedAt: number): boolean {
    const isEarlier = cutoff != null && cutoff - authenticatedAt >= seconds(1);
    return isEarlier && this.clock.now() - authenticatedAt >= minutes(1);
  }

  private aalOf(amr: readonly string[]): AssuranceLevel {
    return aalOf(amr, this.config.assurance);
  }

  private knownDevice(login: string, { devices = [] }: LoginContext): string | null {
    return this.devices.identify(devices, login);
  }
}

/** A row with a number for its key would log in, and then be another user than its sessions'. */
function requireTextId({ id }: AuthUser): void {
  if (typeof id === 'string' && id !== '') return;
  const mistake = `Your UserDirectory returned an account whose id is ${id === '' ? 'empty' : `of type ${typeof id}`}: return it as a string, String(row.id).`;
  throw new AuthError('INVALID_CONFIG', mistake, { mistakes: [mistake] });
}

/** An account that was deleted meanwhile has changed too. */
function asChanged(error: unknown): unknown {
  if (!isAuthError(error, 'USER_NOT_FOUND')) return error;
  return new AuthError('INVALID_CREDENTIALS', 'The account was deleted while this login was under way.', {});
}
