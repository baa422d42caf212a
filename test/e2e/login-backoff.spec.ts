import { describe, expect, it } from '@jest/globals';
import { PostgresUserDirectory, seconds } from 'nestjs-latchkey';
import { PASSWORD, PLATFORMS } from '../support/app.js';
import { loginAttempts } from '../support/login-attempts.js';

describe.each(PLATFORMS)('back-off after failed logins, on %s', (platform) => {
  const logins = loginAttempts(platform);
  const { attempt } = logins;

  it('T: wrong once, at once again: 429 with Retry-After, and the password is not looked at; after 0.5 s allowed', async () => {
    await attempt('wrong').expect(401);
    const users = logins.t.app.get(PostgresUserDirectory);
    const verify = users.verifyCredentials.bind(users);
    let looked = 0;
    users.verifyCredentials = (...credentials) => (looked++, verify(...credentials));
    const refused = await attempt(PASSWORD).expect(429);
    expect(refused.body).toMatchObject({ statusCode: 429, code: 'RATE_LIMITED' });
    expect(refused.headers['retry-after']).toBe('1');
    expect(refused.headers['set-cookie']).toBeUndefined();
    expect(looked).toBe(0);
    users.verifyCredentials = verify;
    logins.t.clock.advance(seconds(0.5) - 0.001);
    await attempt(PASSWORD).expect(429);
    logins.t.clock.advance(0.001);
    await attempt(PASSWORD).expect(200);
  });

  it('T: the n-th failure makes one wait 0.5, 1, 2, 4, 5, 5 s, from the last failure', async () => {
    for (const wait of [0.5, 1, 2, 4, 5, 5]) {
      await attempt('wrong').expect(401);
      logins.t.clock.advance(seconds(wait) - 0.001);
      const refused = await attempt(PASSWORD).expect(429);
      expect(refused.headers['retry-after']).toBe('1');
      logins.t.clock.advance(0.001);
    }
  });

  it('Retry-After is the true time, rounded up', async () => {
    for (const wait of [0.5, 1, 2]) {
      await attempt('wrong').expect(401);
      logins.t.clock.advance(seconds(wait));
    }
    await attempt('wrong').expect(401);
    expect((await attempt(PASSWORD).expect(429)).headers['retry-after']).toBe('4');
    logins.t.clock.advance(seconds(1.5));
    expect((await attempt(PASSWORD).expect(429)).headers['retry-after']).toBe('3');
  });

  it('a success resets the back-off', async () => {
    for (const wait of [0.5, 1, 2]) {
      await attempt('wrong').expect(401);
      logins.t.clock.advance(seconds(wait));
    }
    await attempt(PASSWORD).expect(200);
    await attempt('wrong').expect(401);
    expect((await attempt(PASSWORD).expect(429)).headers['retry-after']).toBe('1');
    logins.t.clock.advance(seconds(0.5));
    await attempt(PASSWORD).expect(200);
  });
});
