import { Injectable } from '@nestjs/common';
import { AuthError } from '../auth.errors.js';
import { Clock } from '../common/clock.js';
import type { Duration } from '../common/duration.js';
import { later } from '../common/instant.js';
import { AuthConfig } from '../config/auth-config.js';
import {
  WITHOUT_LOGIN,
  type EphemeralTokenFields,
  type EphemeralTokenRule,
  type EphemeralTokenType,
} from '../config/ephemeral-token-settings.js';
import { AuthEvents } from '../events/auth-events.js';
import { normalizeLogin } from '../user/login-name.js';
import { UserDirectory, type AuthUser } from '../user/user.directory.js';
import { EphemeralTokenStore, type EphemeralTokenKey } from './ephemeral-token.store.js';
import {
  accountIdKey,
  accountKey,
  ephemeralTokenHash,
  newEphemeralToken,
  presentedBinding,
  toColumns,
  toFields,
  type BindingOf,
  type EphemeralTokenRow,
} from './ephemeral-token.types.js';

/**
 * Single-use tokens: password reset, second factor, identity provider, download link.
 *
 * - Of any number of parallel consumers of one token, in any number of processes, exactly one gets its fields.
 * - Whatever cannot be used is `null`: malformed (no query), unknown, spent, expired, of another type, or presented
 *   without its binding. The result does not say which, and a refused token is not spent.
 * - A token with a `username` ends with that account: it is refused once the account has been deleted, disabled or had
 *   its tokens invalidated (a new password does that) since it was issued, even if the name is given to somebody else.
 * - Only its SHA-256 is stored. If the storage has a fault, `STORE_UNAVAILABLE` is thrown, and the token may have been
 *   spent.
 *
 * @example
 * ```ts
 * const link = await tokens.issue('password_reset', { username: user.email }); // goes into a mail
 *
 * const reset = await tokens.consume('password_reset', link); // once: { username: 'ada@example.com' }
 * if (reset === null) throw new GoneException('This link has been used or has expired.');
 * ```
 */
@Injectable()
export class EphemeralTokenService {
  constructor(
    private readonly store: EphemeralTokenStore,
    private readonly users: UserDirectory,
    private readonly clock: Clock,
    private readonly config: AuthConfig,
    private readonly events: AuthEvents,
  ) {}

