import { days, hours, minutes, type Duration } from '../common/duration.js';
import { isRecord, type OptionChecker } from './option-checker.js';

/** The result of the first factor of a login, to be kept until the last. It is plain JSON; instants are epoch ms. */
export interface FirstFactor {
  /** When the first proof began: before the account was read. */
  readonly authenticatedAt: number;
  /** The account's `tokensInvalidatedAfter` as it was read with that proof; `null` if it had none. */
  readonly tokensInvalidatedAfter: number | null;
}

/** A session at an identity provider, by which a login here was begun. */
export interface ProviderSession {
  /** The identity: see `StoredIdentity`. */
  readonly issuer: string;
  readonly subject: string;
  /** SHA-256 of the issuer and what it calls the session (`sid`), as base64url. */
  readonly session: string;
}

/** What has been proved of a login that waits for another factor, and how its client will keep the session. */
export interface PendingProofs {
  /** The id of the account. */
  readonly userId: string;
  /** The methods: see `Session.amr`. */
  readonly proofs: readonly string[];
  readonly transport: 'cookie' | 'bearer';
  /** Whether the account has no factor, and must enrol one to complete the login. Default false. */
  readonly mustEnrol?: boolean;
  /** Whether the login asked to be remembered. */
  readonly remember?: boolean | undefined;
  /** The session at a provider by which it was begun, if the provider names it. */
  readonly providerSession?: ProviderSession | undefined;
}

/** What a login at an identity provider was begun for. */
export interface OidcRequest {
  /** The name of the provider. */
  readonly provider: string;
  readonly issuer: string;
  readonly intent: 'login' | 'link' | 'step_up';
  /** Its own callback. */
  readonly redirectUri: string;
  /** Epoch ms. */
  readonly startedAt: number;
  /** Where the browser goes in the end. */
  readonly returnTo?: string | undefined;
  readonly remember?: boolean | undefined;
  /** The account, and the handle of its session: with `link` and `step_up`. */
  readonly userId?: string | undefined;
  readonly handle?: string | undefined;
  /** The login is completed by `oidc_exchange`, which is bound to this: a hash of the browser's value or of a verifier. */
  readonly exchange?: string | undefined;
}

/** An account at an identity provider that is linked with nobody yet. */
export interface UnlinkedIdentity {
  /** The name of the provider. */
  readonly provider: string;
  readonly issuer: string;
  readonly subject: string;
}

/** What a passkey is used for. */
export type PasskeyPurpose = 'login' | 'second_factor' | 'step_up';

/**
 * The types of single-use tokens, and the fields of each. Add your own by module augmentation, and give each a rule in
 * `ephemeralTokens`.
 *
 * Fields are strings, numbers, booleans or plain objects of them. A field `username` is a login name: the token then
 * belongs to that account, and ends with it.
 *
 * @example
 * ```ts
 * declare module 'nestjs-latchkey' {
 *   interface EphemeralTokenFields {
 *     invite: { username: string; teamId: string };
 *   }
 * }
 * AuthModule.forRoot({ secrets, ephemeralTokens: { invite: { ttl: days(7), binding: 'teamId' } } });
 * ```
 */
export interface EphemeralTokenFields {
  /**
   * The password was right, and another factor is due. `challengeId` is the value of an HttpOnly cookie. `firstFactor`
   * is needed to complete the login: see `VerifiedLogin`. `proved` is there if this module completes it.
   */
  pre_auth: { username: string; challengeId?: string; firstFactor?: FirstFactor; proved?: PendingProofs };
  /**
   * Redirect to an identity provider. `challengeId`, if given, binds the answer to this browser. `request` is there if this
   * module has begun it.
   */
  oidc_state: { providerId: number; nonce: string; codeVerifier: string; challengeId?: string; request?: OidcRequest };
  /**
   * From the provider's callback to the page. `challengeId`, if given, is the hash of what has to come with it, and
   * `firstFactor` and `proved` are there if this module completes the login.
   */
  oidc_exchange: { username: string; challengeId?: string; firstFactor?: FirstFactor; proved?: PendingProofs };
  /**
   * An identity that has not been linked, since the account with this id has its address: `email` is that. It is linked
   * once somebody has logged in to that account. It belongs to the account as `email_revert` does.
   */
  oidc_link: { account: string; email: string; identity: UnlinkedIdentity };
  /** The mailed link. */
  password_reset: { username: string };
  /**
   * Proof that the mailbox is the user's. A code of six digits can be guessed from its SHA-256 at once, so `codeHash`
   * is `await passwordHasher.hash(code)`, compared with `passwordHasher.matches` (OWASP ASVS 6.5.2).
   */
  email_otp_setup: { username: string; codeHash: string };
  /** The mailed code of a login or a step-up; `codeHash` as above. The token stands for the attempt that it is for. */
  login_code: { username: string; codeHash: string };
  /**
   * A browser in which the second step of the logins of the account with this id is left out. `trustedAt` is when that was
   * proved there, in epoch ms: a token that takes the place of another one keeps it.
   */
  trusted_browser: { username: string; account: string; trustedAt: number };
  /**
   * The mailed link of a registration. It belongs to the address: there is no account yet. `passwordHash` is missing if
   * no password has been chosen yet. `codeHash` is the SHA-256 of the token and the mailed code together, so that it
   * gives away neither. `identity` is what a login at a provider has proved that does not vouch for the address.
   */
  register: { email: string; passwordHash?: string; codeHash?: string; identity?: UnlinkedIdentity };
  /**
   * The mailed link of a login, where it leads to, and whether the session is to be remembered. `codeHash` is as in
   * `register`.
   */
  magic_link: { username: string; account: string; codeHash: string; returnTo?: string; remember?: boolean };
  /** The mailed link to a new address, for the account that still has the old one. */
  email_change: { username: string; account: string; from: string; to: string };
  /**
   * The link to the old address `from` that takes a change of address back. It belongs to the account with this id,
   * whatever that is called by now, and outlives its password. `changedAt` is epoch ms. `wasUnproved`: nobody had proved
   * the old address, so what is older than the change may be somebody else's too.
   */
  email_revert: { account: string; from: string; changedAt: number; wasUnproved?: boolean };
  /**
   * The link in the mail about the first second factor of an account, which takes that back: it was mailed to `email`, and
   * belongs to the account with this id as `email_revert` does. `addedAt` is epoch ms.
   */
  factor_revert: { account: string; email: string; addedAt: number };
  /**
   * A secret that was shown to be put into an authenticator, and that no code has proved yet. `challengeId` is the name of
   * the session, or pending login, that asked.
   */
  totp_setup: { username: string; challengeId: string; sealedSecret: string };
  /**
   * The challenge of a passkey to be registered: the token is what the browser signs. `challengeId` is the handle of the
   * session, `userHandle` what the authenticator will call the account.
   */
  passkey_register: { username: string; challengeId: string; userHandle: string };
  /**
   * The challenge of a passkey to be used, for nothing but `purpose`. `challengeId` is the browser's, the held login's or
   * the session's.
   */
  passkey_assert: { purpose: PasskeyPurpose; challengeId: string };
  /** One download of one resource, `type:id`. */
  slicer_download: { resource: `${string}:${string}` };
}

