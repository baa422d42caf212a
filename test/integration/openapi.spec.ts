import { Injectable } from '@nestjs/common';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  hours,
  JwtCodecService,
  PasswordHasher,
  PostgresUserDirectory,
  UserDirectory,
  type AuthUser,
} from 'nestjs-latchkey';
import { withAuthPaths } from 'nestjs-latchkey/openapi';
import request from 'supertest';
import { PASSWORD, PLATFORMS, startTestApp, type TestApp, type TestAppOptions } from '../support/app.js';
import { AnswerChecker, emptyDocument, operationsOf, type Document } from '../support/openapi.js';
import { FLOW_COOKIE, cookiesOf, mailTo, REGISTRATION } from '../support/registration.js';
import { createProxiedDatabase, type ProxiedDatabase } from '../support/tcp-proxy.js';

/** A directory of an application that cannot end what is stored nowhere. */
@Injectable()
class DirectoryWithoutCutoffs extends PostgresUserDirectory {}
const inherited = Object.getOwnPropertyDescriptor(UserDirectory.prototype, 'invalidateTokens')!;
Object.defineProperty(DirectoryWithoutCutoffs.prototype, 'invalidateTokens', inherited);

const LIMITS = {
  policies: { login_ip: { limit: 100_000 }, login_attempt: { limit: 2 }, mail_ip: { limit: 100_000 } },
  backoff: { base: 0 },
};

interface Configuration {
  readonly name: string;
  readonly openapi: string;
  readonly auth: NonNullable<TestAppOptions['auth']>;
  /** What the document says and this configuration cannot show, each with the reason. */
  readonly unseen: Readonly<Record<string, string>>;
}

const CONFIGURATIONS: readonly Configuration[] = [
  { name: 'as it comes', openapi: '3.0.0', auth: {}, unseen: {} },
  {
    name: 'JWTs, a login page, remember me, cleared browsers, and a directory without cutoffs',
    openapi: '3.1.0',
    auth: {
      jwt: { sessions: true, registry: true },
      loginPage: '/login',
      session: { remembered: {} },
      routes: { path: 'auth', clearSiteData: true },
      users: DirectoryWithoutCutoffs,
    },
    unseen: { 'authLogoutAll 200': 'the directory refuses every time' },
  },
  { name: 'signed cookies', openapi: '3.0.3', auth: { session: { scheme: 'signed-cookie' } }, unseen: {} },
];

let database: ProxiedDatabase;
beforeAll(async () => void (database = await createProxiedDatabase()));
afterAll(() => database?.drop());

const CASES = PLATFORMS.flatMap((platform) => CONFIGURATIONS.map((configuration) => ({ platform, ...configuration })));

