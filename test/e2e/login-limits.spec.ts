import { describe, expect, it } from '@jest/globals';
import { UnauthorizedException } from '@nestjs/common';
import { AuthError, minutes, PostgresUserDirectory, RateLimitService, seconds } from 'nestjs-latchkey';
import { LoginLimits } from 'nestjs-latchkey/flows';
import { PASSWORD, PLATFORMS, whileAway } from '../support/app.js';
import { loginAttempts } from '../support/login-attempts.js';

describe.each(PLATFORMS)('limits of an account on login, on %s', (platform) => {
  const logins = loginAttempts(platform);
  const { attempt, wrongFromElsewhere } = logins;

  it('ten failures block the account for 15 minutes after the first, from everywhere; a refused try counts nothing', async () => {
    for (let i = 0; i < 10; i++) {
      await wrongFromElsewhere().expect(401);
      logins.t.clock.advance(seconds(30));
    }
    const refused = await attempt(PASSWORD).expect(429);
    expect(refused.headers['retry-after']).toBe(String(15 * 60 - 300));
    for (let i = 0; i < 5; i++) await wrongFromElsewhere().expect(429);
    logins.t.clock.advance(minutes(10) - 0.001);
    await attempt(PASSWORD).expect(429);
    logins.t.clock.advance(seconds(1));
    await attempt(PASSWORD).expect(200);
  });

  it('T: an unknown account is limited like a known one', async () => {
    for (let i = 0; i < 10; i++) await wrongFromElsewhere(`nobody-${platform}@example.com`).expect(401);
    await wrongFromElsewhere(`nobody-${platform}@example.com`).expect(429);
  });

  it('R21: one bucket for every spelling of an account', async () => {
    for (let i = 0; i < 10; i++)
      await wrongFromElsewhere(i % 2 ? logins.email.toUpperCase() : ` ${logins.email.replace('u', 'ｕ')}`).expect(401);
    await wrongFromElsewhere().expect(429);
  });

  it('T: 2 wrong, 1 right, 2 wrong is never 429: success clears the account', async () => {
    for (let i = 0; i < 9; i++) await wrongFromElsewhere().expect(401);
    await attempt(PASSWORD).expect(200);
    for (let i = 0; i < 9; i++) await wrongFromElsewhere().expect(401);
    await attempt(PASSWORD).expect(200);
  });

  it('only failures count: fifty logins of one address and account in a row', async () => {
    for (let i = 0; i < 50; i++) await attempt(PASSWORD).expect(200);
    const left = await logins.t.app.get(RateLimitService).check('login_ip', logins.from);
    expect(left.remaining).toBe(20);
  });

  it('of 60 guesses at one moment no more than the limit reach the hash', async () => {
    const users = logins.t.app.get(PostgresUserDirectory);
    const verify = users.verifyCredentials.bind(users);
    let looked = 0;
    users.verifyCredentials = (...credentials) => (looked++, verify(...credentials));
    const answers = await Promise.all(
      Array.from({ length: 60 }, (_, i) => attempt('wrong', { address: `192.0.2.${i}`, login: logins.email })),
    );
    users.verifyCredentials = verify;
    expect(answers.filter(({ status }) => status === 401)).toHaveLength(10);
    expect(answers.filter(({ status }) => status === 429)).toHaveLength(50);
    expect(looked).toBe(10);
  });

  it('G4: the token route has the same limits', async () => {
    for (let i = 0; i < 10; i++) await wrongFromElsewhere().expect(401);
    await attempt(PASSWORD, { path: '/auth/token' }).expect(429);
  });

  it("whatever a host's own verification throws or refuses counts as a failure, faults excepted", async () => {
    const guess = (verify: () => Promise<unknown>) => logins.t.app.get(LoginLimits).enforce(null, logins.email, verify);
    for (const verify of [
      () => Promise.reject(new UnauthorizedException()),
      () => Promise.resolve(null),
      () => Promise.resolve(false),
    ]) {
      await logins.t.app.get(RateLimitService).clear('login_attempt', logins.email);
      const outcomes = [];
      for (let i = 0; i < 20; i++)
        outcomes.push(await guess(verify).catch((error: Error) => (error as AuthError).code));
      expect(outcomes.filter((code) => code === 'RATE_LIMITED')).toHaveLength(10);
    }
  });

  it('a fault is no failure: nothing is counted', async () => {
    const users = logins.t.app.get(PostgresUserDirectory);
    await whileAway(users, async () => {
      for (let i = 0; i < 30; i++) await attempt(PASSWORD).expect(503);
    });
    await attempt(PASSWORD).expect(200);
  });
});
