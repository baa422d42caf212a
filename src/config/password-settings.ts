import { availableParallelism } from 'node:os';
import { minutes, seconds, type Duration } from '../common/duration.js';
import { isRecord, type OptionChecker } from './option-checker.js';
import { isPlainHttp } from './trusted-origins.js';

/** The cost of one argon2id hash. */
export interface Argon2Parameters {
  /** Memory in KiB. */
  readonly memoryCost: number;
  /** Passes. */
  readonly timeCost: number;
  /** Lanes. */
  readonly parallelism: number;
}

/**
 * What a verifier says of a stored hash: right or wrong password, `malformed` for one of its kind that cannot be read,
 * `too-costly` for one whose parameters exceed the bounds, which was not computed.
 */
export type LegacyVerdict = 'right' | 'wrong' | 'malformed' | 'too-costly';

/**
 * Verifies the hashes of another system until the next login replaces them. Ready-made ones are `bcryptPasswords`,
 * `scryptPasswords` and `pbkdf2Passwords`; for hashes of your own implement it. It is called within the bounds of
 * `password.concurrency` and `password.queue`.
 *
 * @example
 * ```ts
 * const sha512Crypt: LegacyPasswords = {
 *   recognizes: (storedHash) => storedHash.startsWith('$6$'),
 *   verify: async (storedHash, password) => ((await isSha512Crypt(storedHash, password)) ? 'right' : 'wrong'),
 * };
 * ```
 */
export interface LegacyPasswords {
  /** Whether this stored value is a hash of this kind, by its prefix or form; malformed ones included. */
  recognizes(storedHash: string): boolean;

  /** Compares in constant time. The password is passed as it was typed: each system normalizes in its own way. */
  verify(storedHash: string, password: string): Promise<LegacyVerdict>;
}

/** Calls a service over HTTP: the global `fetch`, or yours, which may go through a proxy. */
export type BreachFetch = (
  url: string,
  init: { headers: Record<string, string>; signal: AbortSignal },
) => Promise<{ readonly status: number; text(): Promise<string> }>;

/** Whether a new password has leaked elsewhere (OWASP ASVS 6.2.12), asked of a service that is not told it. */
export class BreachCheckSettings {
  /** Default: the global `fetch`. */
  fetch: BreachFetch = globalThis.fetch;

  /**
   * The address of the ranges; 5 hex digits follow. Default: Have I Been Pwned. A mirror of your own keeps even those
   * from a third party.
   */
  url: string = 'https://api.pwnedpasswords.com/range/';

  /** How long the service may take. Default 2 s. */
  timeout: Duration = seconds(2);

  /**
   * What happens if the service does not answer or not in its format. Default `accept`: the password is taken without
   * this check, since the outage of a third party must not keep people from registering, and `breach_check.failed` and
   * the log say so. `refuse`: 503.
   */
  onFault: 'accept' | 'refuse' = 'accept';
}

const MAX_PREVIOUS = 8;
/** What libuv's pool has where `UV_THREADPOOL_SIZE` is not set. */
const LIBUV_THREADS = 4;
const MAX_CONTEXT_WORDS = 50;
const MAX_CONTEXT_WORD = 100;

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
   * Verifiers for the hashes of accounts that come from another system. A login with the right password replaces such a
   * hash with ours. Until then its own cost shows in how long a login takes. Default none.
   */
  legacy: readonly LegacyPasswords[] = [];

  /**
   * How many hashes run at once. Default: one less than there are cores, and one less than libuv's pool has threads (4,
   * or `UV_THREADPOOL_SIZE`), so that a flood of logins leaves a core for everything else, and a thread for the DNS
   * lookups and files that the same pool works for. More than the pool has threads only makes those wait.
   */
  concurrency: number = hashesAtOnce(availableParallelism(), process.env['UV_THREADPOOL_SIZE']);

  /** How many more may wait; the next is answered 503 at once. Default 128. */
  queue: number = 128;

  /**
   * Wrong passwords of one account in a row, however long that takes, until its password is disabled and a new one has
   * to be set; other ways to log in go on. A tenth of them is kept for the devices and addresses from which the account
   * was logged in to before, so that strangers do not lock its owner out there. Default 100, the most that NIST SP
   * 800-63B 3.2.2 allows.
   */
  maxFailures: number = 100;

  /**
   * The least number of characters of a new password that is the only factor. With a second one it is 8. Default 15, the
   * least that NIST SP 800-63B-4 3.1.1.2 allows; 8 to 64.
   */
  minLength: number = 15;

  /**
   * Words that somebody who guesses passwords of this application would try, such as its name and that of your company.
   * They count for nothing in a new password. Those in `baseUrl` and `mail.site` are known. Default none; at most 50.
   */
  contextWords: readonly string[] = [];

  /** Asks whether a new password has leaked, `{}` asks Have I Been Pwned. Default: nobody is asked. */
  breachCheck: Partial<BreachCheckSettings> | undefined = undefined;
}

