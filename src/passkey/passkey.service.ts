import { randomBytes, randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { asAuthError, AuthError } from '../auth.errors.js';
import { AuthConfig } from '../config/auth-config.js';
import { relyingPartyOf, type RelyingParty } from '../config/passkey-settings.js';
import { EphemeralTokenService } from '../ephemeral-token/ephemeral-token.service.js';
import { asEndedAccount } from '../login/ended-account.js';
import { FactorChanges } from '../login/factor-changes.js';
import type { TokenTransport } from '../login/login.service.js';
import type { CookieValue } from '../login/session-scheme.js';
import { WaysIn } from '../login/ways-in.js';
import type { Session } from '../session/session.js';
import { normalizeLogin } from '../user/login-name.js';
import type { AuthUser } from '../user/user.directory.js';
import { creationOptions, type PasskeyCreationOptions } from './ceremony-options.js';
import { PasskeyRefusal } from './passkey-refusal.js';
import { PasskeyStore, type StoredPasskey } from './passkey.store.js';
import { challengeOf, WebAuthn, type PasskeyRegistrationResponse, type RegisteredKey } from './webauthn.js';

/** A passkey as its user sees it. Instants are epoch milliseconds. */
export type Passkey = Pick<
  StoredPasskey,
  'id' | 'name' | 'createdAt' | 'lastUsedAt' | 'cloneSuspectedAt' | 'aaguid' | 'transports' | 'multiDevice' | 'backedUp'
>;

/** A passkey that has just been added. */
export interface AddedPasskey extends Passkey {
  /**
   * The new value of the session's cookie, or its new bearer token, shown only this once: where there are sessions that
   * are stored nowhere (`jwt: { sessions: true }`) the session ends with the others. `null` if it keeps its own.
   */
  readonly credential: CookieValue | null;
}

/** Whose passkeys are changed, and in which session. */
export interface PasskeyOwner {
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

/** How many passkeys a user has at most. */
const MAX_PASSKEYS = 20;
const DEFAULT_NAME = 'Passkey';
const USER_HANDLE_BYTES = 64;
const METHOD = 'passkey';

/**
 * The passkeys of an account: added, listed, renamed and removed by its owner. To add or remove one, the session must be
 * fresh (`flows.freshness`) and have proved as much as the account can (OWASP ASVS 7.5.1): neither a stolen cookie nor a
 * login that waits for its second factor adds one. With a `mailer` the owner is told.
 *
 * @example
 * ```ts
 * const options = await passkeys.creationOptions({ user, session: current });
 * // The browser makes `response` of them.
 * const { id, name } = await passkeys.register({ user, session: current }, response, { name: 'Laptop' });
 * ```
 */
@Injectable()
export class PasskeyService {
  private readonly ttl: number;
  private readonly party: RelyingParty;

  constructor(
    private readonly webauthn: WebAuthn,
    private readonly passkeys: PasskeyStore,
    private readonly tokens: EphemeralTokenService,
    private readonly changes: FactorChanges,
    private readonly waysIn: WaysIn,
    { ephemeralTokens, flows }: AuthConfig,
  ) {
    this.ttl = ephemeralTokens.get('passkey_register')!.ttl;
    this.party = relyingPartyOf(flows.passkeys!);
  }

  /**
   * What the browser needs to make a passkey. They can be used once, for five minutes and in this session; those that
   * were handed out before for this account are void.
   *
   * @throws {AuthError} `STEP_UP_REQUIRED` if the session is not fresh, or has proved less than the account can.
   * @throws {AuthError} `PASSKEY_LIMIT` if the user has 20 of them.
   * @throws {AuthError} `UNAUTHENTICATED` if the account is gone.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async creationOptions({ user, session }: PasskeyOwner): Promise<PasskeyCreationOptions> {
    await this.changes.demand(session);
    const others = await this.passkeys.listByUser(user.id);
    if (others.length >= MAX_PASSKEYS) throw full();
    const userHandle = others[0]?.userHandle ?? randomBytes(USER_HANDLE_BYTES).toString('base64url');
    const username = normalizeLogin(user.email);
    const fields = { username, challengeId: session.handle, userHandle };
    const challenge = await this.tokens.issue('passkey_register', fields).catch((error: unknown) => {
      throw asEndedAccount(error);
    });
    return creationOptions(this.party, { userHandle, login: user.email }, { challenge, timeout: this.ttl, others });
  }

  /**
   * Stores the passkey that the browser has made of the options, once, and ends the user's other sessions. Emits
   * `factor.added`, and tells the owner.
   *
   * @throws {AuthError} `STEP_UP_REQUIRED` as above.
   * @throws {AuthError} `PASSKEY_REFUSED` if the response does not answer options of this session, or they were used or
   *   have expired, or the passkey is registered already. Nothing is stored.
   * @throws {AuthError} `PASSKEY_LIMIT` if the user has 20 of them, also with concurrent calls.
   * @throws {AuthError} `UNAUTHENTICATED` if the session, or everything of the account, has ended meanwhile.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer; nothing is stored or spent.
   */
  async register(
    owner: PasskeyOwner,
    response: PasskeyRegistrationResponse,
    { name = DEFAULT_NAME }: { name?: string | undefined } = {},
  ): Promise<AddedPasskey> {
    const { user, session } = owner;
    await this.changes.demand(session);
    const challenge = challengeOf(response) ?? '';
    const username = normalizeLogin(user.email);
    const held = await this.tokens.peek('passkey_register', challenge, session.handle);
    if (held?.username !== username) throw refused('Its challenge is unknown, spent, expired or of another session.');
    const key = await this.verified(response, challenge);
    const own = { ...key, id: randomUUID(), userId: user.id, userHandle: held.userHandle, name };
    let createdAt = 0;
    const credential = await this.changes.keeping(owner, {
      factor: METHOD,
      name: () => name,
      how: 'added',
      write: async ({ at }) => {
        const spent = await this.tokens.consume('passkey_register', challenge, session.handle);
        if (!spent) throw refused('Its challenge was used meanwhile.');
        createdAt = at;
        const outcome = await this.passkeys.add({ ...own, createdAt }, MAX_PASSKEYS);
        if (outcome === 'full') throw full();
        if (outcome === 'refused') throw refused('It is registered already, or was made for another user handle.');
        return true;
      },
    });
    return { ...shown({ ...own, createdAt, lastUsedAt: null, cloneSuspectedAt: null }), credential };
  }

  /**
   * The user's passkeys, the oldest first.
   *
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async list(userId: string): Promise<Passkey[]> {
    return (await this.passkeys.listByUser(userId)).map(shown);
  }

  /**
   * Gives a passkey of the user another name, of at most 100 characters.
   *
   * @throws {AuthError} `PASSKEY_NOT_FOUND` if the user has no such passkey.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async rename(userId: string, id: string, name: string): Promise<void> {
    if (!(await this.passkeys.rename(userId, id, name))) throw notFound();
  }

  /**
   * Removes a passkey of the user, and ends the user's other sessions. Emits `factor.removed`, and tells the owner.
   * The last way in stays, unless you know of another one (`hasOtherWayIn`): a password, a passkey, or an account at a
   * provider. Of concurrent removals one is refused. Returns the new token of the session, if it has to have one: see
   * `AddedPasskey`.
   *
   * @throws {AuthError} `STEP_UP_REQUIRED` as above.
   * @throws {AuthError} `UNAUTHENTICATED` as above.
   * @throws {AuthError} `PASSKEY_NOT_FOUND` if the user has no such passkey.
   * @throws {AuthError} `LAST_LOGIN_METHOD` if nobody could log in to the account any more.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer.
   */
  async remove(
    owner: PasskeyOwner,
    id: string,
    { hasOtherWayIn = false }: { hasOtherWayIn?: boolean } = {},
  ): Promise<CookieValue | null> {
    const { user, session } = owner;
    await this.changes.demand(session);
    let name = '';
    return this.changes.keeping(owner, {
      factor: METHOD,
      name: () => name,
      how: 'removed',
      write: async () => {
        await this.passkeys.lockWaysIn(user.id);
        const own = await this.passkeys.listByUser(user.id);
        const removed = own.find((passkey) => passkey.id === id);
        if (!removed) throw notFound();
        ({ name } = removed);
        if (!hasOtherWayIn) await this.waysIn.demandOther(user, id);
        return this.passkeys.delete(user.id, id);
      },
    });
  }

  private async verified(response: PasskeyRegistrationResponse, challenge: string): Promise<RegisteredKey> {
    try {
      return await this.webauthn.verifyRegistration(response, challenge, this.party);
    } catch (error) {
      if (error instanceof PasskeyRefusal) throw refused(error.message, error);
      throw asAuthError(error, 'The verification of a passkey');
    }
  }
}

function shown(passkey: StoredPasskey): Passkey {
  const { id, name, createdAt, lastUsedAt, cloneSuspectedAt, aaguid, transports, multiDevice, backedUp } = passkey;
  return { id, name, createdAt, lastUsedAt, cloneSuspectedAt, aaguid, transports, multiDevice, backedUp };
}

function refused(why: string, cause?: Error): AuthError {
  return new AuthError('PASSKEY_REFUSED', `The passkey was not added: ${why}`, {}, { cause });
}

function full(): AuthError {
  const message = `The user has ${MAX_PASSKEYS} passkeys: let them remove one first.`;
  return new AuthError('PASSKEY_LIMIT', message, { limit: MAX_PASSKEYS });
}

function notFound(): AuthError {
  return new AuthError('PASSKEY_NOT_FOUND', 'The user has no passkey with this id: take it from the list.', {});
}
