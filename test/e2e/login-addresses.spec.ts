import { describe, expect, it } from '@jest/globals';
import { AuthError, minutes, PostgresUserDirectory, seconds } from 'nestjs-latchkey';
import request from 'supertest';
import { createUser, PASSWORD, PLATFORMS, startTestApp } from '../support/app.js';
import { loginAttempts } from '../support/login-attempts.js';

describe.each(PLATFORMS)('limits of an address on login, on %s', (platform) => {
  const logins = loginAttempts(platform);
  const { attempt, elsewhere } = logins;

  it('T: another address is unaffected; T: X-Forwarded-For from an untrusted peer is ignored', async () => {
    await attempt('wrong').expect(401);
    await attempt(PASSWORD, { address: elsewhere() }).expect(200);

    const plain = await startTestApp({ url: logins.t.db.url, platform, auth: { rateLimits: undefined } });
    const post = (address: string) =>
      request(plain.url)
        .post('/auth/login')
        .set('X-Forwarded-For', address)
        .send({ email: logins.email, password: 'wrong' });
    await post('192.0.2.1').expect(401);
    await post('192.0.2.2').expect(429);
    await plain.close();
  });

  it("twenty failures block the address; one's own success never clears it", async () => {
    const victims = await Promise.all(Array.from({ length: 21 }, () => createUser(logins.t.app)));
    for (let i = 0; i < 20; i++) {
      await attempt('wrong', { login: victims[i]!.email }).expect(401);
      logins.t.clock.advance(seconds(5));
      if (i === 10) await attempt(PASSWORD).expect(200);
    }
    await attempt('wrong', { login: victims[20]!.email }).expect(429);
    await attempt(PASSWORD).expect(429);
    await attempt(PASSWORD, { address: elsewhere() }).expect(200);
  });

  it('R24: two addresses of one IPv6 /64 are one client, two IPv4 never', async () => {
    await attempt('wrong', { address: '2001:db8:1:2::1' }).expect(401);
    await attempt(PASSWORD, { address: '2001:db8:1:2:ffff::9' }).expect(429);
    await attempt(PASSWORD, { address: '2001:db8:1:3::1' }).expect(200);
    await attempt('wrong', { address: '::ffff:192.0.2.200' }).expect(401);
    await attempt(PASSWORD, { address: '192.0.2.200' }).expect(429);
    await attempt(PASSWORD, { address: '192.0.2.201' }).expect(200);
    logins.t.clock.advance(minutes(15));
  });

  it('H3: the /64 of one /48 share a limit beside their own; another /48 and IPv4 are unaffected', async () => {
    const wrongFrom = (i: number) =>
      attempt('wrong', { address: `2001:db8:48:${i.toString(16)}::1`, login: `nobody${i}@example.net` });
    for (let i = 0; i < 200; i += 20) {
      const answers = await Promise.all(Array.from({ length: 20 }, (_, j) => wrongFrom(i + j)));
      expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([401]));
    }
    const refused = await attempt(PASSWORD, { address: '2001:db8:48:ffff::1' }).expect(429);
    expect(refused.headers['retry-after']).toBe(String(15 * 60));
    await attempt(PASSWORD, { address: '2001:db8:49::1' }).expect(200);
    await attempt(PASSWORD).expect(200);
    logins.t.clock.advance(minutes(15));
    await attempt(PASSWORD, { address: '2001:db8:48:ffff::1' }).expect(200);
  });

  it('H3: a login that found no place in the hasher counts for its address, and not for the account', async () => {
    const users = logins.t.app.get(PostgresUserDirectory);
    const verify = users.verifyCredentials.bind(users);
    const overloaded = new AuthError('HASHER_OVERLOADED', 'full', { retryAfter: 1 });
    const given: unknown[] = [];
    users.verifyCredentials = (_login, _password, ip) => (given.push(ip), Promise.reject(overloaded));
    for (let i = 0; i < 20; i++) await attempt('wrong').expect(503);
    await attempt('wrong').expect(429);
    users.verifyCredentials = verify;
    expect(given).toEqual(Array.from({ length: 20 }, () => logins.from)); // the directory knows whom it is for
    await attempt(PASSWORD).expect(429);
    await attempt(PASSWORD, { address: elsewhere() }).expect(200);
  });

  it('the list of sessions shows the client, not the proxy', async () => {
    const answer = await attempt(PASSWORD).expect(200);
    const cookie = answer.get('Set-Cookie')![0]!.split(';')[0]!;
    const { body } = await request(logins.t.url).get('/auth/session').set('Cookie', cookie).expect(200);
    expect(body.session.ip).toBe(logins.from);
  });
});
