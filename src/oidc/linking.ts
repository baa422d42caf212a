/** Why somebody goes to a provider: to log in, or to link what they have there to the account that they are logged in to. */
export type LinkingIntent = { readonly kind: 'login' } | { readonly kind: 'link'; readonly userId: string };

/** What is known when somebody comes back from a provider, whose answer has been verified. */
export interface LinkingFacts {
  readonly intent: LinkingIntent;
  /** The user to whom this issuer and subject are linked, or `null`. */
  readonly ownerId: string | null;
  /** The address as the provider says it, or `null`. */
  readonly email: string | null;
  /** The claim `email_verified` as the provider says it, whatever that is. */
  readonly emailVerified: unknown;
  /** The account that logs in with this address, or `null`. */
  readonly account: { readonly id: string; readonly isEmailVerified: boolean } | null;
}

/** What the host allows this provider. */
export interface LinkingRules {
  /** Whether somebody without an account gets one. */
  readonly signUp: boolean;
  /** When an account with the same address is linked: after its owner has logged in, or at once. */
  readonly link: 'after-login' | 'verified-email';
  /** The domains whose mailboxes this provider gives out itself, such as `gmail.com`: nobody else can have proved one. */
  readonly authoritativeFor: readonly string[];
}

/** What follows. Nothing but `login`, `link` and `link-and-log-in` touches an account that there is. */
export type LinkingDecision =
  | { readonly step: 'log-in'; readonly userId: string }
  /** The user of the session has it already. */
  | { readonly step: 'linked-before'; readonly userId: string }
  | { readonly step: 'link'; readonly userId: string }
  /** The account with this address, whose mailbox is proved on both sides by who gives it out. */
  | { readonly step: 'link-and-log-in'; readonly userId: string }
  /** A new account, whose address the provider has verified. */
  | { readonly step: 'sign-up'; readonly email: string }
  /** A new account after the mail that proves the address. */
  | { readonly step: 'prove-address'; readonly email: string }
  /** It is linked to another account. */
  | { readonly step: 'in-use' }
  /** There is an account with this address: its owner logs in, and then links it. */
  | { readonly step: 'account-exists' }
  | { readonly step: 'no-account' };

/** What is true of a claim `email_verified`: the boolean and nothing else, for a provider may say `"false"`. */
export function isVerified(claim: unknown): boolean {
  return claim === true;
}

/**
 * Whose account somebody enters who comes back from a provider. What identifies them is the pair of issuer and subject
 * (OpenID Connect Core 1.0, section 5.7; OWASP ASVS 10.5.2): an address or a name decides nothing about an account that
 * there is, except where the host has asked for it and the provider gives the mailbox out itself.
 *
 * @example
 * ```ts
 * const { step } = linkingOf({ intent: { kind: 'login' }, ownerId: null, email, emailVerified: true, account }, rules);
 * ```
 */
export function linkingOf(facts: LinkingFacts, rules: LinkingRules): LinkingDecision {
  const { intent, ownerId, email, account } = facts;
  if (intent.kind === 'link') {
    if (ownerId === null) return { step: 'link', userId: intent.userId };
    return ownerId === intent.userId ? { step: 'linked-before', userId: ownerId } : { step: 'in-use' };
  }
  if (ownerId !== null) return { step: 'log-in', userId: ownerId };
  if (account !== null) {
    return isProvedByBoth(facts, rules) ? { step: 'link-and-log-in', userId: account.id } : { step: 'account-exists' };
  }
  if (!rules.signUp || email === null) return { step: 'no-account' };
  return isVerified(facts.emailVerified) ? { step: 'sign-up', email } : { step: 'prove-address', email };
}

/** Whether the provider speaks for the mailbox, and the account has proved it too: else a stranger may have made it. */
function isProvedByBoth({ email, emailVerified, account }: LinkingFacts, rules: LinkingRules): boolean {
  if (rules.link !== 'verified-email' || !isVerified(emailVerified) || account?.isEmailVerified !== true) return false;
  return email !== null && rules.authoritativeFor.some((domain) => domain.toLowerCase() === domainOf(email));
}

/** All after the last `@`, since what stands before may contain one; nothing without an `@`. */
const domainOf = (email: string): string => /@([^@]*)$/.exec(email)?.[1]?.toLowerCase() ?? '';
