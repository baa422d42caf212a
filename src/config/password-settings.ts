import { availableParallelism } from 'node:os';
import type { OptionChecker } from './option-checker.js';

/** How passwords are hashed (argon2id), and how many at once. Read by the default user directory. */
export class PasswordSettings {
  /** Memory per hash in KiB. Default 19456 (19 MiB, OWASP password storage cheat sheet). */
  memoryCost: number = 19_456;

  /** Passes. Default 2 (OWASP). */
  timeCost: number = 2;

  /** Lanes. Default 1 (OWASP). */
  parallelism: number = 1;

  /**
   * How many hashes run at once. Default: one less than the number of cores, so that a flood of logins leaves a core
   * for everything else.
   */
  concurrency: number = Math.max(1, availableParallelism() - 1);

  /** How many more may wait; the next is answered 503 at once. Default 128. */
  queue: number = 128;
}

export function checkPassword(check: OptionChecker, written: Partial<PasswordSettings> | undefined): PasswordSettings {
  const password = check.settings('password', new PasswordSettings(), written);
  const { parallelism } = password;
  // argon2 needs 8 KiB for each lane (RFC 9106 section 3.1).
  const lanes = Number.isInteger(parallelism) ? Math.max(1, parallelism) : 1;
  check.integer('password.memoryCost', password.memoryCost, 8 * lanes, 4_194_304);
  check.integer('password.timeCost', password.timeCost, 1, 1_000);
  check.integer('password.parallelism', parallelism, 1, 255);
  check.integer('password.concurrency', password.concurrency, 1, 1_024);
  check.integer('password.queue', password.queue, 0, 1_000_000);
  return password;
}
