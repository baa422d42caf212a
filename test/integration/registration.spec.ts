import { Injectable } from '@nestjs/common';
import { beforeAll, describe, expect, it, jest } from '@jest/globals';
import {
  AuthError,
  AuthEvents,
  minutes,
  PostgresUserDirectory,
  SessionService,
  type AuthEvent,
  type NewAccount,
} from 'nestjs-latchkey';
import { RegistrationService } from 'nestjs-latchkey/flows';
import { MemoryMailer } from 'nestjs-latchkey/testing';
import request from 'supertest';
import { createUser, PASSWORD, SECRET, startTestApp } from '../support/app.js';
import { sharedTestApp } from '../support/shared-app.js';
import { sharedRacers } from '../support/racers.js';
import { accountOf, kindsTo, mailTo, newAddress, REGISTRATION } from '../support/registration.js';
import { createProxiedDatabase } from '../support/tcp-proxy.js';

/** `ok`, or the code of the error. */
const outcome = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'ok',
    (error: unknown) => (error instanceof AuthError ? error.code : Promise.reject(error as Error)),
  );

const t = sharedTestApp({ auth: REGISTRATION });
let registration: RegistrationService;
beforeAll(() => {
  registration = t.app.get(RegistrationService);
});

describe('F31: two processes', () => {
  const racers = sharedRacers(() => t.db.url);

  /** A link that is good by the time of day, which the other processes have. */
  async function link() {
    t.clock.advance(Date.now() - t.clock.now());
    const email = newAddress();
    const { browser } = await registration.register(email, { password: PASSWORD });
    return { email, browser, token: (await mailTo(t, email)).token };
  }

  it('F31: of 100 that confirm one registration one has the account, and its one session', async () => {
    for (let round = 0; round < 5; round++) {
      const { email, browser, token } = await link();
      const got = await racers.run({ kind: 'register', times: 50, tokens: [token], binding: browser });
      expect(got).toEqual([(await accountOf(t, email))!.id]);
      expect(await t.app.get(SessionService).listForUser(got[0] as string)).toHaveLength(1);
      expect(await t.db.query('SELECT 1 FROM users WHERE email = $1', [email])).toHaveLength(1);
    }
  });

  it('F31: an account that is created at the same moment, in another way, is the only one', async () => {
    for (let round = 0; round < 5; round++) {
      const { email, browser, token } = await link();
      const racing = racers.run({ kind: 'register', times: 10, tokens: [token], binding: browser });
      const created = outcome(createUser(t.app, email));
      const got = await racing;
      expect([got.length, await created]).toEqual(got.length === 1 ? [1, 'INVALID_INPUT'] : [0, 'ok']);
      expect(await t.db.query('SELECT 1 FROM users WHERE email = $1', [email])).toHaveLength(1);
      expect(
        await t.db.query('SELECT 1 FROM sessions WHERE user_id = $1', [(await accountOf(t, email))!.id]),
      ).toHaveLength(got.length);
    }
  });
});

describe('F22: an outage', () => {
  it('F22: a session that cannot be written leaves no account, and a link that still works', async () => {
    const email = newAddress();
    const { browser } = await registration.register(email, { password: PASSWORD });
    const { token } = await mailTo(t, email);
    const confirm = () => registration.confirm({ token }, { browsers: [browser] });
    const heard: AuthEvent[] = [];
    const stop = t.app.get(AuthEvents).on((event) => void heard.push(event));
    await t.db.query(`CREATE FUNCTION refuse_session() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '57014'; END $$`);
    await t.db.query('CREATE TRIGGER refuse BEFORE INSERT ON sessions EXECUTE FUNCTION refuse_session()');
    try {
      expect(await outcome(confirm())).toBe('STORE_UNAVAILABLE');
    } finally {
      await t.db.query('DROP FUNCTION refuse_session CASCADE');
      stop();
    }
    expect([heard, await accountOf(t, email)]).toEqual([[], null]);
    expect(await outcome(confirm())).toBe('ok');
  });

  it('F22: while the database is away every step is STORE_UNAVAILABLE, and nothing is lost', async () => {
    const database = await createProxiedDatabase();
    const away = await startTestApp({ url: database.url, auth: REGISTRATION });
    try {
      const service = away.app.get(RegistrationService);
      const email = newAddress();
      const { browser } = await service.register(email, { password: PASSWORD });
      const { token, code } = await mailTo(away, email);
      database.goAway();
      for (const work of [
        () => service.confirm({ token }, { browsers: [browser] }),
        () => service.confirm({ code }, { browsers: [browser] }),
        () => service.confirm({ token, password: PASSWORD }),
      ]) {
        expect(await outcome(work())).toBe('STORE_UNAVAILABLE');
      }
      for (const path of ['register', 'register/resend']) {
        const { status, body } = await request(away.url).post(`/auth/${path}`).send({ email });
        expect([status, body.code]).toEqual([503, 'STORE_UNAVAILABLE']);
      }
      database.comeBack();
      expect(await outcome(service.confirm({ code }, { browsers: [browser] }))).toBe('ok');
    } finally {
      await away.close();
      await database.drop();
    }
  }, 60_000);

  it('F15: a fault before the mail costs no quota', async () => {
    const email = newAddress();
    const users = t.app.get(PostgresUserDirectory);
    const away = jest.spyOn(users, 'findByLogin').mockRejectedValue(new Error('away'));
    for (let i = 0; i < 3; i++) await registration.register(email);
    await MemoryMailer.of(t.app);
    away.mockRestore();
    for (let i = 0; i < 4; i++) await registration.register(email);
    expect(await kindsTo(t, email)).toHaveLength(3);
  });
});

