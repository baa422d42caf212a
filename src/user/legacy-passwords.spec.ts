import { describe, expect, it } from '@jest/globals';
import bcrypt from 'bcryptjs';
import { bcryptPasswords, pbkdf2Passwords, scryptPasswords } from './legacy-passwords.js';

const SALT = 'MDEyMzQ1Njc4OWFiY2RlZg';
const KEY = 'cBg8D2DungRB9k76szThf5ehfyBz991ay6PT8Srwk4M';

describe('LegacyPasswords', () => {
  const kinds = [bcryptPasswords(bcrypt), scryptPasswords(), pbkdf2Passwords()];
  const verify = (stored: string, password: string) => {
    const [kind, ...others] = kinds.filter((one) => one.recognizes(stored));
    expect(others).toEqual([]);
    return kind!.verify(stored, password);
  };

  // The vectors of RFC 7914 sections 11 and 12; the others were made with Python's hashlib.
  it.each([
    [
      'scrypt of RFC 7914',
      'password',
      '$scrypt$ln=10,r=8,p=16$TmFDbA$/bq+HJ00cgB4VucZDQHp/nxq18vII3gw53N2Y0s3MWIurzDZLiKjiG/xCSedmDDaxyevuUqD7m2DYMvfoswGQA',
    ],
    [
      'PBKDF2 of RFC 7914',
      'Password',
      '$pbkdf2-sha256$i=80000$TmFDbA$TdzY9guYviGDDO5e8icB+WQaRBjQTAQUrv8Ih2s0q1ah1CWhIlgzVJrbhBtRybMXaicr3ruh0HhHj2Kzl/M8jQ',
    ],
    // The three of crypt_blowfish, each under another name.
    ['bcrypt, $2a$', 'U*U', '$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW'],
    ['bcrypt, $2b$', 'U*U*', '$2b$05$CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp/Z0DY336zx7pLYAy0lwK'],
    ['bcrypt, $2y$', 'U*U*U', '$2y$05$XXXXXXXXXXXXXXXXXXXXXOAcXxm9kjPGEMsLznoKqmqw7tc8WCx4a'],
    ['scrypt, PHC', 'correct horse', `$scrypt$ln=14,r=8,p=1$${SALT}$0LupyHkzAIgDr9UDsriAAf87vMbCbcaUfDvFOAHk0D0`],
    [
      'better-auth',
      'correct horse',
      '00112233445566778899aabbccddeeff:13af89ff6a88bb0fb3277e79ba724c6c0731b15919ca892969d63abd1534b867d110179e3bc8af39995ede0f9b2ac14b2b97573df10ba3802c498dbeb61e4f64',
    ],
    ['PBKDF2, PHC', 'correct horse', `$pbkdf2-sha256$i=1000$${SALT}$${KEY}`],
    [
      'passlib',
      'correct horse',
      `$pbkdf2-sha512$1000$${SALT}$OM0FAoIqCVK1sWtxDiffVlBejtLa.ks4TP71JiecwuSZCG8iLbnlIEPOMoVX.i2B2wkSxjQ8CRGR9OkNGuIPMQ`,
    ],
    ['Django', 'correct horse', 'pbkdf2_sha256$1000$NaClNaCl$DFRHyP75NhhP9KfmBQVw3DRMTlplRxD2m0/X6CUIpWg='],
  ])('%s: the right password, and no other', async (_, password, stored) => {
    expect(await verify(stored, password)).toBe('right');
    expect(await verify(stored, `${password} `)).toBe('wrong');
    expect(await verify(stored, '')).toBe('wrong');
  });

  it.each([
    `$scrypt$ln=26,r=8,p=1$${SALT}$${KEY}`,
    `$scrypt$ln=999999999,r=999999999,p=1$${SALT}$${KEY}`,
    `$scrypt$ln=17,r=8,p=5$${SALT}$${KEY}`,
    `$pbkdf2-sha256$i=1000000000$${SALT}$${KEY}`,
    `pbkdf2_sha256$5000001$NaClNaCl$${KEY}=`,
    `$2b$17$${'a'.repeat(53)}`,
  ])('a hash that costs too much is not computed: %s', async (stored) => {
    expect(await verify(stored, 'correct horse')).toBe('too-costly');
  });

  it.each([
    '$scrypt$',
    '$2b$10$',
    `$2x$10$${'a'.repeat(53)}`,
    `$2b$03$${'a'.repeat(53)}`,
    `$scrypt$ln=0,r=8,p=1$${SALT}$${KEY}`,
    `$scrypt$ln=14,r=0,p=1$${SALT}$${KEY}`,
    `$scrypt$ln=14,r=8,p=1$${SALT}$AA`,
    `$pbkdf2-md5$i=1000$${SALT}$${KEY}`,
    `$pbkdf2-sha256$i=0$${SALT}$${KEY}`,
    `$pbkdf2-sha256$i=1000$${SALT}$`,
    'pbkdf2_sha256$1000$NaClNaCl$AA==',
  ])('a malformed hash is said to be one, and never throws: %s', async (stored) => {
    expect(await verify(stored, 'correct horse')).toBe('malformed');
  });

  it('bcryptPasswords takes the package, and says so', () => {
    expect(() => bcryptPasswords(undefined as never)).toThrow(/import bcrypt from 'bcryptjs'/);
  });
});
