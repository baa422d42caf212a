import { Injectable } from '@nestjs/common';
import { asAuthError, AuthError, isAuthError } from '../auth.errors.js';
import { Clock } from '../common/clock.js';
import { minutes, type Duration } from '../common/duration.js';
import { later } from '../common/instant.js';
import { UUID } from '../common/uuid.js';
import { AuthConfig } from '../config/auth-config.js';
import type { ApiKeyRefusal } from '../events/auth-event.js';
import { AuthEvents } from '../events/auth-events.js';
import { asEndedAccount } from '../login/ended-account.js';
import { OtherSessions } from '../login/other-sessions.js';
import { OwnerNotices } from '../mail/owner-notices.js';
import { PreparedStatements } from '../postgres/prepared-statements.js';
import { rateLimited, RateLimitService } from '../rate-limit/rate-limit.service.js';
import { TokenRevocationService } from '../revocation/token-revocation.service.js';
import type { Session } from '../session/session.js';
import { AccountLock } from '../user/account-lock.js';
import { checkedUserId } from '../user/checked-user-id.js';
import { INVISIBLE } from '../user/login-name.js';
import { UserDirectory, type AuthUser } from '../user/user.directory.js';
import {
  API_KEY_USE_GRAIN,
  hashOfApiKey,
  lackOf,
  MAX_API_KEY_LIFETIME,
  MAX_API_KEY_NAME,
  newApiKey,
  type ApiKey,
  type AuthenticatedApiKey,
} from './api-key.js';
import { ApiKeyStore } from './api-key.store.js';
import { Scopes } from './scopes.js';

/** What a new key is for, and until when. */
export interface ApiKeyRequest {
  /** What its owner calls it: 1 to 100 visible characters. */
  readonly name: string;
  /** One or more of `flows.apiKeys.scopes`, of those that the roles of the owner allow. */
  readonly scopes: readonly string[];
  /** A minute to 366 days. */
  readonly expiresIn: Duration;
}

/** A key that has just been made. */
export interface IssuedApiKey {
  /** For the owner, only this once: `lk_` and 43 characters. It belongs into no log. */
  readonly key: string;
  readonly apiKey: ApiKey;
}

/** Where a request comes from. */
export interface ApiKeyContext {
  /** The client's address, if known. */
  readonly ip?: string | null;
}

/** Where a key is made. */
export interface NewApiKeyContext extends ApiKeyContext {
  /** The session in which it is made: if that is over by then, there is no key. Default: it is made in none. */
  readonly session?: Session;
}

const SHORTEST: Duration = minutes(1);

/**
 * API keys, by which a program acts for a user, within scopes and until a date (`flows.apiKeys`).
 *
 * - A key reaches handlers with `@AllowApiKey(scope)` and no others. It is no session: it is never fresh, its `aal` is never
 *   2, and it makes no keys.
 * - Its owner is looked at with every request: it is refused while the account is disabled, and may do no more than the
 *   roles of its owner allow now.
 * - It ends by its own expiry, by `revoke`, and with everything else of the account: by a new password, "sign out
 *   everywhere", disabling, deletion and a reverted change of address. A key that was made by a thief does not outlive any
 *   of them.
 * - Only its SHA-256 is stored (OWASP ASVS 6.5.2, 256 bits).
 *
 * @example
 * ```ts
 * const { key, apiKey } = await apiKeys.create(user, { name: 'Backup', scopes: ['notes:read'], expiresIn: days(90) });
 * await apiKeys.revoke(user, apiKey.id); // refused from now on
 * ```
 */
@Injectable()
export class ApiKeyService {
  private readonly scopes: Scopes;
  private readonly max: number;

  constructor(
    private readonly store: ApiKeyStore,
    private readonly users: UserDirectory,
    private readonly accounts: AccountLock,
    private readonly revocation: TokenRevocationService,
    private readonly others: OtherSessions,
    private readonly limits: RateLimitService,
    private readonly notices: OwnerNotices,
    private readonly statements: PreparedStatements,
    private readonly clock: Clock,
    private readonly events: AuthEvents,
    { flows }: AuthConfig,
  ) {
    const { scopes = [], maxPerUser = 0 } = flows.apiKeys ?? {};
    this.scopes = new Scopes(scopes);
    this.max = maxPerUser;
  }

