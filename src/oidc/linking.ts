import type { ProviderDefinition } from '../config/oidc-settings.js';
import type { VerifiedIdentity } from './verified-identity.js';

/** What is known when somebody comes back from a provider, whose answer has been verified. */
export interface LinkingFacts {
  readonly intent: 'login' | 'link';
  /** The user of the session that asked, with the intent `link`. */
  readonly userId: string | null;
  /** The user to whom this issuer and subject are linked, or `null`. */
  readonly ownerId: string | null;
  readonly identity: Pick<VerifiedIdentity, 'email' | 'emailVerified'>;
  /** The account that logs in with the address of the identity, or `null`. */
  readonly account: { readonly id: string; readonly emailVerifiedAt?: number | null } | null;
  readonly provider: Pick<ProviderDefinition, 'signUp' | 'link' | 'authoritativeFor'>;
}

/** What follows. Nothing but `log_in` and `link` enters an account that there is. */
export type LinkingDecision =
  | { readonly kind: 'log_in'; readonly userId: string }
  /** The user of the session has it already. */
  | { readonly kind: 'already_linked' }
  /** Tell the owner. With the intent `login` the mailbox is proved on both sides, by who gives it out, and a login follows. */
  | { readonly kind: 'link'; readonly userId: string }
  /** A new account, whose address the provider has verified. */
  | { readonly kind: 'create' }
  /** A new account after the mail that proves the address. */
  | { readonly kind: 'prove_email' }
  | { readonly kind: 'refuse'; readonly code: 'IDENTITY_IN_USE' | 'ACCOUNT_EXISTS' | 'NO_ACCOUNT' };

/**
 * Whose account somebody enters who comes back from a provider. What identifies them is the pair of issuer and subject
 * (OpenID Connect Core 1.0, section 5.7; OWASP ASVS 10.5.2): an address or a name decides nothing about an account that
 * there is, except where the host has asked for it and the provider gives the mailbox out itself.
 */
export function decideLinking(facts: LinkingFacts): LinkingDecision {
  const { intent, userId, ownerId, identity, account, provider } = facts;
  if (intent === 'link') {
    if (userId === null) throw new TypeError('To link, somebody has to be logged in.');
    if (ownerId === null) return { kind: 'link', userId };
    return ownerId === userId ? { kind: 'already_linked' } : { kind: 'refuse', code: 'IDENTITY_IN_USE' };
  }
  if (ownerId !== null) return { kind: 'log_in', userId: ownerId };
  if (account !== null) {
    const isTheirs = isProvedByBoth(identity, account, provider);
    return isTheirs ? { kind: 'link', userId: account.id } : { kind: 'refuse', code: 'ACCOUNT_EXISTS' };
  }
  if (provider.signUp !== true || identity.email === null) return { kind: 'refuse', code: 'NO_ACCOUNT' };
  return isVerified(identity.emailVerified) ? { kind: 'create' } : { kind: 'prove_email' };
}

/** The boolean and nothing else: what a provider says comes here as it is, and `"false"` is true of many a language. */
const isVerified = (claim: unknown): boolean => claim === true;

/** Whether the provider speaks for the mailbox, and the account has proved it too: else a stranger may have made it. */
function isProvedByBoth(
  identity: LinkingFacts['identity'],
  account: NonNullable<LinkingFacts['account']>,
  { link, authoritativeFor = [] }: LinkingFacts['provider'],
): boolean {
  if (link !== 'verified-email' || !isVerified(identity.emailVerified) || typeof account.emailVerifiedAt !== 'number')
    return false;
  const domain = domainOf(identity.email ?? '');
  return authoritativeFor.some((own) => own.toLowerCase() === domain);
}

/** All after the last `@`, since what stands before may contain one; nothing without an `@`. */
const domainOf = (email: string): string => /@([^@]*)$/.exec(email)?.[1]?.toLowerCase() ?? '';