/** The default of `password.concurrency`: at least 1. */
export function hashesAtOnce(cores: number, poolSize: string | undefined): number {
  const threads = poolSize === undefined ? LIBUV_THREADS : Number.parseInt(poolSize, 10) || 1;
  return Math.max(1, Math.min(cores, threads) - 1);
}

/** With all defaults. */
export interface CheckedPasswordSettings extends PasswordSettings {
  breachCheck: BreachCheckSettings | undefined;
}

export function checkPassword(
  check: OptionChecker,
  written: Partial<PasswordSettings> | undefined,
): CheckedPasswordSettings {
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
  const { legacy } = password;
  check.that(
    Array.isArray(legacy) && legacy.every(isVerifier),
    'password.legacy must be a list of verifiers such as [scryptPasswords(), pbkdf2Passwords()].',
  );
  check.integer('password.concurrency', password.concurrency, 1, 1_024);
  check.integer('password.queue', password.queue, 0, 1_000_000);
  check.integer('password.maxFailures', password.maxFailures, 10, 100);
  check.integer('password.minLength', password.minLength, 8, 64);
  const { contextWords } = password;
  check.that(
    Array.isArray(contextWords) && contextWords.length <= MAX_CONTEXT_WORDS && contextWords.every(isContextWord),
    `password.contextWords must be a list of at most ${MAX_CONTEXT_WORDS} words such as ['acme'], each of 3 to ${MAX_CONTEXT_WORD} characters.`,
  );
  return { ...password, breachCheck: checkBreachCheck(check, password.breachCheck) };
}

const isContextWord = (word: unknown): boolean =>
  typeof word === 'string' && word.length >= 3 && word.length <= MAX_CONTEXT_WORD;

function checkBreachCheck(
  check: OptionChecker,
  written: Partial<BreachCheckSettings> | undefined,
): BreachCheckSettings | undefined {
  if (written === undefined) return undefined;
  const breachCheck = check.settings('password.breachCheck', new BreachCheckSettings(), written);
  const { fetch, url, timeout, onFault } = breachCheck;
  check.that(typeof fetch === 'function', 'password.breachCheck.fetch must be a function such as the global fetch.');
  check.that(
    typeof url === 'string' && /^https?:\/\/.+\/$/.test(url) && URL.canParse(url) && !isPlainHttp(url),
    "password.breachCheck.url must be an address such as 'https://api.pwnedpasswords.com/range/': https, or http of " +
      'this machine, with a slash at the end.',
  );
  check.duration('password.breachCheck.timeout', timeout);
  check.that(!(timeout > minutes(1)), 'password.breachCheck.timeout must be a minute at most: a request waits for it.');
  check.oneOf('password.breachCheck.onFault', onFault, ['accept', 'refuse']);
  return Object.freeze(breachCheck);
}

function isVerifier(value: unknown): boolean {
  const { recognizes, verify } = Object(value) as Partial<LegacyPasswords>;
  return typeof recognizes === 'function' && typeof verify === 'function';
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
