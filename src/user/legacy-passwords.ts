import { pbkdf2, scrypt, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import type { LegacyPasswords, LegacyVerdict } from '../config/password-settings.js';
import { canonicalPassword } from './password-hasher.js';

/** Above OWASP's highest recommendation (2^17, r=8: 128 MiB), below what exhausts a server. */
const MAX_SCRYPT_MEMORY = 256 * 1024 * 1024;
/** Lanes run one after the other, so their sum bounds the time. */
const MAX_SCRYPT_WORK = 2 * MAX_SCRYPT_MEMORY;
/** Django 5.2 makes hashes with 1,000,000. */
const MAX_PBKDF2_ITERATIONS = 5_000_000;
/** OWASP asks for at least 10; each step doubles the work, and this is 64 times that. */
const MAX_BCRYPT_COST = 16;
const HASH_BYTES = { min: 16, max: 64 };

const BCRYPT = /^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}$/;
const SCRYPT_PHC = /^\$scrypt\$ln=(\d{1,9}),r=(\d{1,9}),p=(\d{1,9})\$([A-Za-z0-9+/]+)={0,2}\$([A-Za-z0-9+/]+)={0,2}$/;
const BETTER_AUTH = /^([0-9a-f]{32}):([0-9a-f]{128})$/;
const PBKDF2_PHC =
  /^\$pbkdf2-(sha1|sha256|sha512)\$(?:i=)?(\d{1,15})\$([A-Za-z0-9+/.]+)={0,2}\$([A-Za-z0-9+/.]+)={0,2}$/;
const PBKDF2_DJANGO = /^pbkdf2_(sha1|sha256)\$(\d{1,15})\$([^$]+)\$([A-Za-z0-9+/]+)={0,2}$/;

const deriveScrypt = promisify<string, Buffer, number, { N: number; r: number; p: number; maxmem: number }, Buffer>(
  scrypt,
);
const derivePbkdf2 = promisify(pbkdf2);

/**
 * scrypt (RFC 7914): the PHC form `$scrypt$ln=..,r=..,p=..$salt$hash`, and better-auth's `salt:key` in hex (N=16384,
 * r=16, p=1, NFKC, salt taken as text). Hashes that need more than 256 MiB, or 512 MiB in all lanes, are not computed.
 */
class ScryptPasswords implements LegacyPasswords {
  recognizes(storedHash: string): boolean {
    return storedHash.startsWith('$scrypt$') || BETTER_AUTH.test(storedHash);
  }

  async verify(storedHash: string, password: string): Promise<LegacyVerdict> {
    const [, hexSalt, hexKey] = BETTER_AUTH.exec(storedHash) ?? [];
    if (hexSalt && hexKey) {
      const cost = { ln: 14, r: 16, p: 1 };
      return this.compare(canonicalPassword(password, 'NFKC'), Buffer.from(hexSalt), Buffer.from(hexKey, 'hex'), cost);
    }
    const [, ln, r, p, salt, key] = SCRYPT_PHC.exec(storedHash) ?? [];
    if (!salt || !key) return 'malformed';
    const cost = { ln: Number(ln), r: Number(r), p: Number(p) };
    return this.compare(password, Buffer.from(salt, 'base64'), Buffer.from(key, 'base64'), cost);
  }

  private async compare(
    password: string,
    salt: Buffer,
    expected: Buffer,
    { ln, r, p }: { ln: number; r: number; p: number },
  ): Promise<LegacyVerdict> {
    if (ln < 1 || r < 1 || p < 1 || !isHashLength(expected)) return 'malformed';
    const memory = 128 * r * (2 ** ln + p);
    if (memory > MAX_SCRYPT_MEMORY || 128 * r * p * 2 ** ln > MAX_SCRYPT_WORK) return 'too-costly';
    const cost = { N: 2 ** ln, r, p, maxmem: memory + 1024 * r };
    const derived = await deriveScrypt(password, salt, expected.length, cost).catch(() => null);
    return derived === null ? 'malformed' : verdict(derived, expected);
  }
}

