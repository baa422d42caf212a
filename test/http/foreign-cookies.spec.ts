import { describe, expect, it } from '@jest/globals';
import { totpOf } from 'nestjs-latchkey/testing';
import request from 'supertest';
import { randomToken } from '../../src/crypto/random.js';
import { createUser, PASSWORD, PLATFORMS } from '../support/app.js';
import { EVERY_FLOW } from '../support/every-flow.js';
import { sharedTestApp } from '../support/shared-app.js';
import { cookiesIn, enrol, pendingLogin } from '../support/two-factor.js';

const NAMES = [
  '',
  '-2fa',
  '-device',
  '-trusted',
  '-register',
  '-magic-link',
  '-oidc',
  '-oidc-link',
  '-passkey',
  '-pages',
];
/** What reads cookies before anybody is logged in. */
const ROUTES: [path: string, body: object][] = [
  ['logout', {}],
  ['2fa/verify', { token: 'A'.repeat(43), method: 'totp', code: '123456' }],
  ['register/confirm', { code: 'WDJB-MJHT' }],
  ['magic-link/confirm', { code: 'WDJB-MJHT' }],
  ['oidc/exchange', { token: 'A'.repeat(43) }],
];
/** As many as one browser sends: the header is limited by Node. */
const MOST = 200;

const junk = () => randomToken().toString('base64url');
const crowd = (name: string) => Array.from({ length: MOST }, () => `${name}=${junk()}`).join('; ');

// Without the prefix, another host of the domain can set cookies of our names, with longer paths and so in front of ours.
describe.each(PLATFORMS)('cookies that another host of the domain has set, on %s', (platform) => {
  const t = sharedTestApp({ platform, auth: { ...EVERY_FLOW, cookie: { hostPrefix: false } } });
  const post = (path: string, cookie: string, body: object) =>
    request(t.url).post(`/auth/${path}`).set('Cookie', cookie).send(body);

  it.each(NAMES)('200 of session%s let nobody in, are no fault, and cost a handful of statements', async (suffix) => {
    // Without any account a login is a fault.
    await createUser(t.app);
    // Too many failures of one name would be refused unseen.
    const login = { email: `nobody${suffix}@example.com`, password: PASSWORD };
    for (const [path, body] of [['login', login] as const, ...ROUTES]) {
      t.queries.reset();
      await post(path, 'other=1', body);
      const usual = t.queries.statements.length;
      t.queries.reset();
      const answer = await post(path, crowd(`session${suffix}`), body);
      const refused = path === 'logout' ? [200] : [400, 401, 422];
      expect([path, refused.includes(answer.status)]).toEqual([path, true]);
      expect(t.queries.statements.length - usual).toBeLessThanOrEqual(10);
      expect(cookiesIn(answer)).not.toMatch(/session=[\w-]/);
    }
  });

  it('beside the session cookie: nobody, and the session goes on once they are gone', async () => {
    const { email } = await createUser(t.app);
    const own = cookiesIn(await request(t.url).post('/auth/login').send({ email, password: PASSWORD }).expect(200));
    const session = (cookie: string) => request(t.url).get('/auth/session').set('Cookie', cookie);
    for (const one of [crowd('session'), 'session=', `session="${junk()}"`]) {
      await session(`${one}; ${own}`).expect(401);
      await session(`${own}; ${one}`).expect(401);
    }
    // Other names, however alike.
    const alike = [
      'SESSION=1',
      '=session=1',
      '__Host-session=1',
      '%73ession=1',
      '"session"=1',
      'xsession=1',
      'session',
    ];
    await session(`${alike.join('; ')}; ${own}`).expect(200);
  });

  it('beside the cookie of a held login: it waits, unspent, until they are gone', async () => {
    const user = await createUser(t.app);
    const { secret } = await enrol(t, user);
    const { token, challenge } = await pendingLogin(t, user);
    const complete = (cookie: string) =>
      post('2fa/verify', cookie, { token, method: 'totp', code: totpOf(secret, t.clock) });
    await complete(`${crowd('session-2fa')}; ${challenge}`).expect(401);
    await complete(challenge).expect(200);
  });
});
