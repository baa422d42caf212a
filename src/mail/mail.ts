import type { Duration } from '../common/duration.js';

/**
 * One mailbox, as an object. Hand it on as it is: a mailer that is given text splits it at `,` and `;` and writes to
 * everybody.
 */
export interface Mailbox {
  /** The name to show. Empty: a name would be somebody's text in a mail of yours. */
  readonly name: string;
  readonly address: string;
}

/** A single-use token, of which the mail contains a link. */
export interface MailedToken {
  /** The token alone. It opens what the mail is about: it belongs into no log. */
  readonly token: string;
  /** How long the token can be used, in milliseconds. */
  readonly validFor: Duration;
}

/** A code to type. */
export interface MailedCode {
  /** It belongs into no log. */
  readonly code: string;
  /** How long the code can be used, in milliseconds. */
  readonly validFor: Duration;
}

/** A second factor, as its owner knows it. */
export interface MailedFactor {
  /** Its method, such as `totp`. The content of a text has what a person calls it, as `factorName`. */
  readonly factor: string;
  /** The name that its user gave it, if it has one. */
  readonly name?: string | undefined;
}

/**
 * The kinds of mail, and what each is about. Add your own by module augmentation, give each a text in `mail.texts` and,
 * if it has a `token`, a page in `mail.pages`, and send it with `Outbox.post`.
 *
 * @example
 * ```ts
 * declare module 'nestjs-latchkey' {
 *   interface MailFacts {
 *     invite: MailedToken & { team: string };
 *   }
 * }
 * ```
 */
export interface MailFacts {
  /** To an address for which somebody wants an account. The code is for typing it into the page that asked. */
  registration: MailedToken & { readonly code?: string };
  /** To the owner of an account for whose address somebody wants another one. */
  already_registered: Record<never, never>;
  /** To the owner who has forgotten the password. */
  password_reset: MailedToken;
  /** The same for an account that has no password: it says how to log in instead. */
  no_password: Record<never, never>;
  /** The password was changed or reset. */
  password_changed: Record<never, never>;
  /**
   * Too many wrong passwords in a row: the password opens the account no longer, or, while `exceptKnownPlaces`, only on
   * the devices and at the addresses from which the account was logged in to before.
   */
  password_disabled: { readonly exceptKnownPlaces: boolean };
  /** To the new address, which takes effect only once its owner has confirmed it. */
  email_change: MailedToken;
  /** To the old address once the new one has taken effect. The link takes the change back. */
  email_changed: MailedToken;
  /** The change of address was taken back. */
  email_reverted: Record<never, never>;
  /** The account was deleted. */
  account_deleted: Record<never, never>;
  /** A link that logs in. The code is for typing it into the browser that asked. */
  magic_link: MailedToken & { readonly code?: string };
  /** The mailed step of a login. */
  login_code: MailedCode;
  /** Proof that the mailbox is the user's, before codes are sent to it. */
  email_code_setup: MailedCode;
  /** The account has another way to prove who it is. */
  factor_added: MailedFactor;
  /** The same of the first one, which the account had none before: the link takes that back, and whatever came since. */
  first_factor_added: MailedToken & MailedFactor;
  /** It has one less. */
  factor_removed: MailedFactor;
  /** It was answered wrongly so many times in a row that it no longer works. */
  factor_disabled: MailedFactor;
  /** There are new backup codes, and the earlier ones are void. */
  backup_codes_replaced: Record<never, never>;
  /** An authenticator may have been copied. `name` is the one that its user gave it. */
  passkey_clone_suspected: { readonly name: string };
  /** Logging in by this provider now opens the account. */
  identity_linked: { readonly provider: string };
  /** It no longer does. */
  identity_unlinked: { readonly provider: string };
  /** There is a new API key of this name. */
  api_key_created: { readonly name: string };
  /** The API key of this name no longer works. */
  api_key_revoked: { readonly name: string };
}

export type MailKind = Extract<keyof MailFacts, string>;

/** The kinds of mail with a link. */
export type LinkedMailKind = { [Kind in MailKind]: MailFacts[Kind] extends MailedToken ? Kind : never }[MailKind];

/**
 * What a text is written from: the facts of the mail, its link if it has a token, what a person calls the factor that it is
 * about, such as `authenticator app` or `passkey "Laptop"` (`mail.factorNames`), and the site's name.
 */
export type MailContent<Kind extends MailKind = MailKind> = MailFacts[Kind] &
  (MailFacts[Kind] extends MailedToken ? { readonly link: string } : unknown) &
  (MailFacts[Kind] extends MailedFactor ? { readonly factorName: string } : unknown) & {
    /** `mail.site`. */
    readonly site: string;
  };

export interface MailText {
  /** One line. Line breaks and control characters in it become blanks. */
  readonly subject: string;
  readonly text: string;
  /** Escape in it what you did not write yourself. */
  readonly html?: string;
}

/** The texts of all kinds of mail. */
export type MailTexts = { [Kind in MailKind]: (content: MailContent<Kind>) => MailText };

/** A mail as the `Mailer` gets it: ready to send, and its facts for a mailer that has templates of its own. */
export type Mail<Kind extends MailKind = MailKind> = {
  [One in Kind]: MailContent<One> &
    MailText & {
      readonly kind: One;
      readonly to: Mailbox;
      /** Whose account it is about; `null` if there is none, or none yet. */
      readonly userId: string | null;
    };
}[Kind];

/** A mail to post. */
export type MailDraft<Kind extends MailKind = MailKind> = {
  [One in Kind]: {
    readonly kind: One;
    /** The one mailbox that it is for, from the account or checked by `checkedEmail`. */
    readonly to: string;
    /** Whose account it is about. Default: nobody's. */
    readonly userId?: string | null;
    readonly facts: MailFacts[One];
    /**
     * Takes back what the mail was to bring, once, if it was not sent: voids the token, so that nobody has to wait for
     * a mail that does not come, and gives back the quota.
     */
    readonly onUnsent?: () => Promise<unknown>;
    /**
     * Whether it is tried again, for hours, while the mailer fails: for what nobody can ask for a second time. Only then
     * is it unsent. Default false.
     */
    readonly retries?: boolean;
  };
}[Kind];