  /**
   * Makes a key for this user, whose session is fresh: pass the user of the request as the guard found it. If everything of
   * the account was ended since then, there is no key. Emits `api_key.created`, and tells the owner by mail. Of concurrent
   * calls no more succeed than `flows.apiKeys.maxPerUser` allows.
   *
   * @throws {AuthError} `INVALID_INPUT` for a name, scope or time that there cannot be.
   * @throws {AuthError} `FORBIDDEN` for a scope that the roles of the user do not allow.
   * @throws {AuthError} `TOO_MANY_API_KEYS` if the user has as many as there may be.
   * @throws {AuthError} `UNAUTHENTICATED` if the account was disabled or deleted, or everything of it or the session ended,
   *   since it was read.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer: there is no key that anybody knows.
   */
  async create(
    owner: AuthUser,
    request: ApiKeyRequest,
    { ip = null, session }: NewApiKeyContext = {},
  ): Promise<IssuedApiKey> {
    const { name, expiresIn } = checkedRequest(request);
    const scopes = this.checkedScopes(owner, request.scopes);
    const { key, hash, prefix } = newApiKey();
    const userId = checkedUserId(owner.id);
    const cutoff = owner.tokensInvalidatedAfter ?? null;
    const apiKey = await this.statements.transactionLocking(`api keys of ${userId}`, async () => {
      await this.accounts.hold(userId);
      if (session) await this.others.requireLive(session);
      const now = this.clock.now();
      const createdAt = later(now, cutoff);
      const row = { userId, name, prefix, hash, scopes, createdAt, lifetime: expiresIn };
      const inserted = await this.store.insert(row, { now, cutoff, max: this.max }).catch((error: unknown) => {
        throw asEndedAccount(error);
      });
      if (!inserted) throw tooMany(this.max);
      // After that: either this sees a cutoff that was set meanwhile, or the cutoff sees this key.
      await this.confirm(owner, createdAt);
      const of = { userId, keyId: inserted.id, scopes, expiresAt: inserted.expiresAt, ip };
      this.events.emitAfterTransaction({ type: 'api_key.created', at: now, ...of });
      this.notices.tell(owner, 'api_key_created', { name });
      return inserted;
    });
    return { key, apiKey };
  }

  /**
   * The live keys of a user, the latest first. Empty for an unknown account. The account itself, if you have just read it,
   * saves reading it again.
   *
   * @throws {AuthError} `INVALID_INPUT` if the id is not a string, or empty.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async listForUser(owner: string | AuthUser): Promise<ApiKey[]> {
    const user = typeof owner === 'object' ? owner : await this.userOf(checkedUserId(owner));
    if (!user) return [];
    const at = { now: this.clock.now(), cutoff: user.tokensInvalidatedAfter ?? null };
    const keys = await this.store.listByUser(user.id, at);
    return keys.map((apiKey) => this.asOf(user, apiKey));
  }

  /**
   * Ends one of the user's own keys: it is refused by the next request, in every process (with the cache on, within its
   * bound). Idempotent: of any number of concurrent calls one emits `api_key.revoked` and tells the owner by mail. False if
   * the user has no such key.
   *
   * @throws {AuthError} `INVALID_INPUT` if the id of the owner is not a string, or empty.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer: the outcome is unknown.
   */
  async revoke(owner: Pick<AuthUser, 'id' | 'email'>, id: string): Promise<boolean> {
    const userId = checkedUserId(owner.id);
    if (typeof id !== 'string' || !UUID.test(id)) return false;
    const at = this.clock.now();
    const ended = await this.store.revoke(userId, id, at);
    if (ended?.outcome === 'revoked') {
      this.events.emitAfterTransaction({ type: 'api_key.revoked', at, userId, keyId: id.toLowerCase() });
      this.notices.tell(owner, 'api_key_revoked', { name: ended.name });
    }
    return ended !== null;
  }

  /**
   * Ends all keys of a user and nothing else, and returns how many. Emits `api_key.revoked` for each.
   *
   * @throws {AuthError} `INVALID_INPUT` if `userId` is not a string, or empty.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer: the outcome is unknown.
   */
  async revokeAllForUser(userId: string): Promise<number> {
    const at = this.clock.now();
    const ended = await this.store.revokeByUser(checkedUserId(userId), at);
    for (const keyId of ended) this.events.emitAfterTransaction({ type: 'api_key.revoked', at, userId, keyId });
    return ended.length;
  }

