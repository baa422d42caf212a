import { Injectable } from '@nestjs/common';
import type { IncomingMessage } from 'node:http';
import { afterAll, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import {
  AuthTransaction,
  EphemeralTokenService,
  JwtCodecService,
  minutes,
  PasswordHasher,
  seconds,
  SessionService,
  PostgresUserDirectory,
  type AuthUser,
  type Mail,
} from 'nestjs-latchkey';
import { MemoryMailer, signInAs } from 'nestjs-latchkey/testing';
import request, { type Response } from 'supertest';
import { RecipesModule } from '../app/recipes/recipes.module.js';
import { createUser, PASSWORD, PLATFORMS, startTestApp, type TestApp } from '../support/app.js';
import { storedText } from '../support/stored.js';

@Injectable()
class TestMailer extends MemoryMailer {
  /** What it does instead of keeping the mail. */
  instead: ((mail: Mail) => Promise<void>) | undefined;
  override send(mail: Mail): Promise<void> {
    return this.instead ? this.instead(mail) : super.send(mail);
  }
}

const BASE_URL = 'https://app.example.com';
const MAIL = {
  baseUrl: BASE_URL,
  mailer: TestMailer,
  mail: { pages: { password_reset: '/reset-password' }, timeout: seconds(2) },
};

const NEW_PASSWORD = 'a brand new password';

describe.each(PLATFORMS)('recipes on %s', (platform) => {
  let t: TestApp;
  let mailer: TestMailer;
  let ada: AuthUser;
  let accounts = 0;
  let from: string;

  beforeAll(async () => {
    t = await startTestApp({
      platform,
      imports: [RecipesModule],
      auth: { rateLimits: undefined, trustedProxies: ['127.0.0.1'], jwt: { sessions: true }, ...MAIL },
    });
    mailer = t.app.get(TestMailer);
  });
  afterAll(() => t?.close());
  beforeEach(async () => {
    t.clock.advance(minutes(20));
    from = `203.0.113.${++accounts}`;
    ada = await createUser(t.app, `ada${accounts}@example.com`);
    mailer.sent.length = 0;
    mailer.instead = undefined;
  });

  const post = (path: string, body: object, address = from) =>
    request(t.url).post(path).set('X-Forwarded-For', address).send(body);
  const login = (password: string, email = ada.email) => post('/auth/login', { email, password });
  /** The mail goes out after the answer. */
  const mailTo = async (address: string) => {
    const mails = await MemoryMailer.of(t.app);
    return mails.to(address);
  };

  describe('password reset', () => {
    const forgot = (email: unknown = ada.email, address = from) =>
      post('/password/forgot', { email: email as string }, address);
    const reset = (token: unknown, password = NEW_PASSWORD) =>
      post('/password/reset', { token: token as string, password });
    const askForLink = async () => {
      await forgot().expect(202);
      return (await MemoryMailer.of(t.app)).last('password_reset').token;
    };

    it('T: forgot 202 and one mail, reset 200, old password 401, new 200', async () => {
      const token = await askForLink();
      expect(mailer.sent).toHaveLength(1);
      await reset(token).expect(200);
      await login(PASSWORD).expect(401);
      t.clock.advance(minutes(1));
      await login(NEW_PASSWORD).expect(200);
    });

    it('T: unknown, disabled: the same answer to the letter, and no mail', async () => {
      const off = await createUser(t.app, `off${accounts}@example.com`);
      await t.app.get(PostgresUserDirectory).disable(off.id);
      const known = await forgot().expect(202);
      const unknown = await forgot('nobody@example.com').expect(202);
      const disabled = await forgot(off.email).expect(202);
      expect([unknown.text, disabled.text]).toEqual([known.text, known.text]);
      expect(await mailTo(ada.email)).toHaveLength(1);
      expect(mailer.sent).toHaveLength(1);
    });

    it('the token is in the fragment of the link, and not in the database', async () => {
      const token = await askForLink();
      expect(mailer.sent[0]!.text).toContain(`${BASE_URL}/reset-password#${token}`);
      const stored = await storedText(t.db, 'auth_ephemeral_tokens');
      expect(stored).toContain(ada.email);
      expect(stored).not.toContain(token);
    });

    it('T: used twice: 200, then 400', async () => {
      const token = await askForLink();
      await reset(token).expect(200);
      await reset(token, 'yet another password').expect(400);
    });

    it('R8: of 20 parallel resets with one link one changes the password', async () => {
      const token = await askForLink();
      const answers = await Promise.all(
        Array.from({ length: 20 }, (_, i) =>
          post('/password/reset', { token, password: `password number ${i}` }, `198.51.100.${i}`),
        ),
      );
      expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    });

    it('R39: a later link voids the earlier one', async () => {
      const [first, second] = [await askForLink(), await askForLink()];
      await reset(first).expect(400);
      await reset(second).expect(200);
    });

    it('every session and JWT of the user ends, and nobody else is touched', async () => {
      const cookie = await signInAs(t.app, ada.id);
      const { token: jwt } = t.app.get(JwtCodecService).encode(ada.id);
      const bob = await signInAs(t.app, (await createUser(t.app, `bob${accounts}@example.com`)).id);
      const session = (headers: object) =>
        request(t.url)
          .get('/auth/session')
          .set(headers as Record<string, string>);
      await session({ Authorization: `Bearer ${jwt}` }).expect(200);
      await reset(await askForLink()).expect(200);
      await session({ Cookie: cookie }).expect(401);
      await session({ Authorization: `Bearer ${jwt}` }).expect(401);
      await session({ Cookie: bob }).expect(200);
    });

    it('R6: when the password cannot be written the token is not spent', async () => {
      const token = await askForLink();
      await t.db.query(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$`);
      await t.db.query(`CREATE TRIGGER refuse BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION refuse()`);
      await reset(token).expect(503);
      await t.db.query('DROP TRIGGER refuse ON users');
      await t.db.query('DROP FUNCTION refuse');
      await login(PASSWORD).expect(200);
      await reset(token).expect(200);
    });

    it('a password that is too short spends nothing', async () => {
      const token = await askForLink();
      await reset(token, 'short').expect(422);
      await reset(token).expect(200);
    });

    it('expired at the exact instant', async () => {
      const token = await askForLink();
      t.clock.advance(minutes(60) - 0.001);
      expect(await t.app.get(EphemeralTokenService).peek('password_reset', token)).not.toBeNull();
      t.clock.advance(0.001);
      await reset(token).expect(400);
    });

    it.each([
      ['a session token', 'A'.repeat(43)],
      ['nothing', undefined],
      ['a list', ['x']],
      ['200 characters', 'A'.repeat(200)],
    ])('refused: %s', async (_, token) => {
      await reset(token).expect(400);
    });

    it('T: 11 requests with 11 addresses from one IP: the first 10 are not 429, the 11th is', async () => {
      for (let i = 0; i < 10; i++) {
        const answer = await forgot(`someone${i}@example.com`).expect(202);
        expect(answer.headers['ratelimit-policy']).toBe('"password_reset_ip";q=10;w=900');
      }
      const refused = await forgot('eleventh@example.com').expect(429);
      expect(refused.headers['retry-after']).toBe('900');
      expect(refused.headers['ratelimit']).toBe('"password_reset_ip";r=0;t=900');
    });

    it('three mails an account, and the answer does not change', async () => {
      for (let i = 0; i < 5; i++) await forgot(ada.email, `198.51.100.${i}`).expect(202);
      expect(await mailTo(ada.email)).toHaveLength(3);
    });

    it.each<[string, () => Promise<void>]>([
      ['hangs', () => new Promise(() => {})],
      ['rejects', () => Promise.reject(new Error('the provider is away'))],
      [
        'throws at once',
        () => {
          throw new Error('the provider is away');
        },
      ],
    ])('F15: a mailer that %s: the same answer, no token is left, a new request works at once', async (_, instead) => {
      const { text } = await forgot().expect(202);
      await mailTo(ada.email);
      t.clock.advance(minutes(20));
      mailer.instead = instead;
      for (let i = 0; i < 3; i++) {
        const answer = await forgot(ada.email, `198.51.100.${i}`).expect(202);
        expect(answer.text).toBe(text);
      }
      await MemoryMailer.of(t.app);
      expect(await storedText(t.db, 'auth_ephemeral_tokens')).not.toContain(ada.email);
      mailer.instead = undefined;
      mailer.sent.length = 0;
      for (let i = 0; i < 4; i++) {
        await forgot(ada.email, `198.51.100.${i}`).expect(202);
        await MemoryMailer.of(t.app); // mails are sent side by side, and only the newest link works
      }
      expect(await mailTo(ada.email)).toHaveLength(3);
      await reset(mailer.last('password_reset').token).expect(200);
    });

    it('F15: the answer waits neither for the account nor for the mail', async () => {
      let answered!: (user: null) => void;
      const account = new Promise<null>((resolve) => (answered = resolve));
      const users = t.app.get(PostgresUserDirectory);
      const find = jest.spyOn(users, 'findByLogin').mockImplementation(() => account);
      await forgot().expect(202);
      answered(null); // only now: an answer that waited for it would never have come
      await MemoryMailer.of(t.app);
      expect(find).toHaveBeenCalledTimes(1);
      find.mockRestore();
    });

    it.each([
      ['Host', { Host: 'evil.example' }],
      ['X-Forwarded-Host', { 'X-Forwarded-Host': 'evil.example', 'X-Forwarded-Proto': 'http' }],
      ['Forwarded', { Forwarded: 'host=evil.example;proto=http' }],
      ['X-Original-Host', { 'X-Original-Host': 'evil.example', 'X-Host': 'evil.example' }],
    ])('F18: a forged %s does not change the link', async (_, headers) => {
      await forgot()
        .set(headers as Record<string, string>)
        .expect(202);
      const [mail] = await mailTo(ada.email);
      expect(mail).toMatchObject({ link: expect.stringMatching(/^https:\/\/app\.example\.com\/reset-password#/) });
      expect(JSON.stringify(mail)).not.toContain('evil');
    });

    it('F19: scanners that open the link spend nothing, and the token reaches no access log', async () => {
      const accessLog: string[] = [];
      t.app
        .getHttpServer()
        .on('request', ({ method, url, rawHeaders }: IncomingMessage) =>
          accessLog.push([method, url, ...rawHeaders].join(' ')),
        );
      const token = await askForLink();
      const links = (await mailTo(ada.email)).flatMap(({ text }) => text.match(/https:\S+/g) ?? []);
      expect(links).toHaveLength(1);
      const opened = links[0]!.replace(BASE_URL, t.url);
      await fetch(opened, { method: 'HEAD' });
      for (let i = 0; i < 10; i++) await fetch(opened);
      await reset(token).expect(200);
      expect(accessLog.filter((line) => line.includes(' /reset-password '))).toHaveLength(11);
      expect(accessLog.filter((line) => line.includes(token))).toEqual([]);
      // Negative control: a token in the query would be seen.
      await fetch(opened.replace('#', '?token='));
      expect(accessLog.filter((line) => line.includes(token))).toHaveLength(1);
    });

    it.each([
      ['a comma', 'one%d@example.com,two@evil.example'],
      ['a semicolon', 'one%d@example.com;two@evil.example'],
      ['a display name', '"one%d@example.com" <two@evil.example>'],
    ])('F17: to the account of another program whose address has %s nothing is written', async (_, address) => {
      const email = address.replace('%d', String(accounts));
      await t.db.query('UPDATE users SET email = $1 WHERE id = $2', [email, ada.id]);
      await forgot(email).expect(202);
      await MemoryMailer.of(t.app);
      expect(mailer.sent).toEqual([]);
      expect(await storedText(t.db, 'auth_ephemeral_tokens')).not.toContain('evil.example');
    });
  });

  describe('a mailed code as second factor', () => {
    const challengeOf = (answer: Response) =>
      answer
        .get('Set-Cookie')!
        .find((cookie) => cookie.startsWith('__Host-2fa'))!
        .split(';')[0]!;
    const first = async (password = PASSWORD, address = from) => {
      const answer = await post('/two-factor/login', { email: ada.email, password }, address).expect(200);
      const { code } = (await MemoryMailer.of(t.app)).last('login_code');
      return { answer, code, preAuthToken: answer.body.preAuthToken as string, challenge: challengeOf(answer) };
    };
    const second = (step: { preAuthToken: string; challenge: string }, code: string, address = from) =>
      post('/two-factor/verify', { preAuthToken: step.preAuthToken, code }, address).set('Cookie', step.challenge);
    const wrong = (code: string) => (code === '000000' ? '111111' : '000000');

    it('password, code, session: 200, and the challenge cookie is cleared', async () => {
      const step = await first();
      const answer = await second(step, step.code).expect(200);
      const session = answer.get('Set-Cookie')!.find((cookie) => cookie.startsWith('__Host-session='))!;
      await request(t.url).get('/auth/session').set('Cookie', session.split(';')[0]!).expect(200);
      expect(answer.get('Set-Cookie')!.some((cookie) => cookie.startsWith('__Host-2fa-challenge=;'))).toBe(true);
    });

    it('R10: after the password there is nothing that opens anything', async () => {
      const { answer, preAuthToken, challenge } = await first();
      expect(answer.get('Set-Cookie')!.some((cookie) => cookie.startsWith('__Host-session'))).toBe(false);
      for (const headers of [
        { Authorization: `Bearer ${preAuthToken}` },
        { Cookie: `__Host-session=${preAuthToken}` },
        { Cookie: challenge },
        { Cookie: challenge.replace('2fa-challenge', 'session') },
      ]) {
        await request(t.url)
          .get('/auth/session')
          .set(headers as object as Record<string, string>)
          .expect(401);
      }
      expect(await t.app.get(SessionService).listForUser(ada.id)).toEqual([]);
    });

    it("R10: the module's own login, which asks for the password only, can be left out", async () => {
      const strict = await startTestApp({
        url: t.db.url,
        platform,
        imports: [RecipesModule],
        auth: { routes: { path: 'auth', login: false }, ...MAIL },
      });
      const credentials = { email: ada.email, password: PASSWORD };
      await request(strict.url).post('/auth/login').send(credentials).expect(404);
      await request(strict.url).post('/auth/token').send(credentials).expect(404);
      await request(strict.url).get('/auth/session').expect(401);
      await request(strict.url).post('/auth/logout').expect(200);
      await strict.close();
    });

    it('works in the signed-cookie scheme as well', async () => {
      const signed = await startTestApp({
        url: t.db.url,
        platform,
        imports: [RecipesModule],
        auth: { session: { scheme: 'signed-cookie' }, ...MAIL },
      });
      signed.clock.set(t.clock.now());
      const step = await request(signed.url)
        .post('/two-factor/login')
        .send({ email: ada.email, password: PASSWORD })
        .expect(200);
      const { code } = (await MemoryMailer.of(signed.app)).last('login_code');
      const answer = await request(signed.url)
        .post('/two-factor/verify')
        .set('Cookie', challengeOf(step))
        .send({ preAuthToken: step.body.preAuthToken, code })
        .expect(200);
      const session = answer.get('Set-Cookie')!.find((cookie) => cookie.startsWith('__Host-session='))!;
      await request(signed.url).get('/auth/session').set('Cookie', session.split(';')[0]!).expect(200);
      await signed.close();
    });

    it('R19: a wrong body is 422, whatever is in it', async () => {
      for (const email of ['a\u0000b@example.com', 5, 'x'.repeat(5000)]) {
        await post('/two-factor/login', { email, password: PASSWORD }).expect(422);
      }
    });

    it('T: a wrong code is 401, and the same token with the right code 200; then it is spent', async () => {
      const step = await first();
      await second(step, wrong(step.code)).expect(401);
      await second(step, step.code).expect(200);
      await second(step, step.code).expect(401);
    });

    it('R4: without the challenge cookie, or with that of another login, the token is nothing', async () => {
      const step = await first();
      t.clock.advance(minutes(1));
      const other = await first();
      await post('/two-factor/verify', { preAuthToken: step.preAuthToken, code: step.code }).expect(401);
      await second({ ...other, challenge: step.challenge }, other.code).expect(401);
      await second(other, other.code).expect(200);
    });

    it('T: 5 wrong codes, the 6th try is 429; R9: a new challenge does not reset the count', async () => {
      const step = await first();
      for (let i = 0; i < 3; i++) await second(step, wrong(step.code)).expect(401);
      const again = await first();
      for (let i = 0; i < 2; i++) await second(again, wrong(again.code)).expect(401);
      const refused = await second(again, again.code).expect(429);
      expect(refused.headers['retry-after']).toBe('900');
      t.clock.advance(minutes(15));
      const later = await first();
      await second(later, later.code).expect(200);
    });

    it.each<[string, (users: PostgresUserDirectory) => Promise<unknown>]>([
      ['a new password', (users) => users.setPassword(ada.id, NEW_PASSWORD)],
      ['disabled, and enabled again', (users) => users.disable(ada.id).then(() => users.enable(ada.id))],
      [
        'signed out everywhere',
        async () => {
          const cookie = await signInAs(t.app, ada.id);
          await request(t.url).post('/auth/logout-all').set('Cookie', cookie).expect(200);
        },
      ],
    ])('H16: %s between the steps: the right code is refused, and the next login is not', async (what, meanwhile) => {
      // Step one on a machine whose clock is ahead of that of the machine which then ends the access.
      t.clock.advance(seconds(30));
      const step = await first();
      t.clock.advance(-seconds(30));
      await meanwhile(t.app.get(PostgresUserDirectory));
      const answer = await second(step, step.code).expect(401);
      expect(answer.get('Set-Cookie') ?? []).toEqual([]);
      expect(await t.app.get(SessionService).listForUser(ada.id)).toEqual([]);

      t.clock.advance(seconds(40));
      const again = await first(what === 'a new password' ? NEW_PASSWORD : PASSWORD);
      await second(again, again.code).expect(200);
    });

    it('H16: disabled and enabled again within the first step: the right code is refused', async () => {
      const users = t.app.get(PostgresUserDirectory);
      // The code is hashed once the password was read, and before the pre-auth token is issued.
      const hash = jest.spyOn(t.app.get(PasswordHasher), 'hash').mockImplementationOnce(async (code) => {
        await users.disable(ada.id);
        await users.enable(ada.id);
        t.clock.advance(1);
        return t.app.get(PasswordHasher).hash(code);
      });
      const step = await first();
      await second(step, step.code).expect(401);
      expect(hash).toHaveBeenCalled();
      hash.mockRestore();
    });

    it('R8: of 4 parallel right codes one gets a session', async () => {
      const step = await first();
      const answers = await Promise.all(
        Array.from({ length: 4 }, (_, i) => second(step, step.code, `198.51.100.${i}`)),
      );
      expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
      expect(await t.app.get(SessionService).listForUser(ada.id)).toHaveLength(1);
    });

    it('G4: the first step has the limits of the login', async () => {
      await post('/two-factor/login', { email: ada.email, password: 'wrong' }).expect(401);
      await post('/two-factor/login', { email: ada.email, password: PASSWORD }).expect(429);
    });

    it('H14: its failures are among those in a row that disable the password', async () => {
      const failures = async () =>
        (await t.db.query('SELECT failures FROM auth_password_attempts WHERE user_id = $1', [ada.id]))[0]?.['failures'];
      await post('/two-factor/login', { email: ada.email, password: 'wrong' }).expect(401);
      expect(await failures()).toBe(1);
      await t.db.query('UPDATE auth_password_attempts SET failures = 100 WHERE user_id = $1', [ada.id]);
      await post('/two-factor/login', { email: ada.email, password: PASSWORD }, '198.51.100.77').expect(401);
    });

    it('H4: strangers do not lock the owner out of a browser that has logged in before', async () => {
      const step = await first();
      const done = await second(step, step.code).expect(200);
      const device = done
        .get('Set-Cookie')!
        .find((cookie) => cookie.includes('-device='))!
        .split(';')[0]!;
      for (let i = 0; i < 10; i++) {
        await post('/two-factor/login', { email: ada.email, password: 'wrong' }, `192.0.2.${100 + i}`).expect(401);
      }
      const right = () => post('/two-factor/login', { email: ada.email, password: PASSWORD }, '192.0.2.99');
      await right().expect(429);
      await right().set('Cookie', device).expect(200);
    });

    it('the code is not in the database', async () => {
      const { code } = await first();
      const rows = await storedText(t.db, 'auth_ephemeral_tokens');
      expect(rows).not.toContain(`"${code}"`);
    });

    it('three codes in ten minutes', async () => {
      for (let i = 0; i < 3; i++) await first();
      await post('/two-factor/login', { email: ada.email, password: PASSWORD }).expect(429);
    });
  });

  describe('download link', () => {
    const link = async (id: string) => {
      const cookie = await signInAs(t.app, ada.id);
      return (
        (await request(t.url).post(`/files/${id}/link`).set('Cookie', cookie).expect(201)).body as { url: string }
      ).url;
    };

    it('T: bound to file 5: file 6 is refused, then file 5 is served, once', async () => {
      const url = await link('5');
      await request(t.url).get(url.replace('/5?', '/6?')).expect(404);
      expect((await request(t.url).get(url).expect(200)).body).toEqual({ file: '5' });
      await request(t.url).get(url).expect(404);
    });

    it('is over after five minutes, and asked for by those who are logged in', async () => {
      const url = await link('7');
      t.clock.advance(minutes(5));
      await request(t.url).get(url).expect(404);
      await request(t.url).post('/files/7/link').expect(401);
    });
  });

  describe('AuthTransaction', () => {
    it('undoes everything when the work throws, and passes the error on', async () => {
      const tokens = t.app.get(EphemeralTokenService);
      const token = await tokens.issue('password_reset', { username: ada.email });
      const work = t.app.get(AuthTransaction).run(async () => {
        await tokens.consume('password_reset', token);
        throw new RangeError('changed my mind');
      });
      await expect(work).rejects.toThrow(RangeError);
      expect(await tokens.peek('password_reset', token)).not.toBeNull();
    });

    it('a connection killed inside: an error, nothing half done, and the pool goes on', async () => {
      const tokens = t.app.get(EphemeralTokenService);
      const token = await tokens.issue('password_reset', { username: ada.email });
      const work = t.app.get(AuthTransaction).run(async () => {
        await tokens.consume('password_reset', token);
        await t.db.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
          WHERE datname = current_database() AND state = 'idle in transaction'`);
        await t.app.get(PostgresUserDirectory).findById(ada.id);
      });
      await expect(work).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
      expect(await tokens.consume('password_reset', token)).not.toBeNull();
    });

    it('50 at once on a pool of ten', async () => {
      const tokens = t.app.get(EphemeralTokenService);
      const transaction = t.app.get(AuthTransaction);
      const token = await tokens.issue('password_reset', { username: ada.email });
      const results = await Promise.all(
        Array.from({ length: 50 }, () => transaction.run(() => tokens.consume('password_reset', token))),
      );
      expect(results.filter((fields) => fields !== null)).toHaveLength(1);
    });
  });
});