describe.each(CASES)('the document of $platform, $name', ({ platform, openapi, auth, unseen }) => {
  let t: TestApp;
  let document: Document;
  let checker: AnswerChecker;

  beforeAll(async () => {
    const options = {
      ...REGISTRATION,
      rateLimits: LIMITS,
      password: { memoryCost: 8, timeCost: 1, concurrency: 1, queue: 0 },
      ...auth,
    };
    t = await startTestApp({ platform, url: database.url, auth: options });
    for (const table of ['users', 'auth_rate_limit_events']) await t.db.query(`DELETE FROM ${table}`);
    document = withAuthPaths(emptyDocument(openapi), t.app);
    checker = new AnswerChecker(document);
  }, 60_000);
  afterAll(() => t?.close());

  /** Sends it, and fails if the answer is not what the document says. */
  async function send(
    method: 'get' | 'post' | 'delete',
    path: string,
    { headers = {}, body }: { headers?: Record<string, string>; body?: object | string } = {},
  ) {
    const asked = request(t.url)[method](path).redirects(0).set(headers);
    if (typeof body === 'string' && !headers['Content-Type']) asked.set('Content-Type', 'application/json');
    const answer = await (body === undefined ? asked : asked.send(body));
    expect(checker.mistakes(method, path, body, answer)).toEqual([]);
    return answer;
  }
  const LOGINS = ['/auth/login', '/auth/token'];
  const GUARDED = [
    ['get', '/auth/session'],
    ['get', '/auth/sessions'],
    ['delete', '/auth/sessions/none'],
    ['post', '/auth/logout-all'],
  ] as const;
  const FORGED = 'A'.repeat(43);
  const REGISTERING = [
    ['/auth/register', { email: 'new@example.com', password: PASSWORD }],
    ['/auth/register/resend', { email: 'new@example.com' }],
    ['/auth/register/confirm', { token: FORGED, password: PASSWORD }],
  ] as const;
  const FOREIGN = { Origin: 'https://evil.example' };
  const cookieOf = (answer: request.Response) =>
    answer
      .get('Set-Cookie')!
      .map((one) => one.split(';')[0])
      .join('; ');

  async function logIn(email: string) {
    const answer = await send('post', '/auth/login', { body: { email, password: PASSWORD } });
    expect(answer.status).toBe(200);
    return { Cookie: cookieOf(answer) };
  }

  /** Each of our routes once, as somebody who is logged in. */
  async function sendAll(email: string, headers: Record<string, string>) {
    const answers = [];
    for (const path of LOGINS) answers.push(await send('post', path, { body: { email, password: PASSWORD } }));
    for (const [method, path] of GUARDED) answers.push(await send(method, path, { headers }));
    answers.push(await send('post', '/auth/logout', { headers }));
    for (const [path, body] of REGISTERING) answers.push(await send('post', path, { body }));
    return new Set(answers.map(({ status, body }) => `${status} ${body.code}`));
  }

  it('every route and status is answered as it says', async () => {
    for (const path of LOGINS) {
      const body = { email: 'ada@example.com', password: PASSWORD };
      expect((await send('post', path, { body })).body.code).toBe('SETUP_INCOMPLETE');
    }
    await seesRegistration();
    const ada = await createUser(t, 'ada@example.com');
    const right = { email: ada.email, password: PASSWORD };
    for (const path of LOGINS) {
      expect((await send('post', path, { body: right })).status).toBe(200);
      expect((await send('post', path, { body: { ...right, password: 'wrong' } })).status).toBe(401);
      expect((await send('post', path, { body: right, headers: FOREIGN })).status).toBe(403);
      expect((await send('post', path, { body: { password: 'a'.repeat(2_000_000) } })).status).toBe(413);
      for (const body of ['{', '[]', '""', {}, { email: 1, password: PASSWORD }])
        expect((await send('post', path, { body })).status).toBe(422);
      for (const type of ['text/xml', 'application/json; charset=none'])
        expect((await send('post', path, { body: '{}', headers: { 'Content-Type': type } })).status).toBe(422);
      const busy = keepHashing(t);
      expect((await send('post', path, { body: right })).body.code).toBe('HASHER_OVERLOADED');
      await busy.stop();
    }
    await createUser(t, 'eve@example.com');
    for (const _ of [1, 2])
      await send('post', '/auth/login', { body: { email: 'eve@example.com', password: 'wrong' } });
    for (const path of LOGINS)
      expect((await send('post', path, { body: { email: 'eve@example.com', password: 'wrong' } })).status).toBe(429);
    for (const [method, path] of GUARDED) expect((await send(method, path)).status).toBe(401);

    // With a cookie, and with a bearer token.
    const token = (await send('post', '/auth/token', { body: right })).body.token as string;
    const bearer = { Authorization: `Bearer ${token}` };
    const cookie = await logIn(ada.email);
    for (const headers of [cookie, bearer]) {
      for (const path of ['/auth/session', '/auth/session?extend=false', '/auth/sessions'])
        expect((await send('get', path, { headers })).status).toBe(200);
      expect((await send('delete', '/auth/sessions/none', { headers })).body.code).toBe('SESSION_NOT_FOUND');
    }
    for (const path of ['/auth/logout', '/auth/logout-all'])
      expect((await send('post', path, { headers: { ...cookie, ...FOREIGN } })).status).toBe(403);
    expect((await send('delete', '/auth/sessions/none', { headers: { ...cookie, ...FOREIGN } })).status).toBe(403);
    const current = (await send('get', '/auth/session', { headers: cookie })).body.session.handle as string;
    const ended = await send('delete', `/auth/sessions/${current}`, { headers: cookie });
    expect([ended.status, ended.get('Set-Cookie')!.length]).toEqual([200, 1]);
    for (const headers of [{}, cookie, bearer, await logIn(ada.email)])
      expect((await send('post', '/auth/logout', { headers })).status).toBe(200);
    const everywhere = await send('post', '/auth/logout-all', { headers: await logIn(ada.email) });
    expect(everywhere.status).toBe(auth.users ? 500 : 200);

    if (auth.loginPage) {
      for (const [method, path] of GUARDED) {
        expect((await send(method, path, { headers: { Accept: 'text/html' } })).status).toBe(303);
        expect((await send(method, path, { headers: { 'HX-Request': 'true' } })).headers['hx-redirect']).toBe('/login');
      }
      await send('post', '/auth/login', { body: { ...right, remember: true } });
      expect((await send('post', '/auth/login', { body: { ...right, remember: 'yes' } })).status).toBe(422);
    }
    if (auth.jwt) for (const [code, refused] of await refusedTokens(t)) await refuses(code, refused);

    t.clock.advance(1);
    const headers = await logIn(ada.email);
    const tables = ['sessions', 'users', 'revoked_tokens', 'auth_ephemeral_tokens', 'auth_rate_limit_events'];
    for (const table of tables) await t.db.query(`ALTER TABLE ${table} RENAME TO gone_${table}`);
    const withoutTables = await sendAll(ada.email, headers).catch(String);
    for (const table of tables) await t.db.query(`ALTER TABLE gone_${table} RENAME TO ${table}`);
    expect(withoutTables).toEqual(new Set(['503 SCHEMA_MISSING']));

    database.goAway();
    const withoutDatabase = await sendAll(ada.email, headers).catch(String);
    database.comeBack();
    expect(withoutDatabase).toEqual(new Set(['503 STORE_UNAVAILABLE']));

    expect(checker.missing()).toEqual(Object.keys(unseen));
  }, 120_000);

  async function seesRegistration() {
    const [[register, asking], [resend], [confirm]] = REGISTERING;
    for (const [path, body] of REGISTERING) {
      expect((await send('post', path, { body, headers: FOREIGN })).status).toBe(403);
      expect((await send('post', path, { body: { password: 'a'.repeat(2_000_000) } })).status).toBe(413);
      for (const wrong of ['{', '[]', {}, { ...body, roles: ['admin'] }])
        expect((await send('post', path, { body: wrong })).status).toBe(422);
    }
    const [short, later] = ['short', `later.${asking.email}`];
    expect((await send('post', register, { body: { ...asking, password: short } })).body.code).toBe('WEAK_PASSWORD');
    expect((await send('post', register, { body: { email: later } })).status).toBe(202);
    const chosen = { token: (await mailTo(t, later)).token, password: short };
    expect((await send('post', confirm, { body: chosen })).body.code).toBe('WEAK_PASSWORD');
    const asked = await send('post', register, { body: asking });
    expect(asked.status).toBe(202);
    const { token, code } = await mailTo(t, asking.email);
    for (let i = 0; i < 5; i++)
      expect((await send('post', confirm, { body: { token, password: 'wrong' } })).status).toBe(401);
    expect((await send('post', confirm, { body: { token, password: PASSWORD } })).status).toBe(429);
    expect((await send('post', confirm, { body: { token: FORGED } })).status).toBe(400);
    t.clock.advance(hours(1));
    const busy = keepHashing(t);
    expect((await send('post', register, { body: asking })).body.code).toBe('HASHER_OVERLOADED');
    expect((await send('post', confirm, { body: { token, password: PASSWORD } })).body.code).toBe('HASHER_OVERLOADED');
    await busy.stop();
    const headers = { Cookie: `${FLOW_COOKIE}=${cookiesOf(asked)[FLOW_COOKIE]}` };
    expect((await send('post', confirm, { body: { code }, headers })).status).toBe(200);
    for (const path of [register, resend]) {
      let answer: request.Response;
      do answer = await send('post', path, { body: { email: asking.email } });
      while (answer.status === 202);
      expect(answer.status).toBe(429);
      t.clock.advance(hours(1));
      expect((await send('post', path, { body: { email: asking.email } })).status).toBe(202);
    }
    await t.db.query('DELETE FROM users');
    t.clock.advance(hours(1));
  }

  async function refuses(code: string, token: string) {
    for (const [method, path] of GUARDED) {
      const answer = await send(method, path, { headers: { Authorization: `Bearer ${token}` } });
      expect([answer.status, answer.body.code]).toEqual([401, code]);
    }
  }

  it('an answer that it does not say is found (negative control)', async () => {
    const answer = await request(t.url).get('/auth/session').expect(401);
    const mistakes = (change: (copy: Document) => void) => {
      const copy = structuredClone(document);
      change(copy);
      return new AnswerChecker(copy).mistakes('get', '/auth/session', undefined, answer);
    };
    const responses = ({ paths }: Document) => paths['/auth/session']!['get']!.responses;
    expect(mistakes(() => {})).toEqual([]);
    expect(mistakes((copy) => delete responses(copy)['401'])).toHaveLength(1);
    expect(mistakes((copy) => delete responses(copy)['401']!.headers!['WWW-Authenticate'])).toHaveLength(1);
    expect(mistakes((copy) => (responses(copy)['401'] = responses(copy)['503']!))).not.toEqual([]);
    expect(
      mistakes((copy) => {
        const schema = copy.components!.schemas!['AuthUnauthenticated'] as { properties: Record<string, object> };
        delete schema.properties['message'];
      }),
    ).not.toEqual([]);
    expect(operationsOf(document)).toHaveLength(10);
  });
});

