import { AsyncLocalStorage } from 'node:async_hooks';
import { Injectable, type BeforeApplicationShutdown, type OnApplicationShutdown } from '@nestjs/common';
import { Clock } from '../common/clock.js';
import { SampledLogger } from '../common/sampled-logger.js';
import { AuthConfig } from '../config/auth-config.js';
import type { MailSettings } from '../config/mail-settings.js';
import type { MailFailureReason } from '../events/auth-event.js';
import { AuthEvents } from '../events/auth-events.js';
import { PreparedStatements } from '../postgres/prepared-statements.js';
import { composeMail, missingSetting } from './compose-mail.js';
import type { Mail, MailDraft } from './mail.js';
import { Mailer } from './mailer.js';

/** A mail, or the work that finds out whether there is one to send. */
export type Posted = MailDraft | (() => Promise<MailDraft | null>);

export interface OutboxState {
  /** Mails that wait for their turn. */
  readonly waiting: number;
  /** Mails that are being sent. */
  readonly sending: number;
  /** The mailer has failed or timed out three times in a row. */
  readonly failing: boolean;
}

const FAILING_AFTER = 3;

/** In the context (`AsyncLocalStorage`) of whoever posted it, not of the request that made room for it. */
interface Waiting {
  readonly posted: Posted;
  readonly run: <T>(work: () => T) => T;
}

/**
 * Sends mail after the answer, so that neither its speed nor its failure tells whether there was one to send (OWASP ASVS
 * 6.3.8).
 *
 * - At most `mail.concurrency` are sent at once and `mail.queue` wait; further ones are dropped. A finished mail, which is
 *   a notice, takes the place of work that waits: a flood of requests keeps no owner from hearing what has happened.
 * - A mail that is not sent (dropped, refused, or not taken within `mail.timeout`) calls its `onUnsent`, once, and emits
 *   `mail.failed`. It is not tried again: what it brought is void, and the user asks again.
 * - A shutdown sends what is waiting, for `mail.shutdownTimeout`; then it gives up the rest in the same way. A process
 *   that is killed loses its mails, and their tokens expire.
 *
 * Mails of one account may arrive in another order than they were posted in.
 *
 * @example
 * ```ts
 * outbox.post(async () => {
 *   const user = await accounts.findByLogin(email); // after the answer: it takes as long for every address
 *   if (!user) return null;
 *   const token = await tokens.issue('password_reset', { username: user.email });
 *   const onUnsent = () => tokens.consume('password_reset', token);
 *   return { kind: 'password_reset', to: user.email, facts: { token, validFor: hours(1) }, onUnsent };
 * });
 * ```
 */
@Injectable()
export class Outbox implements BeforeApplicationShutdown, OnApplicationShutdown {
  private readonly logger = new SampledLogger();
  // Not shown by an inspection of the application: their tokens are secrets.
  readonly #waiting: Waiting[] = [];
  readonly #sending = new Set<Promise<void>>();
  readonly #givingUp = new Set<(reason: MailFailureReason) => void>();
  private closed = false;
  private failures = 0;
  private readonly baseUrl: string;
  private readonly settings: Readonly<MailSettings>;

  constructor(
    private readonly mailer: Mailer,
    private readonly statements: PreparedStatements,
    private readonly events: AuthEvents,
    private readonly clock: Clock,
    { baseUrl, mail }: AuthConfig,
  ) {
    this.baseUrl = baseUrl!;
    this.settings = mail!;
  }

  /**
   * Takes the mail and returns at once. Work that only a mail needs, such as looking up the account and issuing the
   * token, belongs into a function: it runs after the answer too. Within an `AuthTransaction` both wait for the commit;
   * after a rollback it is as if nothing had been posted. Never throws.
   */
  post(mail: Posted): void {
    this.statements.afterTransaction((outcome) => {
      if (outcome === 'undone') return;
      // Better one notice too many, if it is not known how the transaction ended.
      this.enqueue(mail);
    });
  }

  get state(): OutboxState {
    return {
      waiting: this.#waiting.length,
      sending: this.#sending.size,
      failing: this.failures >= FAILING_AFTER,
    };
  }

