import { lookup } from 'node:dns/promises';
import { setImmediate } from 'node:timers/promises';
import { describe, expect, it, jest } from '@jest/globals';
import * as argon2 from '@node-rs/argon2';
import { AuthConfig } from '../config/auth-config.js';
import { hashesAtOnce, type LegacyPasswords, type PasswordSettings } from '../config/password-settings.js';

/** The real argon2, and what it was given to check. */
const verified: string[] = [];
jest.unstable_mockModule('@node-rs/argon2', () => ({
  ...argon2,
  verify: (hash: string, password: string) => {
    verified.push(hash);
    return argon2.verify(hash, password);
  },
}));
const { canonicalPassword, PasswordHasher } = await import('./password-hasher.js');
const { scryptPasswords } = await import('./legacy-passwords.js');

const throws = (): never => {
  throw new Error('$legacy$hash');
};
const cheap = { memoryCost: 64, timeCost: 1 };
const hasherWith = (password: Partial<PasswordSettings>) =>
  new PasswordHasher(AuthConfig.from({ secrets: ['x'.repeat(32)], password }));

describe('PasswordHasher', () => {
  const hasher = hasherWith(cheap);

  it('makes argon2id with the OWASP parameters by default', async () => {
    expect(await hasherWith({}).hash('correct horse')).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
  });

  it('tells right from wrong, and one hash is never another', async () => {
    const hash = await hasher.hash('correct horse');
    expect(hash).not.toBe(await hasher.hash('correct horse'));
    expect(await hasher.matches(hash, 'correct horse')).toBe(true);
    expect(await hasher.matches(hash, 'Correct horse')).toBe(false);
  });

  it.each<[string, LegacyPasswords]>([
    ['that throws where it recognizes', { recognizes: throws, verify: () => Promise.resolve('right') }],
    ['that throws where it verifies', { recognizes: () => true, verify: throws }],
    ['that rejects', { recognizes: () => true, verify: () => Promise.reject(new Error('$legacy$hash')) }],
  ])('a legacy verifier %s: the password is wrong, after the work of a dummy', async (_, verifier) => {
    const before = verified.length;
    expect(await hasherWith({ ...cheap, legacy: [verifier] }).matches('$legacy$hash', 'correct horse')).toBe(false);
    expect(verified.length).toBe(before + 1);
  });

  it('compares every one of 1024 characters', async () => {
    const long = '😀'.repeat(1024);
    const hash = await hasher.hash(long);
    expect(await hasher.matches(hash, long)).toBe(true);
    expect(await hasher.matches(hash, `${'😀'.repeat(1023)}😁`)).toBe(false);
  });

  it('knows a password in either Unicode spelling', async () => {
    const hash = await hasher.hash('zoe\u0301 likes cafe\u0301');
    expect(await hasher.matches(hash, 'zo\u00e9 likes caf\u00e9')).toBe(true);
  });

  it.each([
    ['no account', null],
    ['no password set', ''],
    ['a value that is no hash', 'plaintext'],
    ['a broken hash', '$argon2id$v=19$m=64,t=1,p=1$broken'],
    ['a hash of another kind', '$2b$10$abcdefghijklmnopqrstuv'],
  ])('%s never matches', async (_, stored) => {
    expect(await hasher.matches(stored, 'correct horse')).toBe(false);
  });

  it('R37: without a hash it does the work of one', async () => {
    const slow = hasherWith({ timeCost: 3 });
    const hash = await slow.hash('correct horse');
    // Processor time, not the clock on the wall: other work on the machine does not count.
    const cpu = async (stored: string | null) => {
      const before = process.cpuUsage();
      await slow.matches(stored, 'wrong');
      const { user, system } = process.cpuUsage(before);
      return user + system;
    };
    await cpu(null); // makes the dummy
    const rounds = [];
    for (let i = 0; i < 5; i++) rounds.push({ known: await cpu(hash), unknown: await cpu(null) });
    const known = Math.min(...rounds.map((round) => round.known));
    const unknown = Math.min(...rounds.map((round) => round.unknown));
    expect(unknown / known).toBeGreaterThan(0.4);
    expect(unknown / known).toBeLessThan(2.5);
  });

  it('H7: a login of no account costs one of the configured sets, always the same for that login', async () => {
    const previous = [
      { memoryCost: 128, timeCost: 1, parallelism: 1 },
      { memoryCost: 64, timeCost: 2, parallelism: 2 },
    ];
    const config = AuthConfig.from({ secrets: ['x'.repeat(32)], password: { ...cheap, previous } });
    const costOf = async (login: string, stored: string | null = null, one = new PasswordHasher(config)) => {
      verified.length = 0;
      expect(await one.matches(stored, 'wrong', { login })).toBe(false);
      return verified.map((hash) => /m=\d+,t=\d+,p=\d+/.exec(hash)![0]);
    };
    const logins = Array.from({ length: 60 }, (_, i) => `nobody${i}@example.com`);
    const costs: string[] = [];
    for (const login of logins) costs.push(...(await costOf(login)));
    expect(costs).toHaveLength(logins.length); // one hash each
    expect([...new Set(costs)].toSorted()).toEqual(['m=128,t=1,p=1', 'm=64,t=1,p=1', 'm=64,t=2,p=2']);
    for (const i of [0, 1, 2, 3, 4, 5]) {
      expect(await costOf(logins[i]!)).toEqual([costs[i]]); // another process with the same secret
      expect(await costOf(logins[i]!, 'no hash')).toEqual([costs[i]]);
    }
    const otherSecret = new PasswordHasher(
      AuthConfig.from({ secrets: ['y'.repeat(32)], password: { ...cheap, previous } }),
    );
    const others: string[] = [];
    for (const login of logins) others.push(...(await costOf(login, null, otherSecret)));
    expect(others).not.toEqual(costs); // nobody outside can tell which
  });

  it('H7: a stored value that argon2 refuses costs a whole hash all the same', async () => {
    verified.length = 0;
    const stored = '$argon2id$v=19$m=1,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$' + 'A'.repeat(43); // less memory than a lane needs
    expect(await hasher.matches(stored, 'correct horse')).toBe(false);
    expect(verified.at(-1)).toMatch(/m=64,t=1,p=1/);
  });

  it.each(['', '!', 'null', 'any password', 'x'.repeat(1_000_000)])(
    'F34: no password matches the stored "!", at the cost of one hash (%#)',
    async (password) => {
      verified.length = 0;
      expect(await hasher.matches('!', password)).toBe(false);
      expect(verified).toEqual([expect.stringMatching(/m=64,t=1,p=1/)]);
    },
  );

  it('sees that parameters changed', async () => {
    const hash = await hasher.hash('correct horse');
    expect(hasher.isOutdated(hash)).toBe(false);
    expect(hasherWith({ memoryCost: 128, timeCost: 1 }).isOutdated(hash)).toBe(true);
    expect(hasherWith({ memoryCost: 64, timeCost: 2 }).isOutdated(hash)).toBe(true);
    expect(hasher.isOutdated('$2b$10$abc')).toBe(true);
  });

  it('runs `concurrency` hashes at once, lets `queue` wait, and refuses the next before any work', async () => {
    const bounded = hasherWith({ ...cheap, concurrency: 2, queue: 3 });
    const results = await Promise.allSettled(Array.from({ length: 9 }, () => bounded.hash('correct horse')));
    const refused = results.filter((result) => result.status === 'rejected');
    expect(refused).toHaveLength(4);
    for (const { reason } of refused)
      expect(reason).toMatchObject({ code: 'HASHER_OVERLOADED', facts: { retryAfter: 1 } });
    await expect(bounded.hash('correct horse')).resolves.toMatch(/^\$argon2id/);
  });

  it('on 64 cores, a DNS lookup waits for no hash of a flood', async () => {
    const concurrency = hashesAtOnce(64, process.env['UV_THREADPOOL_SIZE']);
    const flooded = hasherWith({ memoryCost: 65_536, timeCost: 8, concurrency });
    let done = 0;
    const flood = Array.from({ length: 6 }, () => flooded.hash('correct horse').then(() => done++));
    await setImmediate();
    await lookup('localhost');
    expect(done).toBe(0);
    await Promise.all(flood);
  });

  it('H3: 47 /64 of one /48 fill the queue, and everybody else gets in, and before most of them', async () => {
    const bounded = hasherWith({ ...cheap, concurrency: 1, queue: 20 });
    const ended: string[] = [];
    const login = (ip: string) => bounded.matches(null, 'wrong', { ip }).then(() => void ended.push(ip));
    const flood = Array.from({ length: 188 }, (_, i) => login(`2001:db8:1:${(i % 47).toString(16)}::${i}`));
    const others = ['192.0.2.1', '2001:db8:2::1'].map(login);
    const outcomes = await Promise.allSettled(flood);
    await Promise.all(others);
    expect(outcomes.filter(({ status }) => status === 'rejected')).toHaveLength(188 - 1 - 18);
    expect(ended.indexOf('192.0.2.1')).toBeLessThan(5);
    expect(ended.indexOf('2001:db8:2::1')).toBeLessThan(8);
  });

  it('frees its place when a hash fails', async () => {
    const bounded = hasherWith({ ...cheap, concurrency: 1, queue: 0 });
    await expect(bounded.hash(undefined as unknown as string)).rejects.toThrow(TypeError);
    await expect(bounded.hash('correct horse')).resolves.toMatch(/^\$argon2id/);
  });
});

