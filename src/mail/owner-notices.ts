import { Injectable, Optional } from '@nestjs/common';
import type { MailDraft, MailFacts, MailKind } from './mail.js';
import { Outbox } from './outbox.js';

/** The kinds of mail that tell an owner what has happened to the account, without a link. */
export type NoticeKind = {
  [Kind in MailKind]: MailFacts[Kind] extends { readonly token: string } | { readonly code: string } ? never : Kind;
}[MailKind];

/**
 * Tells owners by mail what has happened to their accounts, so that they hear of what somebody else did (OWASP ASVS
 * 6.3.7). After the answer, and within an `AuthTransaction` after its commit. Without a `mailer` it does nothing.
 */
@Injectable()
export class OwnerNotices {
  constructor(@Optional() private readonly outbox?: Outbox) {}

  /** `owner.email` is where it goes: pass the old address if that is what has changed. Never throws. */
  tell<Kind extends NoticeKind>(
    owner: { readonly id: string; readonly email: string },
    kind: Kind,
    facts: MailFacts[Kind],
  ): void {
    this.outbox?.post({ kind, to: owner.email, userId: owner.id, facts } as MailDraft);
  }
}
