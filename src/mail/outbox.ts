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
import { FAILURE_REASONS, MailDeadline, reasonOf } from './mail-deadline.js';
import { MailRetries, type Tried } from './mail-retries.js';
import { Mailer } from './mailer.js';

/** A mail, or the work that finds out whether there is one to send. */
export type Posted = MailDraft | (() => Promise<MailDraft | null>);

export interface OutboxState {
  /** Mails that wait for their turn. */
  readonly waiting: number;
  /** Mails that have failed, and wait for their next try. */
  readonly retrying: number;
  /** Mails that are being sent. */
  readonly sending: number;
  /** The mailer has failed or timed out three times in a row. */
  readonly failing: boolean;
}

const FAILING_AFTER = 3;

const TRIED_AGAIN: ReadonlySet<MailFailureReason> = new Set(['refused', 'timeout', 'queue_full']);

/** In the context (`AsyncLocalStorage`) of whoever posted it, not of the request that made room for it. */
interface Waiting extends Tried {
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
 *   `mail.failed`. It is not tried again: what it brought is void, and the user asks again. One with `retries`, which
 *   nobody can ask for again, is tried five more times within seven hours, as long as its link works, and is unsent after
 *   the last.
 * - A shutdown sends what is waiting, also for its next try, for `mail.shutdownTimeout`; then it gives up the rest. A process
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
  private closed = false;
  private failures = 0;
  private draining = false;
  private readonly retries: MailRetries<Waiting>;
  private readonly deadline: MailDeadline;
  /** A shutdown waits for it as long again. */
  private readonly takingBack: MailDeadline;
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
    this.retries = new MailRetries(clock, mail!.queue, () => this.retryDue());
    this.deadline = new MailDeadline(mail!.timeout);
    this.takingBack = new MailDeadline(mail!.timeout);
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
      const postedAt = this.clock.now();
      this.enqueue({ posted: mail, run: AsyncLocalStorage.snapshot(), failures: 0, postedAt });
    });
  }

  get state(): OutboxState {
    return {
      waiting: this.#waiting.length,
      retrying: this.retries.size,
      sending: this.#sending.size,
      failing: this.failures >= FAILING_AFTER,
    };
  }

  /** Resolves when every mail posted so far has been sent or given up, or waits for a try that is not due yet. */
  async idle(): Promise<void> {
    this.retryDue();
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
    this.draining = true;
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
    for (const one of this.#waiting.splice(0)) one.run(() => this.drop(one, 'shutdown'));
    this.deadline.giveUpAll('shutdown');
  }

  private enqueue(one: Waiting): void {
    const { posted } = one;
    if (this.closed) return this.drop(one, 'shutdown');
    if (this.#waiting.length >= this.settings.queue + this.free) {
      // A finished mail is a notice to an owner; work that finds out whether there is one may come from anybody.
      const isNotice = typeof posted !== 'function';
      const at = isNotice ? this.#waiting.findLastIndex((other) => typeof other.posted === 'function') : -1;
      const [displaced] = at < 0 ? [] : this.#waiting.splice(at, 1);
      if (!displaced) return this.drop(one, 'queue_full');
      displaced.run(() => this.drop(displaced, 'queue_full'));
    }
    this.#waiting.push(one);
    // Not within the request's turn, whatever the mailer does before it waits.
    setImmediate(() => this.sendNext());
  }

  private get free(): number {
    return Math.max(0, this.settings.concurrency - this.#sending.size);
  }

  private sendNext(): void {
    while (this.free > 0 && this.#waiting.length > 0) {
      const one = this.#waiting.shift()!;
      this.track(one.run(() => this.deliver(one)));
    }
  }

  private tryAgain(one: Waiting, draft: MailDraft, reason: MailFailureReason): boolean {
    const isMeant = draft.retries === true && TRIED_AGAIN.has(reason) && !this.draining;
    return isMeant && this.retries.add({ ...one, posted: draft }, draft);
  }

  /** All of them when there will be no later. */
  private retryDue(): void {
    for (const one of this.retries.takeDue({ all: this.draining })) this.enqueue(one);
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

  private async deliver(one: Waiting): Promise<void> {
    const { posted } = one;
    let draft: MailDraft | null;
    try {
      draft = typeof posted === 'function' ? await this.prepared(posted) : posted;
    } catch (error) {
      return this.failed(one, null, reasonOf(error, 'fault'), error);
    }
    if (draft) await this.send(one, draft);
  }

  /** A draft that comes too late is taken back: nobody will send it. */
  private prepared(prepare: () => Promise<MailDraft | null>): Promise<MailDraft | null> {
    const preparing = prepare();
    return this.deadline.within(preparing, () => {
      preparing.then(
        (late) => late?.onUnsent && this.track(this.takeBack(late)),
        (error: unknown) => this.log('', 'fault', error),
      );
    });
  }

  private async send(one: Waiting, draft: MailDraft): Promise<void> {
    let mail: Mail | null;
    try {
      const missing = missingSetting(draft, this.settings);
      if (missing !== null) {
        this.logger.error(missing);
        return this.failed(one, draft, 'fault');
      }
      mail = composeMail(draft, this.baseUrl, this.settings);
    } catch (error) {
      return this.failed(one, draft, 'fault', error);
    }
    if (!mail) return this.failed(one, draft, 'address');
    const giveUp = new AbortController();
    try {
      const sending = this.mailer.send(mail, giveUp.signal);
      await this.deadline.within(sending, (reason) => {
        giveUp.abort(reason);
        // It may still be sent, or fail, and nobody asks any more.
        sending.catch(() => {});
      });
    } catch (error) {
      this.failures++;
      return this.failed(one, draft, reasonOf(error, 'refused'), error);
    }
    this.failures = 0;
    const { kind, userId = null } = draft;
    this.events.emit({ type: 'mail.sent', at: this.clock.now(), kind, userId });
  }

  private drop(one: Waiting, reason: MailFailureReason): void {
    this.track(this.failed(one, typeof one.posted === 'function' ? null : one.posted, reason));
  }

  private async failed(
    one: Waiting,
    draft: MailDraft | null,
    reason: MailFailureReason,
    error?: unknown,
  ): Promise<void> {
    const { kind = null, userId = null } = draft ?? {};
    const isTriedAgain = draft !== null && this.tryAgain(one, draft, reason);
    this.log(kind ?? '', reason, error, isTriedAgain ? ' It is tried again.' : '');
    if (isTriedAgain) return;
    if (draft) await this.takeBack(draft);
    this.events.emit({ type: 'mail.failed', at: this.clock.now(), kind, userId, reason });
  }

  /** In time, since those that hang would occupy every place. */
  private async takeBack({ kind, onUnsent }: MailDraft): Promise<void> {
    try {
      if (onUnsent) await this.takingBack.within(onUnsent(), () => {});
    } catch (error) {
      this.log(kind, 'fault', error);
    }
  }

  /** Without the error's message, which comes from the mailer and may contain the mail. */
  private log(kind: string, reason: MailFailureReason, error?: unknown, then = ''): void {
    const { name, code } = Object(error ?? {}) as { name?: unknown; code?: unknown };
    const cause = [name, code].filter((word) => typeof word === 'string' && /^\w{1,40}$/.test(word)).join(' ');
    const what = kind === '' ? 'A mail' : `A mail of kind ${kind}`;
    this.logger.warn(`${what} was not sent: ${FAILURE_REASONS[reason]}${cause && ` (${cause})`}.${then}`);
  }
}