  /**
   * The key and its owner, with what it may do now; `null` for anything that is not a live key, which the guard answers by
   * 401. One query, and none with `cache.enabled` for a key that was seen recently; once a minute another one records the
   * use. A refused key is counted by `api_key_ip`; one that is accepted is never limited. Emits `api_key.refused`.
   *
   * @throws {AuthError} `RATE_LIMITED` instead of `null`, after too many refused keys from this address.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer: nothing is known about the key.
   */
  async authenticate(key: string, context: ApiKeyContext = {}): Promise<AuthenticatedApiKey | null> {
    const hash = typeof key === 'string' ? hashOfApiKey(key) : null;
    if (hash === null) return null;
    const found = await this.store.find(hash);
    const now = this.clock.now();
    const lack = found ? lackOf(found, now) : 'unknown';
    if (!found || lack !== null) {
      await this.refuse(lack ?? 'unknown', found && found.apiKey, context);
      return null;
    }
    const { apiKey, user } = found;
    if (apiKey.lastUsedAt === null || now - apiKey.lastUsedAt >= API_KEY_USE_GRAIN) {
      await this.store.touch(hash, now, API_KEY_USE_GRAIN);
    }
    return { apiKey: this.asOf(user, apiKey), user };
  }

  /**
   * Throws unless the key has this scope, as `@AllowApiKey` does. A refusal is counted by `api_key_ip` too. Emits
   * `api_key.refused`.
   *
   * @throws {AuthError} `FORBIDDEN` if it does not, or its owner lacks the role by now.
   * @throws {AuthError} `RATE_LIMITED` instead, after too many refused keys from this address.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async requireScope(apiKey: ApiKey, scope: string, context: ApiKeyContext = {}): Promise<void> {
    if (apiKey.scopes.includes(scope)) return;
    await this.refuse('scope', apiKey, context);
    throw new AuthError('FORBIDDEN', `The API key may not do this: it needs the scope ${scope}.`, {
      roles: [],
      scopes: [scope],
    });
  }

  private async refuse(reason: ApiKeyRefusal, apiKey: ApiKey | null, { ip = null }: ApiKeyContext): Promise<void> {
    const decision = await this.limits.consume('api_key_ip', ip);
    if (!decision.allowed) throw rateLimited(decision);
    const of = { userId: apiKey?.userId ?? null, keyId: apiKey?.id ?? null };
    this.events.emit({ type: 'api_key.refused', at: this.clock.now(), ...of, reason, ip });
  }

  /** Of what it was made for, what is possible now. */
  private asOf(user: AuthUser, apiKey: ApiKey): ApiKey {
    return { ...apiKey, scopes: apiKey.scopes.filter((scope) => this.scopes.allows(user, scope)) };
  }

  private checkedScopes(owner: AuthUser, wanted: readonly string[]): string[] {
    const scopes = Array.isArray(wanted) ? [...new Set<string>(wanted)] : [];
    if (scopes.length === 0 || !scopes.every((scope) => this.scopes.has(scope))) {
      throw invalid('scopes', `must be one or more of ${this.scopes.names.join(', ')}`);
    }
    const refused = scopes.filter((scope) => !this.scopes.allows(owner, scope));
    if (refused.length === 0) return scopes;
    const roles = this.scopes.rolesFor(refused[0]!);
    const message = `The user needs the role ${roles.join(' or ')} for a key with the scope ${refused[0]}.`;
    throw new AuthError('FORBIDDEN', message, { roles });
  }

  private async confirm(owner: AuthUser, createdAt: number): Promise<void> {
    try {
      await this.revocation.confirmLogin(owner, createdAt);
    } catch (error) {
      if (!isAuthError(error, 'INVALID_CREDENTIALS')) throw asAuthError(error, 'The user directory');
      const message = 'The account was changed while the key was made: let its user log in again.';
      throw new AuthError('UNAUTHENTICATED', message, {}, { cause: error });
    }
  }

  private async userOf(id: string): Promise<AuthUser | null> {
    try {
      return await this.users.findById(id);
    } catch (error) {
      throw asAuthError(error, 'The user directory');
    }
  }
}

export const API_KEY_NAME = `must be a text of 1 to ${MAX_API_KEY_NAME} characters, none of them invisible`;

/** Whether this can be the name of a key. */
export const isApiKeyName = (name: unknown): name is string =>
  typeof name === 'string' && name.trim() !== '' && [...name].length <= MAX_API_KEY_NAME && !INVISIBLE.test(name);

function checkedRequest({ name, expiresIn }: ApiKeyRequest): { name: string; expiresIn: Duration } {
  if (!isApiKeyName(name)) throw invalid('name', API_KEY_NAME);
  if (!Number.isFinite(expiresIn) || expiresIn < SHORTEST || expiresIn > MAX_API_KEY_LIFETIME) {
    throw invalid('expiresIn', 'must be a minute to 366 days');
  }
  return { name: name.trim(), expiresIn };
}

function invalid(field: string, expected: string): AuthError {
  return new AuthError('INVALID_INPUT', `${field} ${expected}.`, { fields: { [field]: expected } });
}

function tooMany(limit: number): AuthError {
  return new AuthError('TOO_MANY_API_KEYS', `The user has ${limit} API keys: revoke one first.`, { limit });
}