export type EphemeralTokenType = Extract<keyof EphemeralTokenFields, string>;

export interface EphemeralTokenRule {
  /** How long a token of this type can be used, unless `issue` says otherwise. */
  ttl: Duration;
  /** A user has at most one outstanding token of this type: `issue` voids the earlier one, `consume` the rest. */
  onePerUser?: boolean;
  /** The field whose value has to be presented together with the token. */
  binding?: string;
}

/** The types that do not end with the account of a login name: see their fields. */
export const WITHOUT_LOGIN: ReadonlySet<string> = new Set<EphemeralTokenType>([
  'register',
  'oidc_link',
  'email_revert',
  'factor_revert',
]);

/** Lifetimes and rules. Of a built-in type you can change `ttl`; types of your own you describe completely. */
export class EphemeralTokenSettings {
  readonly pre_auth: EphemeralTokenRule = { ttl: minutes(5), binding: 'challengeId' };
  readonly oidc_state: EphemeralTokenRule = { ttl: minutes(10), binding: 'challengeId' };
  readonly oidc_exchange: EphemeralTokenRule = { ttl: minutes(2), binding: 'challengeId' };
  readonly oidc_link: EphemeralTokenRule = { ttl: minutes(10) };
  readonly password_reset: EphemeralTokenRule = { ttl: hours(1), onePerUser: true };
  /** OWASP ASVS 6.5.5: an out-of-band code lives at most 10 minutes. */
  readonly email_otp_setup: EphemeralTokenRule = { ttl: minutes(10), onePerUser: true };
  readonly login_code: EphemeralTokenRule = { ttl: minutes(10), onePerUser: true };
  /** At most: `flows.twoFactor.trustedBrowsers` says how long it is. */
  readonly trusted_browser: EphemeralTokenRule = { ttl: days(30) };
  /** OWASP ASVS 6.4.1. */
  readonly register: EphemeralTokenRule = { ttl: hours(24), onePerUser: true };
  /** OWASP ASVS 6.5.5. */
  readonly magic_link: EphemeralTokenRule = { ttl: minutes(10), onePerUser: true };
  readonly email_change: EphemeralTokenRule = { ttl: hours(1), onePerUser: true };
  readonly email_revert: EphemeralTokenRule = { ttl: days(7) };
  readonly factor_revert: EphemeralTokenRule = { ttl: days(7) };
  readonly totp_setup: EphemeralTokenRule = { ttl: minutes(10), onePerUser: true, binding: 'challengeId' };
  readonly passkey_register: EphemeralTokenRule = { ttl: minutes(5), onePerUser: true, binding: 'challengeId' };
  readonly passkey_assert: EphemeralTokenRule = { ttl: minutes(5), binding: 'challengeId' };
  readonly slicer_download: EphemeralTokenRule = { ttl: minutes(5), binding: 'resource' };
}

/** The rules of the built-in types, with the `ttl` from the options, and those of the types the application adds. */
export function checkEphemeralTokens(
  check: OptionChecker,
  written: Record<string, Partial<EphemeralTokenRule> | undefined> = {},
): Map<string, EphemeralTokenRule> {
  const rules = new Map<string, EphemeralTokenRule>(Object.entries(Object.freeze(new EphemeralTokenSettings())));
  if (!check.record('ephemeralTokens', written)) return rules;
  for (const [type, rule] of Object.entries(written)) {
    if (rule === undefined) continue;
    const name = `ephemeralTokens.${type}`;
    const ours = rules.get(type);
    check.typeName(name, type);
    check.keys(`${name}.`, rule, ours ? ['ttl'] : ['ttl', 'onePerUser', 'binding']);
    if (!isRecord(rule)) continue;
    const merged: EphemeralTokenRule = { ...ours, ...rule, ttl: rule.ttl ?? ours?.ttl ?? Number.NaN };
    check.duration(`${name}.ttl`, merged.ttl);
    check.flag(`${name}.onePerUser`, merged.onePerUser ?? false);
    check.that(
      merged.binding === undefined || (typeof merged.binding === 'string' && merged.binding !== ''),
      `${name}.binding must be the name of one of the token's fields.`,
    );
    rules.set(type, Object.freeze(merged));
  }
  return rules;
}
