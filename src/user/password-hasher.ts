import { createHmac } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { Algorithm, hash, verify, type Options } from '@node-rs/argon2';
import { AuthError } from '../auth.errors.js';
import { FairSemaphore } from '../common/fair-semaphore.js';
import { SampledLogger } from '../common/sampled-logger.js';
import { sourceOfAddress } from '../common/ip-address.js';
import { AuthConfig } from '../config/auth-config.js';
import type { Argon2Parameters, LegacyPasswords, LegacyVerdict } from '../config/password-settings.js';
import { KeyRing } from '../crypto/key-ring.js';
import { randomToken } from '../crypto/random.js';

/**
 * The longest password of an account, and the shortest of one that has a second factor (NIST SP 800-63B-4 3.1.1.2), in
 * characters: see `passwordLength`.
 */
export const PASSWORD_LENGTH = { min: 8, max: 1024 } as const;

/** In UTF-16 units, of which NFC makes one character out of six at most. */
const MAX_PASSWORD_UNITS = 6 * PASSWORD_LENGTH.max;
/** In UTF-16 units, one or two for each mark: no language has more than 30 in a row (UAX #15, Stream-Safe Text). */
const MAX_MARKS_UNITS = 60;

const PHC = /^\$argon2id\$v=19\$m=(\d+),t=(\d+),p=(\d+)\$/;
/** Complete, with salt and hash: anything less would be refused without doing the work. */
const ARGON2 = /^\$argon2(?:id|i|d)\$v=\d+\$m=\d+,t=\d+,p=\d+\$[A-Za-z0-9+/]{11,}\$[A-Za-z0-9+/]{16,}$/;
const RETRY_AFTER_SECONDS = 1;
const DUMMY_PURPOSE = 'password-dummy';

/** The source of a password. */
export interface PasswordOrigin {
  /** The name that was typed with it, in the spelling of `normalizeLogin`; it selects the dummy. */
  login?: string;
  /** The client's address, by which capacity is shared; all calls without one share that of one client. */
  ip?: string | null;
}

/**
 * argon2id with a bound on how much of it happens at once: `password.concurrency` hashes run, `password.queue` more
 * wait, and the next is refused with `HASHER_OVERLOADED` before any work, so that a flood of logins exhausts neither
 * the CPU nor the memory (OWASP ASVS 15.1.3). Turns and places are shared fairly among clients' networks and addresses:
 * a flood from one, however wide its IPv6 network, leaves room for everyone else.
 *
 * Passwords are compared in Unicode NFC and are never truncated (NIST 800-63B 3.1.1.2). Their length is not checked
 * here; one of more than 6,144 UTF-16 units is compared as it is.
 *
 * @example
 * ```ts
 * const stored = await hasher.hash('correct horse battery staple'); // '$argon2id$v=19$m=19456,t=2,p=1$…'
 * await hasher.matches(stored, 'correct horse battery staple'); // true
 * await hasher.matches(null, 'any password'); // false, after the same work
 * ```
 */
@Injectable()
export class PasswordHasher {
  private readonly parameters: Argon2Parameters;
  private readonly options: Options;
  private readonly semaphore: FairSemaphore;
  private readonly queue: number;
  private readonly legacy: readonly LegacyPasswords[];
  private readonly logger = new SampledLogger();
  /** One per configured set of parameters. */
  private readonly dummies: readonly string[];

  constructor(
    config: AuthConfig,
    private readonly keys: KeyRing = new KeyRing(config),
  ) {
    const { memoryCost, timeCost, parallelism, concurrency, queue, previous, legacy } = config.password;
    this.legacy = legacy;
    this.parameters = { memoryCost, timeCost, parallelism };
    this.dummies = [this.parameters, ...previous].map(dummyOf);
    this.options = { algorithm: 2 satisfies Algorithm.Argon2id, memoryCost, timeCost, parallelism };
    this.semaphore = new FairSemaphore(concurrency, queue);
    this.queue = queue;
  }

  /**
   * The PHC string to store.
   *
   * @throws {AuthError} `HASHER_OVERLOADED` if too many passwords are waiting, or this one lost its place to another
   *   client's.
   */
  hash(password: string, { ip }: Pick<PasswordOrigin, 'ip'> = {}): Promise<string> {
    return this.inTurn(ip, () => hash(canonicalPassword(password), this.options));
  }

  /** A PHC string that no password is known to have: for an account whose password must open it no longer. */
  unknown(): string {
    return dummyOf(this.parameters);
  }

