import { Injectable, type INestApplication } from '@nestjs/common';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import {
  AuthEvents,
  PostgresUserDirectory,
  type AuthEvent,
  type AuthUser,
  type PasswordContext,
} from 'nestjs-latchkey';
import { DefaultPasswordPolicy, NewPasswords, PasswordPolicy } from 'nestjs-latchkey/engine';
import { signInAs } from 'nestjs-latchkey/testing';
import request from 'supertest';
import { createUser, PASSWORD, PLATFORMS, startTestApp, type Platform, type TestApp } from '../support/app.js';
import { comparedDuring } from '../support/password-hashes.js';

const NEXT = 'zebra lamp 7342';
const flows = { passwordChange: {} };

/** Express takes 100 kB unless it is told otherwise, Fastify a megabyte. */
const takesMegabytes = (platform: Platform) => (app: INestApplication) => {
  if (platform === 'express') (app as NestExpressApplication).useBodyParser('json', { limit: '5mb' });
};

describe.each(PLATFORMS)('a new password on %s', (platform) => {
  let t: TestApp;
  let ada: AuthUser;
  let leaked: string | null;
  const asked: string[] = [];
  const heard: AuthEvent[] = [];
  beforeAll(async () => {
    const breachCheck = {
      fetch: async (url: string) => {
        asked.push(url);
        if (leaked === null) throw new Error('no network');
        return { status: 200, text: () => Promise.resolve(leaked!) };
      },
    };
    t = await startTestApp({
      platform,
      configure: takesMegabytes(platform),
      auth: { flows, password: { memoryCost: 8, timeCost: 1, contextWords: ['Acme'], breachCheck } },
    });
    t.app.get(AuthEvents).on((event) => void heard.push(event));
  });
  afterAll(() => t?.close());
  beforeEach(async () => {
    leaked = '';
    ada = await createUser(t.app);
    asked.length = 0;
    heard.length = 0;
  });

  const change = async (newPassword: unknown, currentPassword: unknown = PASSWORD) =>
    request(t.url)
      .post('/auth/change-password')
      .set('Cookie', await signInAs(t.app, ada.id))
      .send({ currentPassword, newPassword });
  const login = (password: string) => request(t.url).post('/auth/login').send({ email: ada.email, password });

  it.each<[string, (email: string) => string, string, string]>([
    ['an empty one', () => '', 'too_short', 'must have at least 15 characters'],
    ['14 characters', () => NEXT.slice(1), 'too_short', 'must have at least 15 characters'],
    ['1,025 characters', () => 'zebra'.repeat(205), 'too_long', 'must have at most 1024 characters'],
    ['900,000 characters', () => 'x'.repeat(900_000), 'too_long', 'must have at most 1024 characters'],
    ['a common one', () => 'PASSWORDpassword', 'common', 'must not be a common password'],
    [
      'the own address',
      (email) => email,
      'contains_context',
      'must not be made of your address or the name of this application',
    ],
    [
      'the name of the application',
      () => 'acme-ACME-acme-7',
      'contains_context',
      'must not be made of your address or the name of this application',
    ],
  ])('F33: change-password refuses %s, and says which rule', async (_, passwordOf, rule, expected) => {
    const password = passwordOf(ada.email);
    const answer = await change(password);
    expect([answer.status, answer.body]).toEqual([
      422,
      {
        statusCode: 422,
        code: 'WEAK_PASSWORD',
        message: 'The password is too easy to guess.',
        fields: { newPassword: expected },
        rules: [rule],
      },
    ]);
    expect(answer.get('Cache-Control')).toBe('no-store');
    expect([asked, heard.filter(({ type }) => type.startsWith('password'))]).toEqual([[], []]);
    await login(PASSWORD).expect(200);
  });

  it('F33: refused ones are not counted, so the owner can go on trying', async () => {
    for (let i = 0; i < 6; i++) expect((await change('passwordpassword')).status).toBe(422);
    expect((await change(NEXT)).status).toBe(200);
    await login(NEXT).expect(200);
  });

  it('F33: takes any characters, and all of them count', async () => {
    const emoji = '\u{1F40E}\u{1F50B}\u{1F4CE} \u00e9\u0301\0 '.repeat(32);
    expect((await change(emoji)).status).toBe(200);
    await login(emoji).expect(200);
    await login(emoji.slice(0, -1)).expect(401);
  });

  it.each([
    ['a lone surrogate', '\ud83d'.repeat(15)],
    ['null', null],
    ['a number', 5],
    ['a list', [NEXT]],
  ])('F33: %s is no password', async (_, password) => {
    const { status, body } = await change(password);
    expect([status, body.code, Object.keys(body.fields)]).toEqual([422, 'INVALID_INPUT', ['newPassword']]);
  });

  it('F33: one that has leaked is refused; if nobody can tell, it is accepted and told', async () => {
    leaked = 'A'.repeat(35) + ':7';
    expect((await change(NEXT)).status).toBe(200);
    expect(asked).toEqual([expect.stringMatching(/^https:\/\/api\.pwnedpasswords\.com\/range\/[0-9A-F]{5}$/)]);
    leaked = null;
    expect((await change(PASSWORD, NEXT)).status).toBe(200);
    expect(heard.filter(({ type }) => type === 'breach_check.failed')).toEqual([
      { type: 'breach_check.failed', at: t.clock.now(), reason: 'unreachable' },
    ]);
  });

  it('F33: every way to give an account a password asks the policy', async () => {
    const users = t.app.get(PostgresUserDirectory);
    const refused = { code: 'WEAK_PASSWORD', facts: { rules: ['contains_context'] } };
    await expect(users.create('grace.hopper@mail.example', 'grace.hopper-2026')).rejects.toMatchObject(refused);
    await expect(users.setPassword(ada.id, ada.email)).rejects.toMatchObject(refused);
    await expect(users.hashOf(ada.email, { email: ada.email })).rejects.toMatchObject(refused);
    await expect(t.app.get(NewPasswords).accept(ada.email, ada)).rejects.toMatchObject(refused);
  });

  describe('F34: blank instead of a password', () => {
    const BLANKS = ['!', 'null', 'undefined', '0', 'false', '[]', '{}', '*', 'x'];

    it.each(['!', '', '!!', '*'])(
      'F34: an account whose stored hash is %j is opened by none, at the same cost',
      async (stored) => {
        await t.db.query('UPDATE users SET password_hash = $2 WHERE id = $1', [ada.id, stored]);
        const compared = await comparedDuring(t, async () => {
          for (const password of [...BLANKS, PASSWORD]) await login(password).expect(401);
        });
        expect(compared).toHaveLength(BLANKS.length + 1);
      },
    );

    it('F34: nor is an account with a password, or none at all', async () => {
      for (const email of [ada.email, 'nobody@example.com']) {
        const send = (password: string) => request(t.url).post('/auth/login').send({ email, password }).expect(401);
        const compared = await comparedDuring(t, async () => {
          for (const password of BLANKS) await send(password);
        });
        expect(compared).toHaveLength(BLANKS.length);
      }
    });

    it.each<[string, unknown]>([
      ['an empty string', ''],
      ['null', null],
      ['nothing', undefined],
      ['true', true],
      ['a list', ['!']],
      ['an object', { $ne: '' }],
      ['a megabyte', 'x'.repeat(1_000_000)],
      ['a megabyte of combining marks', `a${'\u0301'.repeat(300_000)}`],
    ])('F34: %s is refused with 422 on every route, and costs no hash', async (_, password) => {
      await t.db.query("UPDATE users SET password_hash = '!' WHERE id = $1", [ada.id]);
      const compared = await comparedDuring(t, async () => {
        for (const route of ['login', 'token']) {
          const { status, body } = await request(t.url).post(`/auth/${route}`).send({ email: ada.email, password });
          expect([status, body.code, Object.keys(body.fields)]).toEqual([422, 'INVALID_INPUT', ['password']]);
        }
        const { status, body } = await change(NEXT, password ?? null);
        expect([status, body.code, Object.keys(body.fields)]).toEqual([422, 'INVALID_INPUT', ['currentPassword']]);
      });
      expect(compared).toEqual([]);
    });

    it.each(BLANKS)('F34: %j does not change the password of an account without one', async (blank) => {
      await t.db.query("UPDATE users SET password_hash = '!' WHERE id = $1", [ada.id]);
      expect((await change(NEXT, blank)).body.code).toBe('INVALID_CREDENTIALS');
      expect(await t.app.get(PostgresUserDirectory).findPasswordHash(ada.id)).toBe('!');
    });
  });
});

@Injectable()
class PetsPolicy extends DefaultPasswordPolicy {
  override async check(password: string, context: PasswordContext) {
    const found = await super.check(password, context);
    return /rex/i.test(password) ? [...found, { rule: 'pet', expected: 'must not name a pet' }] : found;
  }
}

describe('a policy of your own', () => {
  it.each(PLATFORMS)('F33: is asked in place of the default, on %s', async (platform) => {
    const t = await startTestApp({ platform, auth: { flows, passwordPolicy: PetsPolicy } });
    try {
      expect(t.app.get(PasswordPolicy)).toBe(t.app.get(PetsPolicy));
      const ada = await createUser(t.app);
      const { body } = await request(t.url)
        .post('/auth/change-password')
        .set('Cookie', await signInAs(t.app, ada.id))
        .send({ currentPassword: PASSWORD, newPassword: 'rex' })
        .expect(422);
      expect(body).toMatchObject({
        code: 'WEAK_PASSWORD',
        rules: ['too_short', 'pet'],
        fields: { newPassword: 'must have at least 15 characters, and must not name a pet' },
      });
    } finally {
      await t.close();
    }
  });
});