it('H6: 61 combining marks in a row are not normalized, since 6,000 would take 70 ms; 60 are', () => {
  const normalize = jest.spyOn(String.prototype, 'normalize');
  try {
    for (const marks of [61, 6_143]) {
      const password = `a${'\u0315\u0300\u0338'.repeat(2_048).slice(0, marks)}`;
      for (const form of ['NFC', 'NFKC'] as const) expect(canonicalPassword(password, form)).toBe(password);
    }
    expect(normalize).not.toHaveBeenCalled();
    expect(canonicalPassword(`a${'\u0301'.repeat(60)}`)).toBe(`\u00e1${'\u0301'.repeat(59)}`);
    expect(canonicalPassword('a\u0301'.repeat(1_024))).toBe('\u00e1'.repeat(1_024));
  } finally {
    normalize.mockRestore();
  }
});

it('a password longer than any is not normalized, which would take minutes for a megabyte of combining marks', async () => {
  const normalize = jest.spyOn(String.prototype, 'normalize');
  try {
    const password = `a${'\u0301\u0316'.repeat(4_000)}`;
    const hasher = hasherWith({ ...cheap, legacy: [scryptPasswords()] });
    expect(await hasher.matches(await hasher.hash(password), password)).toBe(true);
    expect(await hasher.matches(`${'0'.repeat(32)}:${'0'.repeat(128)}`, password)).toBe(false);
    expect(normalize).not.toHaveBeenCalled();
    // The longest that there is, however it is written.
    expect(canonicalPassword('u\u0308\u0301'.repeat(1024))).toBe('\u01d8'.repeat(1024));
  } finally {
    normalize.mockRestore();
  }
});