  /**
   * Whether this password belongs to the stored hash. For `null` (no such account, no password set) it does the same
   * work against a dummy and returns false, as it does for a stored value that is neither an argon2 hash nor one that
   * `password.legacy` can verify. The dummy has the
   * parameters of one of the configured sets (`password.previous`), always the same for the same `login`, just as the
   * hashes of accounts cost what their parameters cost until the next login renews them.
   *
   * @throws {AuthError} `HASHER_OVERLOADED` if too many passwords are waiting, or this one lost its place to another
   *   client's.
   */
  async matches(
    storedHash: string | null,
    password: string,
    { login = '', ip }: PasswordOrigin = {},
  ): Promise<boolean> {
    const normalized = canonicalPassword(password);
    return this.inTurn(ip, async () => {
      if (storedHash !== null) {
        const matches = ARGON2.test(storedHash)
          ? await verify(storedHash, normalized).catch(() => null)
          : await this.matchesLegacy(storedHash, password);
        if (matches !== null) return matches;
      }
      await verify(this.dummyFor(login), normalized);
      return false;
    });
  }

  /** Whether the hash was made with parameters other than those in force, and should be made again. */
  isOutdated(storedHash: string): boolean {
    const [, memoryCost, timeCost, parallelism] = PHC.exec(storedHash) ?? [];
    return (
      Number(memoryCost) !== this.options.memoryCost ||
      Number(timeCost) !== this.options.timeCost ||
      Number(parallelism) !== this.options.parallelism
    );
  }

  /** `null` for a hash that nothing can verify. */
  private async matchesLegacy(storedHash: string, password: string): Promise<boolean | null> {
    const verdict = await this.legacyVerdict(storedHash, password).catch(() => 'malformed' as const);
    if (verdict === null) return null;
    if (verdict === 'right' || verdict === 'wrong') return verdict === 'right';
    this.logger.warn(
      `The stored hash of an account is ${verdict}, so its password matches nothing: let the user reset it. SELECT id ` +
        "FROM users WHERE password_hash NOT LIKE '$argon2%' lists the accounts whose hashes come from another system.",
    );
    return null;
  }

  /** Asynchronous throughout, so that a verifier of the host's cannot throw past the `catch`. */
  private async legacyVerdict(storedHash: string, password: string): Promise<LegacyVerdict | null> {
    const verifier = this.legacy.find((one) => one.recognizes(storedHash));
    return verifier ? verifier.verify(storedHash, password) : null;
  }

  private dummyFor(login: string): string {
    const digest = createHmac('sha256', this.keys.forPurpose(DUMMY_PURPOSE)[0]).update(login).digest();
    return this.dummies[digest.readUInt32BE() % this.dummies.length]!;
  }

  private async inTurn<T>(ip: string | null | undefined, work: () => Promise<T>): Promise<T> {
    if (!(await this.semaphore.acquire(sourceOfAddress(ip)))) {
      throw new AuthError(
        'HASHER_OVERLOADED',
        `${this.queue} passwords are waiting to be hashed. Retry later; raise password.queue or add cores if this lasts.`,
        { retryAfter: RETRY_AFTER_SECONDS },
      );
    }
    try {
      return await work();
    } finally {
      this.semaphore.release();
    }
  }
}

/**
 * The spelling in which a password is measured and compared: Unicode NFC. It takes quadratic time for a run of combining
 * marks, 70 ms of the event loop for 6,000 and a minute for a million, so what is longer than any password stays as it
 * is, and so does what has more of them in a row than any language.
 */
export function canonicalPassword(password: string, form: 'NFC' | 'NFKC' = 'NFC'): string {
  return password.length > MAX_PASSWORD_UNITS || hasLongRunOfMarks(password) ? password : password.normalize(form);
}

/** In characters (code points) after NFC; `Infinity` for what is longer than any password. Takes bounded time. */
export function passwordLength(password: string): number {
  return password.length > MAX_PASSWORD_UNITS ? Infinity : [...canonicalPassword(password)].length;
}

/** Takes linear time: every run is matched once. */
function hasLongRunOfMarks(text: string): boolean {
  return text.match(/\p{M}+/gu)?.some((marks) => marks.length > MAX_MARKS_UNITS) ?? false;
}

/** A PHC string with these parameters that belongs to no account: checking it does the full work. */
function dummyOf({ memoryCost, timeCost, parallelism }: Argon2Parameters): string {
  const base64 = (bytes: Buffer) => bytes.toString('base64').replace(/=+$/, '');
  const salt = base64(randomToken().subarray(0, 16));
  return `$argon2id$v=19$m=${memoryCost},t=${timeCost},p=${parallelism}$${salt}$${base64(randomToken())}`;
}
