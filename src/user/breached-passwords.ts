import { createHash } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { AuthError } from '../auth.errors.js';
import { Clock } from '../common/clock.js';
import { SampledLogger } from '../common/sampled-logger.js';
import { AuthConfig } from '../config/auth-config.js';
import type { BreachCheckSettings } from '../config/password-settings.js';
import type { BreachCheckFault } from '../events/auth-event.js';
import { AuthEvents } from '../events/auth-events.js';
import { canonicalPassword } from './password-hasher.js';

const PREFIX_LENGTH = 5;
/** The rest of the digest, and in how many breaches it was: 0 for a line that only hides how long the answer is. */
const LINE = /^([0-9A-F]{35}):(\d+)$/i;
/** Some ten times as much as a padded answer. */
const MAX_ANSWER = 1_000_000;

/**
 * Asks a service that knows leaked passwords, such as Have I Been Pwned, without telling it the password (k-anonymity):
 * it gets the first 5 hex digits of its SHA-1 and returns all digests that begin so.
 */
@Injectable()
export class BreachedPasswords {
  private readonly logger = new SampledLogger();

  constructor(
    private readonly config: AuthConfig,
    private readonly clock: Clock,
    private readonly events: AuthEvents,
  ) {}

  /**
   * Whether the password has leaked; false without `password.breachCheck`. If the service does not answer, or not in its
   * format, `breach_check.failed` is emitted and `onFault` decides.
   *
   * @throws {AuthError} `STORE_UNAVAILABLE` if it does not answer and `onFault` is `refuse`.
   */
  async has(password: string): Promise<boolean> {
    const { breachCheck } = this.config.password;
    if (!breachCheck) return false;
    const digest = createHash('sha1').update(canonicalPassword(password)).digest('hex').toUpperCase();
    try {
      const answer = await rangeOf(digest.slice(0, PREFIX_LENGTH), breachCheck);
      return isIn(answer, digest.slice(PREFIX_LENGTH));
    } catch (error) {
      return this.cannotTell(error, breachCheck);
    }
  }

  private cannotTell(error: unknown, { onFault }: BreachCheckSettings): false {
    const reason = error instanceof BreachFault ? error.reason : 'unreachable';
    this.events.emit({ type: 'breach_check.failed', at: this.clock.now(), reason });
    const fault = `password.breachCheck failed (${reason})`;
    if (onFault === 'refuse') {
      const message = `${fault}, so no new password is accepted: onFault 'accept' takes them without this check.`;
      throw new AuthError('STORE_UNAVAILABLE', message, { part: 'password.breachCheck' }, { cause: error });
    }
    this.logger.warn(`${fault}: new passwords are accepted without it.`);
    return false;
  }
}

class BreachFault extends Error {
  constructor(readonly reason: BreachCheckFault) {
    super(`The service for leaked passwords: ${reason}.`);
  }
}

async function rangeOf(prefix: string, { fetch, url, timeout }: BreachCheckSettings): Promise<string> {
  const stopping = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new BreachFault('timeout'));
      stopping.abort();
    }, timeout);
  });
  const ask = async () => {
    const headers = { 'Add-Padding': 'true', 'User-Agent': 'nestjs-latchkey' };
    const answer = await fetch(`${url}${prefix}`, { headers, signal: stopping.signal });
    if (answer.status !== 200) throw new BreachFault('status');
    return answer.text();
  };
  // A fetch function that does not heed the signal delays nobody either.
  return Promise.race([ask(), late]).finally(() => clearTimeout(timer));
}

/** What is not in the format may be a login page of the network, which says nothing about the password. */
function isIn(answer: string, suffix: string): boolean {
  if (typeof answer !== 'string' || answer.length > MAX_ANSWER) throw new BreachFault('malformed');
  let isKnown = false;
  let isEmpty = true;
  for (const line of answer.split('\n')) {
    const text = line.trim();
    if (text === '') continue;
    const [, digest, count] = LINE.exec(text) ?? [];
    if (digest === undefined) throw new BreachFault('malformed');
    isEmpty = false;
    if (digest.toUpperCase() === suffix && Number(count) > 0) isKnown = true;
  }
  // Every prefix has some, and padding.
  if (isEmpty) throw new BreachFault('malformed');
  return isKnown;
}