/**
 * PBKDF2 (RFC 8018): the PHC form `$pbkdf2-sha256$i=..$salt$hash` and passlib's (no `i=`, `.` for `+`), and Django's
 * `pbkdf2_sha256$iterations$salt$hash`. Hashes of more than 5,000,000 iterations are not computed.
 */
class Pbkdf2Passwords implements LegacyPasswords {
  recognizes(storedHash: string): boolean {
    return storedHash.startsWith('$pbkdf2-') || storedHash.startsWith('pbkdf2_');
  }

  async verify(storedHash: string, password: string): Promise<LegacyVerdict> {
    const phc = PBKDF2_PHC.exec(storedHash);
    const [, digest, iterations, salt, key] = phc ?? PBKDF2_DJANGO.exec(storedHash) ?? [];
    if (!digest || !salt || !key) return 'malformed';
    const expected = bytesOf(key);
    const count = Number(iterations);
    if (count < 1 || !isHashLength(expected)) return 'malformed';
    if (count > MAX_PBKDF2_ITERATIONS) return 'too-costly';
    const derived = await derivePbkdf2(password, phc ? bytesOf(salt) : salt, count, expected.length, digest);
    return verdict(derived, expected);
  }
}

/** The part of the packages `bcrypt` and `bcryptjs` that is used. */
export interface BcryptLibrary {
  compare(password: string, hash: string): Promise<boolean>;
}

/**
 * bcrypt: `$2a$`, `$2b$` and `$2y$`, which differ in name only. It reads 72 bytes of a password at most, so a longer one
 * matches by its beginning, for the last time: the hash that replaces it is of the whole. Costs above 16 are not
 * computed.
 */
class BcryptPasswords implements LegacyPasswords {
  constructor(private readonly library: BcryptLibrary) {}

  recognizes(storedHash: string): boolean {
    return storedHash.startsWith('$2');
  }

  async verify(storedHash: string, password: string): Promise<LegacyVerdict> {
    const [, cost] = BCRYPT.exec(storedHash) ?? [];
    if (cost === undefined || Number(cost) < 4) return 'malformed';
    if (Number(cost) > MAX_BCRYPT_COST) return 'too-costly';
    // Not every version of both packages knows all three names.
    const known = `$2b${storedHash.slice('$2b'.length)}`;
    return (await this.library.compare(password, known)) ? 'right' : 'wrong';
  }
}

/**
 * Verifies bcrypt hashes, with the package that made them: `bcrypt`, or `bcryptjs`, which needs no compiler.
 *
 * @throws {TypeError} if it is neither.
 *
 * @example
 * ```ts
 * AuthModule.forRoot({ secrets, password: { legacy: [bcryptPasswords(bcrypt)] } });
 * ```
 */
export function bcryptPasswords(library: BcryptLibrary): LegacyPasswords {
  if (typeof (library as Partial<BcryptLibrary> | undefined)?.compare !== 'function') {
    throw new TypeError(
      "bcryptPasswords takes the package 'bcrypt' or 'bcryptjs', such as `import bcrypt from 'bcryptjs'`.",
    );
  }
  return new BcryptPasswords(library);
}

/** Verifies scrypt hashes: PHC strings, and those of better-auth. */
export function scryptPasswords(): LegacyPasswords {
  return new ScryptPasswords();
}

/** Verifies PBKDF2 hashes: PHC strings, and those of passlib and Django. */
export function pbkdf2Passwords(): LegacyPasswords {
  return new Pbkdf2Passwords();
}

const bytesOf = (base64: string) => Buffer.from(base64.replaceAll('.', '+'), 'base64');

/** A hash of a few bytes would be matched by chance. */
const isHashLength = ({ length }: Buffer) => length >= HASH_BYTES.min && length <= HASH_BYTES.max;

const verdict = (derived: Buffer, expected: Buffer): LegacyVerdict =>
  timingSafeEqual(derived, expected) ? 'right' : 'wrong';
