import { availableParallelism } from 'node:os';
import { isRecord, type OptionChecker } from './option-checker.js';

/** The cost of one argon2id hash. */
export interface Argon2Parameters {
  /** Memory in KiB. */
  readonly memoryCost: number;
  /** Passes. */
  readonly timeCost: number;
  /** Lanes. */
  readonly parallelism: number;
}

const MAX_PREVIOUS = 8;

/** How passwords are hashed (argon2id), and how many at once. Read by the default user directory. */
export class PasswordSettings {
  /** Memory per hash in KiB. Default 19456 (19 MiB, OWASP password storage cheat sheet). */
  memoryCost: number = 19_456;

  /** Passes. Default 2 (OWASP). */
  timeCost: number = 2;

  /** Lanes. Default 1 (OWASP). */
  parallelism: number = 1;

  /**
   * Parameters of existing hashes, because they were changed or came from another system: a login without an account
   * costs as much as one of these or the current ones, so that its duration does not reveal that there is no account.
   * Default none; at most 8. Remove a set once no account has it any more.
   */
  previous: readonly Argon2Parameters[] = [];

  /**
   * How many hashes run at once. Default: one less than the number of cores, so that a flood of logins leaves a core
   * for everything else.
   */
  concurrency: number = Math.max(1, availableParallelism() - 1);

  /** How many more may wait; the next is answered 503 at once. Default 128. */
  queue: number = 128;

  /**
   * Wrong passwords of one account in a row, however long that takes, until its password is disabled and a new one has
   * to be set; other ways to log in go on. A tenth of them is kept for the devices and addresses from which the account
   * was logged in to before, so that strangers do not lock its owner out there. Default 100, the most that NIST SP
   * 800-63B 3.2.2 allows.
   */
  maxFailures: number = 100;
}

export function checkPassword(check: OptionChecker, written: Partial<PasswordSettings> | undefined): PasswordSettings {
  const password = check.settings('password', new PasswordSettings(), written);
  checkParameters(check, 'password', password);
  const { previous } = password;
  check.that(
    Array.isArray(previous) && previous.length <= MAX_PREVIOUS,
    `password.previous must be a list of at most ${MAX_PREVIOUS} such as [{ memoryCost: 65536, timeCost: 3, parallelism: 4 }].`,
  );
  for (const [i, set] of (Array.isArray(previous) ? (previous as unknown[]) : []).entries()) {
    const name = `password.previous[${i}]`;
    check.keys(`${name}.`, set, ['memoryCost', 'timeCost', 'parallelism']);
    if (isRecord(set)) checkParameters(check, name, set as unknown as Argon2Parameters);
  }
  check.integer('password.concurrency', password.concurrency, 1, 1_024);
  check.integer('password.queue', password.queue, 0, 1_000_000);
  check.integer('password.maxFailures', password.maxFailures, 10, 100);
  return password;
}

function checkParameters(
  check: OptionChecker,
  name: string,
  { memoryCost, timeCost, parallelism }: Argon2Parameters,
): void {
  // argon2 needs 8 KiB for each lane (RFC 9106 section 3.1).
  const lanes = Number.isInteger(parallelism) ? Math.max(1, parallelism) : 1;
  check.integer(`${name}.memoryCost`, memoryCost, 8 * lanes, 4_194_304);
  check.integer(`${name}.timeCost`, timeCost, 1, 1_000);
  check.integer(`${name}.parallelism`, parallelism, 1, 255);
}