it('a browser is known by an earlier secret, and by no other', async () => {
  const old = 'another secret that is long enough: 0123456789';
  const [rotated, stranger] = await Promise.all(
    [[old, SECRET], [old]].map((secrets) => startTestApp({ url: t.db.url, auth: { ...REGISTRATION, secrets } })),
  );
  try {
    for (const [app, expected] of [
      [stranger!, 'INVALID_LINK'],
      [rotated!, 'ok'],
    ] as const) {
      app.clock.advance(t.clock.now() - app.clock.now());
      const email = newAddress();
      const { browser } = await registration.register(email, { password: PASSWORD });
      const { code } = await mailTo(t, email);
      const there = app.app.get(RegistrationService);
      expect(await outcome(there.confirm({ code }, { browsers: [browser] }))).toBe(expected);
    }
  } finally {
    await rotated?.close();
    await stranger?.close();
  }
});

it.each([undefined, null, 5, '', 'ada', 'ada@example.com,eve@example.com'])(
  'what is no mailbox is INVALID_INPUT: %j',
  async (email) => {
    const refused = { code: 'INVALID_INPUT', facts: { fields: { email: expect.any(String) } } };
    await expect(registration.register(email as string)).rejects.toMatchObject(refused);
    await expect((async () => registration.resend(email as string))()).rejects.toMatchObject(refused);
  },
);

it.each(['', 'short', 'x'.repeat(1_025)])(
  'a password of the wrong length is refused, and nothing is mailed: %j',
  async (password) => {
    const email = newAddress();
    const refused = { code: 'WEAK_PASSWORD', facts: { fields: { password: expect.any(String) } } };
    await expect(registration.register(email, { password })).rejects.toMatchObject(refused);
    expect(await kindsTo(t, email)).toEqual([]);
    await registration.register(email);
    const { token } = await mailTo(t, email);
    await expect(registration.confirm({ token, password })).rejects.toMatchObject(refused);
  },
);

it('a proof of nothing, and what is no token, are INVALID_LINK', async () => {
  for (const proof of [{}, { token: '' }, { code: 'BBBB-BBBB' }, { token: 5 as never }, { code: 5 as never }]) {
    expect(await outcome(registration.confirm(proof))).toBe('INVALID_LINK');
  }
});

it('the limit of wrong codes is over after 15 minutes', async () => {
  const email = newAddress();
  const { browser } = await registration.register(email, { password: PASSWORD });
  const { code } = await mailTo(t, email);
  const confirm = (typed: string) => outcome(registration.confirm({ code: typed }, { browsers: [browser] }));
  for (let i = 0; i < 5; i++) expect(await confirm('BBBB-BBBB')).toBe('INVALID_LINK');
  expect(await confirm(code)).toBe('RATE_LIMITED');
  t.clock.advance(minutes(15));
  expect(await confirm(code)).toBe('ok');
});

/** Users in a service of the application's own, which takes part in no transaction. */
@Injectable()
class RemoteDirectory extends PostgresUserDirectory {
  isAway = false;

  override async register(account: NewAccount) {
    if (this.isAway) throw new Error('away');
    return super.register(account);
  }
}

it('F22: a directory of the application that is away is STORE_UNAVAILABLE, and the link still works', async () => {
  const own = await startTestApp({ auth: { ...REGISTRATION, users: RemoteDirectory } });
  try {
    const service = own.app.get(RegistrationService);
    const email = newAddress();
    const { browser } = await service.register(email, { password: PASSWORD });
    const { token } = await mailTo(own, email);
    const confirm = () => outcome(service.confirm({ token }, { browsers: [browser] }));
    own.app.get(RemoteDirectory).isAway = true;
    expect(await confirm()).toBe('STORE_UNAVAILABLE');
    own.app.get(RemoteDirectory).isAway = false;
    expect(await confirm()).toBe('ok');
  } finally {
    await own.close();
  }
});
