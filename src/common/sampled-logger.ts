import { Logger } from '@nestjs/common';
import { LRUCache } from 'lru-cache';
import { minutes, type Duration } from './duration.js';

const INTERVAL: Duration = minutes(1);
const MAX_MESSAGES = 100;

/**
 * For messages that any client can cause: each is logged at most once a minute, with the number of times it was left
 * out.
 */
export class SampledLogger {
  private readonly logger = new Logger('Auth');
  private readonly logged = new LRUCache<string, { readonly until: number; omitted: number }>({ max: MAX_MESSAGES });

  constructor(private readonly now: () => number = () => performance.now()) {}

  warn(message: string): void {
    const due = this.due(message);
    if (due !== null) this.logger.warn(due);
  }

  error(message: string): void {
    const due = this.due(message);
    if (due !== null) this.logger.error(due);
  }

  private due(message: string): string | null {
    const known = this.logged.get(message);
    const now = this.now();
    if (known && now < known.until) {
      known.omitted++;
      return null;
    }
    this.logged.set(message, { until: now + INTERVAL, omitted: 0 });
    return known?.omitted ? `${message} (and ${known.omitted} times more since it was last logged)` : message;
  }
}
