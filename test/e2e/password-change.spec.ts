import { Body, Controller, Post } from '@nestjs/common';
import { describe, expect, it, jest } from '@jest/globals';
import { CurrentSession, PasswordHasher, TokenRevocationService, type Session } from 'nestjs-latchkey';
import { PasswordChangeService } from 'nestjs-latchkey/flows';
import request from 'supertest';
import { createUser, PASSWORD, PLATFORMS } from '../support/app.js';
import { sharedTestApp } from '../support/shared-app.js';
import { cookieOf } from '../support/cookies.js';

@Controller()
class AccountController {
  constructor(private readonly passwords: PasswordChangeService) {}

  @Post('change')
  async change(@CurrentSession() keep: Session, @Body() { current, next }: { current: string; next: string }) {
    const { credential } = await this.passwords.changePassword(keep.userId, current, next, { keep });
    return { value: credential?.value };
  }
}

describe.each([
  ['database', PLATFORMS[0]],
  ['signed-cookie', PLATFORMS.at(-1)!],
] as const)('F39: a changed password, %s sessions, on %s', (scheme, platform) => {
  const t = sharedTestApp({ platform, auth: { session: { scheme } }, controllers: [AccountController] });

  it('F39: the other cookie and the own old one are dead, the new one lives', async () => {
    const { email } = await createUser(t.app);
    const logIn = async () => {
      t.clock.advance(1);
      return cookieOf(await request(t.url).post('/auth/login').send({ email, password: PASSWORD }).expect(200));
    };
    const [own, other] = [await logIn(), await logIn()];
    const post = (cookie: string, current: string, next: string) =>
      request(t.url).post('/change').set('Cookie', cookie).send({ current, next });
    const get = (cookie: string) => request(t.url).get('/auth/session').set('Cookie', cookie);

    await post(own, 'a wrong password', 'a new passphrase').expect(401);
    for (const cookie of [own, other]) await get(cookie).expect(200);
    const { body } = await post(own, PASSWORD, 'a new passphrase').expect(201);
    const renewed = `${own.slice(0, own.indexOf('='))}=${body.value}`;
    for (const cookie of [own, other]) await get(cookie).expect(401);
    await get(renewed).expect(200);
    // And again, with the session that was kept.
    await post(renewed, 'a new passphrase', PASSWORD).expect(201);
    await get(renewed).expect(401);
  });

  it('F39: a session whose user signs out everywhere while the change is under way is not kept', async () => {
    const { id, email } = await createUser(t.app);
    const logIn = () => request(t.url).post('/auth/login').send({ email, password: PASSWORD }).expect(200);
    const own = cookieOf(await logIn());
    t.clock.advance(1);
    const hasher = t.app.get(PasswordHasher);
    const hash = hasher.hash.bind(hasher);
    const meanwhile = jest.spyOn(hasher, 'hash').mockImplementationOnce(async (...args) => {
      await t.app.get(TokenRevocationService).revokeAllForUser(id);
      return hash(...args);
    });
    const body = { current: PASSWORD, next: 'a new passphrase' };
    await request(t.url).post('/change').set('Cookie', own).send(body).expect(404);
    expect(meanwhile).toHaveBeenCalledTimes(1);
    meanwhile.mockRestore();
    await logIn();
  });
});
