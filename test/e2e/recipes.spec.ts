import { beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import {
  AuthTransaction,
  EphemeralTokenService,
  minutes,
  PasswordHasher,
  seconds,
  SessionService,
  PostgresUserDirectory,
  type AuthUser,
} from 'nestjs-latchkey';
import { MemoryMailer, signInAs } from 'nestjs-latchkey/testing';
import request, { type Response } from 'supertest';
import { RecipesModule } from '../app/recipes/recipes.module.js';
import { createUser, PASSWORD, PLATFORMS, startTestApp } from '../support/app.js';
import { BASE_URL, FailingMailer } from '../support/flows.js';
import { sharedTestApp } from '../support/shared-app.js';
import { storedText } from '../support/stored.js';

const MAIL = { baseUrl: BASE_URL, mailer: FailingMailer, mail: { timeout: seconds(2) } };

const NEW_PASSWORD = 'a brand new password';

describe.each(PLATFORMS)('recipes on %s', (platform) => {
  const t = sharedTestApp({
    platform,
    imports: [RecipesModule],
    auth: { rateLimits: undefined, trustedProxies: ['127.0.0.1'], jwt: { sessions: true }, ...MAIL },
  });
  let mailer: FailingMailer;
  let ada: AuthUser;
  let accounts = 0;
  let from: string;

  beforeAll(() => {
    mailer = t.app.get(FailingMailer);
  });
  beforeEach(async () => {
    t.clock.advance(minutes(20));
    from = `203.0.113.${++accounts}`;
    ada = await createUser(t.app, `ada${accounts}@example.com`);
    mailer.sent.length = 0;
    mailer.instead = undefined;
  });

  const post = (path: string, body: object, address = from) =>
    request(t.url).post(path).set('X-Forwarded-For', address).send(body);

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