  /** Resolves when every mail posted so far has been sent or given up. */
  async idle(): Promise<void> {
    this.sendNext();
    while (this.#sending.size > 0) await Promise.all(this.#sending);
  }

  beforeApplicationShutdown(): Promise<void> {
    return this.drain();
  }

  /** The mails of the last requests, unless the DataSource is closed already; then they are lost. */
  async onApplicationShutdown(): Promise<void> {
    await this.drain();
    this.closed = true;
  }

  /** Sends for `mail.shutdownTimeout`, and takes back the rest within as long again. */
  private async drain(): Promise<void> {
    const { shutdownTimeout } = this.settings;
    const timers: NodeJS.Timeout[] = [];
    const over = new Promise<void>((resolve) => {
      timers.push(
        setTimeout(() => this.giveUp(), shutdownTimeout),
        setTimeout(resolve, 2 * shutdownTimeout),
      );
    });
    await Promise.race([this.idle(), over]);
    for (const timer of timers) clearTimeout(timer);
  }

  private giveUp(): void {
    this.closed = true;
    for (const { posted, run } of this.#waiting.splice(0)) run(() => this.drop(posted, 'shutdown'));
    for (const giveUp of this.#givingUp) giveUp('shutdown');
  }

  private enqueue(posted: Posted): void {
    if (this.closed) return this.drop(posted, 'shutdown');
    if (this.#waiting.length >= this.settings.queue + this.free) {
      // A finished mail is a notice to an owner; work that finds out whether there is one may come from anybody.
      const isNotice = typeof posted !== 'function';
      const at = isNotice ? this.#waiting.findLastIndex((one) => typeof one.posted === 'function') : -1;
      const [displaced] = at < 0 ? [] : this.#waiting.splice(at, 1);
      if (!displaced) return this.drop(posted, 'queue_full');
      displaced.run(() => this.drop(displaced.posted, 'queue_full'));
    }
    this.#waiting.push({ posted, run: AsyncLocalStorage.snapshot() });
    // Not within the request's turn, whatever the mailer does before it waits.
    setImmediate(() => this.sendNext());
  }

  private get free(): number {
    return Math.max(0, this.settings.concurrency - this.#sending.size);
  }

  private sendNext(): void {
    while (this.free > 0 && this.#waiting.length > 0) {
      const { posted, run } = this.#waiting.shift()!;
      this.track(run(() => this.deliver(posted)));
    }
  }

  private track(work: Promise<void>): void {
    const done = work
      .catch((error: unknown) => this.log('', 'fault', error))
      .finally(() => {
        this.#sending.delete(done);
        this.sendNext();
      });
    this.#sending.add(done);
  }

  private async deliver(posted: Posted): Promise<void> {
    let draft: MailDraft | null;
    try {
      draft = typeof posted === 'function' ? await this.prepared(posted) : posted;
    } catch (error) {
      return this.failed(null, reasonOf(error, 'fault'), error);
    }
    if (draft) await this.send(draft);
  }

  /** A draft that comes too late is taken back: nobody will send it. */
  private prepared(prepare: () => Promise<MailDraft | null>): Promise<MailDraft | null> {
    const preparing = prepare();
    return this.within(preparing, () => {
      preparing.then(
        (late) => late?.onUnsent && this.track(this.takeBack(late)),
        (error: unknown) => this.log('', 'fault', error),
      );
    });
  }

  private async send(draft: MailDraft): Promise<void> {
    let mail: Mail | null;
    try {
      const missing = missingSetting(draft, this.settings);
      if (missing !== null) {
        this.logger.error(missing);
        return this.failed(draft, 'fault');
      }
      mail = composeMail(draft, this.baseUrl, this.settings);
    } catch (error) {
      return this.failed(draft, 'fault', error);
    }
    if (!mail) return this.failed(draft, 'address');
    const giveUp = new AbortController();
    try {
      const sending = this.mailer.send(mail, giveUp.signal);
      await this.within(sending, (reason) => {
        giveUp.abort(reason);
        // It may still be sent, or fail, and nobody asks any more.
        sending.catch(() => {});
      });
    } catch (error) {
      this.failures++;
      return this.failed(draft, reasonOf(error, 'refused'), error);
    }
    this.failures = 0;
    const { kind, userId = null } = draft;
    this.events.emit({ type: 'mail.sent', at: this.clock.now(), kind, userId });
  }

  /** Not longer than `mail.timeout` or the shutdown. */
  private async within<T>(work: Promise<T>, onGivenUp: (error: GivenUp) => void): Promise<T> {
    let giveUp: (reason: MailFailureReason) => void;
    const late = new Promise<never>((_, reject) => {
      giveUp = (reason) => {
        const error = new GivenUp(reason);
        onGivenUp(error);
        reject(error);
      };
    });
    const timer = setTimeout(() => giveUp('timeout'), this.settings.timeout);
    this.#givingUp.add(giveUp!);
    try {
      return await Promise.race([work, late]);
    } finally {
      clearTimeout(timer);
      this.#givingUp.delete(giveUp!);
    }
  }

  private drop(posted: Posted, reason: MailFailureReason): void {
    this.track(this.failed(typeof posted === 'function' ? null : posted, reason));
  }

  private async failed(draft: MailDraft | null, reason: MailFailureReason, error?: unknown): Promise<void> {
    const { kind = null, userId = null } = draft ?? {};
    this.log(kind ?? '', reason, error);
    if (draft) await this.takeBack(draft);
    this.events.emit({ type: 'mail.failed', at: this.clock.now(), kind, userId, reason });
  }

  /** In time, since those that hang would occupy every place. */
  private async takeBack({ kind, onUnsent }: MailDraft): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new GivenUp('timeout')), this.settings.timeout);
    });
    try {
      await Promise.race([onUnsent?.(), late]);
    } catch (error) {
      this.log(kind, 'fault', error);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Without the error's message, which comes from the mailer and may contain the mail. */
  private log(kind: string, reason: MailFailureReason, error?: unknown): void {
    const { name, code } = Object(error ?? {}) as { name?: unknown; code?: unknown };
    const cause = [name, code].filter((word) => typeof word === 'string' && /^\w{1,40}$/.test(word)).join(' ');
    const what = kind === '' ? 'A mail' : `A mail of kind ${kind}`;
    this.logger.warn(`${what} was not sent: ${REASONS[reason]}${cause && ` (${cause})`}.`);
  }
}

const REASONS: Record<MailFailureReason, string> = {
  refused: 'the mailer failed',
  timeout: 'it took longer than mail.timeout',
  queue_full: 'mail.queue is full',
  shutdown: 'the process is being shut down',
  address: 'the account has no address that is exactly one mailbox',
  fault: 'preparing it, or taking back what it was to bring, failed',
};

class GivenUp extends Error {
  override readonly name = 'GivenUp';

  constructor(readonly reason: MailFailureReason) {
    super(`The mail was given up: ${REASONS[reason]}.`);
  }
}

function reasonOf(error: unknown, otherwise: MailFailureReason): MailFailureReason {
  return error instanceof GivenUp ? error.reason : otherwise;
}