  /**
   * Issues a token of this type: 43 characters of base64url, 32 for a download. `ttl` is in milliseconds; the default
   * is that of the type. If a user may have only one token of the type (`password_reset`, `email_otp_setup`), the
   * earlier one is void from now on. `issuedAt` is epoch ms; the default is now. `token` is one of `newEphemeralToken`
   * that somebody has to know beforehand, such as a browser.
   *
   * @throws {AuthError} `INVALID_INPUT` if fields are missing or do not fit; `facts.fields` names them.
   * @throws {AuthError} `USER_NOT_FOUND` if `username` is not the login name of an enabled account. Look the account up
   *   first, and answer both cases the same, so that a form does not reveal who has an account.
   * @throws {TypeError} for an unknown type, and if `ttl` is not a positive, finite number.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async issue<Type extends EphemeralTokenType>(
    type: Type,
    fields: EphemeralTokenFields[Type],
    {
      ttl,
      issuedAt = this.clock.now(),
      token = newEphemeralToken(type),
    }: { ttl?: Duration; issuedAt?: number; token?: string } = {},
  ): Promise<string> {
    const rule = this.rule(type);
    const lifetime = ttl ?? rule.ttl;
    if (!(lifetime > 0 && Number.isFinite(lifetime))) {
      throw new TypeError('ttl must be a length of time in milliseconds: write it as minutes(5).');
    }
    const columns = toColumns(type, rule, fields);
    const login = (fields as { username?: string }).username;
    const isOwned = columns.username !== null && login !== undefined;
    const user = isOwned ? await this.enabledUser(login) : null;
    const hash = ephemeralTokenHash(type, token)!;
    await this.store.insert(
      {
        ...columns,
        type,
        hash,
        userId: user?.id ?? null,
        // Past the cutoff that was read, whichever clock has set it.
        createdAt: later(issuedAt, user?.tokensInvalidatedAfter),
        expiresAt: issuedAt + lifetime,
      },
      { voidsEarlier: rule.onePerUser === true },
    );
    return token;
  }

  /**
   * The fields of a token that stays usable, for a page that shows what it is about to do.
   *
   * @throws {TypeError} for an unknown type.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async peek<Type extends EphemeralTokenType>(
    type: Type,
    token: string,
    ...[binding]: BindingOf<Type>
  ): Promise<EphemeralTokenFields[Type] | null> {
    const key = this.key(type, token, binding);
    return key && this.fieldsOf<Type>(await this.store.find(key));
  }

  /**
   * Spends the token and returns its fields, once. Call it before doing what the token allows, and use only what it
   * returns. If a user may have only one token of the type, success voids all others that are outstanding. Emits
   * `token.consumed` or `token.refused`.
   *
   * @throws {TypeError} for an unknown type.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async consume<Type extends EphemeralTokenType>(
    type: Type,
    token: string,
    ...[binding]: BindingOf<Type>
  ): Promise<EphemeralTokenFields[Type] | null> {
    const key = this.key(type, token, binding);
    const voidsRest = this.rule(type).onePerUser === true;
    const row = key && (await this.store.take(key, { voidsRest }));
    const fields = await this.fieldsOf<Type>(row);
    const at = this.clock.now();
    if (fields && row)
      this.events.emitAfterTransaction({ type: 'token.consumed', at, tokenType: type, userId: row.userId });
    // Not after the transaction, which is rolled back because of this refusal.
    else this.events.emit({ type: 'token.refused', at, tokenType: type });
    return fields;
  }

  /**
   * Voids a token that nobody will present, because the mail that was to bring it was not sent. Other tokens of the
   * account stay, and no event is emitted. False if it could not have been used anyway.
   *
   * @throws {TypeError} for an unknown type.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async revoke<Type extends EphemeralTokenType>(
    type: Type,
    token: string,
    ...[binding]: BindingOf<Type>
  ): Promise<boolean> {
    const key = this.key(type, token, binding);
    return key !== null && (await this.store.take(key, { voidsRest: false })) !== null;
  }

  /**
   * Voids every token of this account, of every type, or those issued at `since` (epoch ms) or later. Returns the number
   * voided. A `UserDirectory` of your own calls it when it deletes or disables an account whose name may be given to
   * somebody else.
   *
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  revokeAllForLogin(username: string, { since }: { since?: number } = {}): Promise<number> {
    return this.store.deleteByLogin(accountKey(username), since);
  }

  /**
   * As `revokeAllForLogin`, for the tokens that belong to the account with this id and not to its login name, such as
   * `email_revert`.
   *
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  revokeAllForAccount(userId: string, { since }: { since?: number } = {}): Promise<number> {
    return this.store.deleteByLogin(accountIdKey(userId), since);
  }

  /**
   * Voids every token of this account and type. Returns the number voided.
   *
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  revokeOfType(type: EphemeralTokenType, username: string): Promise<number> {
    return this.store.deleteOfType(accountKey(username), type);
  }

  /**
   * How many tokens of this account and type can be used.
   *
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  countOfType(type: EphemeralTokenType, { email, tokensInvalidatedAfter = null }: AuthUser): Promise<number> {
    return this.store.countOfType(accountKey(email), type, this.clock.now(), tokensInvalidatedAfter);
  }

  private key(type: string, token: unknown, value: string | null | undefined): EphemeralTokenKey | null {
    const binding = presentedBinding(type, this.rule(type), value);
    const hash = ephemeralTokenHash(type, token);
    return binding && hash !== null ? { type, hash, binding, now: this.clock.now() } : null;
  }

  /** Looks the account up after the token was taken, so that it notices one disabled in the meantime. */
  private async fieldsOf<Type extends EphemeralTokenType>(
    row: EphemeralTokenRow | null,
  ): Promise<EphemeralTokenFields[Type] | null> {
    if (!row) return null;
    const fields = toFields(row) as unknown as EphemeralTokenFields[Type];
    if (row.username === null || WITHOUT_LOGIN.has(row.type)) return fields;
    const user = await this.users.findByLogin((fields as { username: string }).username);
    return user && isOwner(user, row) ? fields : null;
  }

  private async enabledUser(login: string): Promise<AuthUser> {
    const user = await this.users.findByLogin(normalizeLogin(login));
    if (user && (user.disabledAt ?? null) === null) return user;
    throw new AuthError('USER_NOT_FOUND', 'There is no enabled account with this login name to issue a token for.', {});
  }

  private rule(type: string): EphemeralTokenRule {
    const rule = this.config.ephemeralTokens.get(type);
    if (rule) return rule;
    const known = [...this.config.ephemeralTokens.keys()].join(', ');
    throw new TypeError(
      `There is no token type '${type}'; known types: ${known}. Add yours to EphemeralTokenFields and ephemeralTokens.`,
    );
  }
}

function isOwner(user: AuthUser, row: EphemeralTokenRow): boolean {
  return (
    (user.disabledAt ?? null) === null &&
    (row.userId === null || row.userId === user.id) &&
    row.createdAt > (user.tokensInvalidatedAfter ?? Number.NEGATIVE_INFINITY)
  );
}
