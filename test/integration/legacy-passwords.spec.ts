import { Logger } from '@nestjs/common';
import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import bcrypt from 'bcryptjs';
import { PostgresUserDirectory } from 'nestjs-latchkey';
import { bcryptPasswords, pbkdf2Passwords, scryptPasswords } from 'nestjs-latchkey/engine';
import request from 'supertest';
import { createUser, startTestApp, type TestApp } from '../support/app.js';

const PASSWORD = 'correct horse';
// Made with Python's hashlib, but for the first.
const HASHES: Record<string, string> = {
  bcrypt: bcrypt.hashSync(PASSWORD, 5),
  'better-auth':
    '00112233445566778899aabbccddeeff:13af89ff6a88bb0fb3277e79ba724c6c0731b15919ca892969d63abd1534b867d110179e3bc8af39995ede0f9b2ac14b2b97573df10ba3802c498dbeb61e4f64',
  Django: 'pbkdf2_sha256$1000$salty$DzvaoPDWHNlO+0p5E04mScIUiNVjJ8YpgYitYTNqHo8=',
  'scrypt, PHC': '$scrypt$ln=14,r=8,p=1$MDEyMzQ1Njc4OWFiY2RlZg$0LupyHkzAIgDr9UDsriAAf87vMbCbcaUfDvFOAHk0D0',
};
const OURS = /^\$argon2id\$/;

describe('password.legacy', () => {
  let t: TestApp;
  beforeAll(async () => {
    const legacy = [bcryptPasswords(bcrypt), scryptPasswords(), pbkdf2Passwords()];
    t = await startTestApp({ auth: { password: { memoryCost: 8, timeCost: 1, legacy } } });
  });
  afterAll(() => t?.close());
  afterEach(() => {
    jest.restoreAllMocks();
  });

  /** An account as another system left it. */
  const imported = async (hash: string) => {
    const user = await createUser(t.app);
    await t.db.query('UPDATE users SET password_hash = $2 WHERE id = $1', [user.id, hash]);
    return user;
  };
  const hashOf = async (id: string) => {
    const [row] = await t.db.query<{ hash: string }>('SELECT password_hash AS hash FROM users WHERE id = $1', [id]);
    return row!.hash;
  };
  const logIn = (email: string, password = PASSWORD, app = t) =>
    request(app.url).post('/auth/login').send({ email, password });

  it.each(Object.keys(HASHES))(
    '%s: a wrong password changes nothing; the right one logs in and is ours from then on',
    async (kind) => {
      const { id, email } = await imported(HASHES[kind]!);
      await logIn(email, 'wrong horse').expect(401);
      expect(await hashOf(id)).toBe(HASHES[kind]);
      await logIn(email).expect(200);
      expect(await hashOf(id)).toMatch(OURS);
      await logIn(email).expect(200);
      await logIn(email, 'wrong horse').expect(401);
    },
  );

  it('20 logins at once all succeed, and one hash of ours remains', async () => {
    const { id, email } = await imported(HASHES['bcrypt']!);
    const answers = await Promise.all(Array.from({ length: 20 }, () => logIn(email)));
    expect(answers.map(({ status }) => status)).toEqual(Array(20).fill(200));
    expect(await hashOf(id)).toMatch(OURS);
  });

  it('a password that is set while a login replaces the old hash is kept', async () => {
    const users = t.app.get(PostgresUserDirectory);
    for (let i = 0; i < 20; i++) {
      const { id, email } = await imported(HASHES['bcrypt']!);
      await Promise.all([logIn(email), users.setPassword(id, 'another horse battery')]);
      await logIn(email).expect(401);
      await logIn(email, 'another horse battery').expect(200);
    }
  });

  it('what cannot be read or costs too much is a wrong password, and one warning of each without the hash', async () => {
    const warn = jest.spyOn(Logger.prototype, 'warn').mockReturnValue();
    const hashes = [
      '$2b$05$tooshort',
      'pbkdf2_sha256$many$salt$aGFzaA==',
      `$2b$31$${'a'.repeat(53)}`,
      '$scrypt$ln=30,r=8,p=1$MDEyMzQ1Njc4OWFiY2RlZg$0LupyHkzAIgDr9UDsriAAf87vMbCbcaUfDvFOAHk0D0',
    ];
    for (const hash of hashes) {
      const { id, email } = await imported(hash);
      const { body } = await logIn(email).expect(401);
      expect(body.code).toBe('INVALID_CREDENTIALS');
      expect(await hashOf(id)).toBe(hash);
    }
    const warnings = warn.mock.calls.map(([message]) => String(message));
    expect(warnings.map((message) => /is (malformed|too-costly)/.exec(message)?.[1])).toEqual([
      'malformed',
      'too-costly',
    ]);
    for (const hash of hashes) expect(warnings.join()).not.toContain(hash.slice(-12));
  });

  it('without the option such a hash matches nothing (negative control)', async () => {
    const plain = await startTestApp({ url: t.db.url });
    const { email } = await imported(HASHES['bcrypt']!);
    await logIn(email, PASSWORD, plain).expect(401);
    await plain.close();
  });
});
