import type { MailFailureReason } from '../events/auth-event.js';

/** What each reason says in the log. */
export const FAILURE_REASONS: Readonly<Record<MailFailureReason, string>> = {
  refused: 'the mailer failed',
  timeout: 'it took longer than mail.timeout',
  queue_full: 'mail.queue is full',
  shutdown: 'the process is being shut down',
  address: 'the account has no address that is exactly one mailbox',
  fault: 'preparing it, or taking back what it was to bring, failed',
};

/** Work for a mail that was not waited for any longer. */
export class GivenUp extends Error {
  override readonly name = 'GivenUp';

  constructor(readonly reason: MailFailureReason) {
    super(`The mail was given up: ${FAILURE_REASONS[reason]}.`);
  }
}

/** The reason for which work was given up, or `otherwise` if it has failed itself. */
export function reasonOf(error: unknown, otherwise: MailFailureReason): MailFailureReason {
  return error instanceof GivenUp ? error.reason : otherwise;
}

/** Waits for the work of mails, each for so many ms at the most. */
export class MailDeadline {
  private readonly givingUp = new Set<(reason: MailFailureReason) => void>();

  constructor(private readonly timeout: number) {}

  /**
   * What `work` resolves with.
   *
   * @throws {GivenUp} if it takes too long, or `giveUpAll` comes first; `onGivenUp` has been called then.
   * @throws whatever `work` throws.
   */
  async within<T>(work: Promise<T>, onGivenUp: (error: GivenUp) => void): Promise<T> {
    let giveUp: (reason: MailFailureReason) => void;
    const late = new Promise<never>((_, reject) => {
      giveUp = (reason) => {
        const error = new GivenUp(reason);
        onGivenUp(error);
        reject(error);
      };
    });
    const timer = setTimeout(() => giveUp('timeout'), this.timeout);
    this.givingUp.add(giveUp!);
    try {
      return await Promise.race([work, late]);
    } finally {
      clearTimeout(timer);
      this.givingUp.delete(giveUp!);
    }
  }

  /** Nothing of what is waited for now is waited for any longer. */
  giveUpAll(reason: MailFailureReason): void {
    for (const giveUp of this.givingUp) giveUp(reason);
  }
}
