import type { Clock } from '../common/clock.js';
import { hours, minutes, seconds, type Duration } from '../common/duration.js';
import type { MailDraft } from './mail.js';

/** How long after each failure a mail is tried again; after that many it is given up. */
const RETRY_AFTER: readonly Duration[] = [seconds(10), minutes(1), minutes(10), hours(1), hours(6)];
/** A clock that a test moves is looked at as often. */
const LONGEST_TIMER = minutes(1);

/** What a mail has behind it. */
export interface Tried {
  /** How often it has failed. */
  readonly failures: number;
  /** Epoch ms: when it was posted. */
  readonly postedAt: number;
}

/** The mails that have failed and wait for their next try, at most `capacity` at once. */
export class MailRetries<One extends Tried> {
  // Not shown by an inspection of the application: their tokens are secrets.
  #retries: { readonly one: One; readonly at: number }[] = [];
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly clock: Clock,
    private readonly capacity: number,
    /** Called when the next try of one is due; it then asks for `takeDue`. */
    private readonly onDue: () => void,
  ) {}

  get size(): number {
    return this.#retries.length;
  }

  /** Puts it off, with its failure counted; false if there is no next try in time, or no room for it. */
  add(one: One, { facts }: MailDraft): boolean {
    const after = RETRY_AFTER[one.failures];
    if (after === undefined || this.#retries.length >= this.capacity) return false;
    const at = this.clock.now() + after;
    // What it brings would be void by then.
    if ('validFor' in facts && at >= one.postedAt + facts.validFor) return false;
    this.#retries.push({ one: { ...one, failures: one.failures + 1 }, at });
    this.awaitNext();
    return true;
  }

  /** Takes out those whose time has come, or `all`. */
  takeDue({ all = false } = {}): One[] {
    const now = this.clock.now();
    const due = this.#retries.filter(({ at }) => all || now >= at);
    this.#retries = this.#retries.filter((retry) => !due.includes(retry));
    this.awaitNext();
    return due.map(({ one }) => one);
  }

  private awaitNext(): void {
    clearTimeout(this.timer);
    if (this.#retries.length === 0) return;
    const next = Math.min(...this.#retries.map(({ at }) => at)) - this.clock.now();
    this.timer = setTimeout(() => this.onDue(), Math.min(Math.max(next, 1), LONGEST_TIMER));
    this.timer.unref();
  }
}