let users = 0;

/** An account, in whichever directory the application has. */
function createUser({ app }: Pick<TestApp, 'app'>, email = `user${++users}@example.com`): Promise<AuthUser> {
  return app.get<PostgresUserDirectory>(UserDirectory).create(email, PASSWORD);
}

/** Keeps the only place of the hasher taken. */
function keepHashing({ app }: TestApp) {
  const hasher = app.get(PasswordHasher);
  const over = new AbortController();
  const work = (async () => {
    while (!over.signal.aborted) await hasher.hash('busy');
  })();
  return { stop: () => (over.abort(), work) };
}

/** A bearer JWT for each code that refuses one. */
async function refusedTokens({ app, clock, db }: TestApp): Promise<[code: string, token: string][]> {
  const codec = app.get(JwtCodecService);
  const tokenOf = async () => {
    const user = await createUser({ app });
    return { id: user.id, token: codec.encode(user.id).token };
  };
  const [revoked, disabled, outdated] = [await tokenOf(), await tokenOf(), await tokenOf()];
  await request(app.getHttpServer()).post('/auth/logout').set('Authorization', `Bearer ${revoked.token}`).expect(200);
  clock.advance(1000);
  const now = new Date(clock.now()).toISOString();
  await db.query(`UPDATE users SET disabled_at = '${now}' WHERE id = '${disabled.id}'`);
  await db.query(`UPDATE users SET tokens_invalidated_after = '${now}' WHERE id = '${outdated.id}'`);
  return [
    ['INVALID_TOKEN', `${revoked.token}x`],
    ['TOKEN_REVOKED', revoked.token],
    ['ACCOUNT_INACTIVE', disabled.token],
    ['TOKENS_INVALIDATED', outdated.token],
  ];
}
