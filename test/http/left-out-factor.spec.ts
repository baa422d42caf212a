import { beforeEach, describe, expect, it } from '@jest/globals';
import { minutes, PostgresUserDirectory, type AuthUser } from 'nestjs-latchkey';
import { totpOf } from 'nestjs-latchkey/testing';
import request from 'supertest';
import { createUser, PASSWORD, PLATFORMS } from '../support/app.js';
import { EVERY_FLOW } from '../support/every-flow.js';
import { PlainBrowser } from '../support/pages.js';
import { sharedTestApp } from '../support/shared-app.js';
import { cookiesIn, enrol, pendingLogin } from '../support/two-factor.js';

const KEY = { name: 'Backup', scopes: ['notes:read'], expiresIn: 3_600 };
const SHOWN = ['admin', 'admin-user', 'admin-events', 'admin-limits'];
const DONE = ['admin-disable', 'admin-enable', 'admin-end-session', 'admin-end-sessions'];

describe.each(PLATFORMS)('F56: a login that has left out the second step, on %s', (platform) => {
  const t = sharedTestApp({ platform, auth: EVERY_FLOW });
  const users = () => t.app.get(PostgresUserDirectory);
  let ada: AuthUser;
  let secret: string;
  /** The session of a password alone, in a browser that the account trusts. */
  let cookie: string;
  beforeEach(async () => {
    ada = await createUser(t.app);
    ({ secret } = await enrol(t, ada));
    const { token, challenge } = await pendingLogin(t, ada);
    const code = { token, method: 'totp', code: totpOf(secret, t.clock), trustBrowser: true };
    const trusted = await request(t.url).post('/auth/2fa/verify').set('Cookie', challenge).send(code).expect(200);
    t.clock.advance(minutes(20));
    const again = { email: ada.email, password: PASSWORD };
    const login = await request(t.url).post('/auth/login').set('Cookie', cookiesIn(trusted)).send(again).expect(200);
    expect(login.body.status).toBe('authenticated');
    cookie = cookiesIn(login);
  });

  const post = (path: string, body: object) => request(t.url).post(path).set('Cookie', cookie).send(body);
  const stepUp = async () => {
    const answer = await post('/auth/step-up', { method: 'totp', code: totpOf(secret, t.clock) }).expect(200);
    cookie = cookiesIn(answer);
  };
  const browser = () => {
    const one = new PlainBrowser(t.url);
    for (const pair of cookie.split('; ')) one.take(pair);
    return one;
  };

  it('makes no API key, which would last for a year, before the second factor is proved', async () => {
    const refused = await post('/auth/api-keys', KEY).expect(401);
    expect(refused.body).toMatchObject({ code: 'STEP_UP_REQUIRED', required: { aal: 2 } });
    const page = await browser().post('api-keys', { name: 'Backup', scopes: 'notes:read', days: '90' });
    expect(page.to).toBe('step-up?next=api-keys');
    expect((await request(t.url).get('/auth/api-keys').set('Cookie', cookie).expect(200)).body).toEqual([]);
    await stepUp();
    await post('/auth/api-keys', KEY).expect(201);
  });

  it('of an operator shows no account and does nothing to one, before the second factor is proved', async () => {
    const bob = await createUser(t.app);
    await users().setRoles(ada.id, ['admin']);
    for (const page of SHOWN) expect((await browser().open(page)).to).toMatch(/^step-up\?next=admin/);
    for (const page of DONE) expect((await browser().post(`${page}?id=${bob.id}`)).to).toBe('step-up?next=admin');
    expect((await users().findById(bob.id))!.disabledAt).toBeNull();
    await stepUp();
    expect((await browser().post(`admin-disable?id=${bob.id}`)).to).toBe(`admin-user?id=${bob.id}&done`);
  });
});
