import { Body, Controller, Post } from '@nestjs/common';
import { afterAll, beforeAll, describe, it } from '@jest/globals';
import { CurrentSession, type Session } from 'nestjs-latchkey';
import { PasswordChangeService } from 'nestjs-latchkey/engine';
import request from 'supertest';
import { createUser, PASSWORD, startTestApp, type TestApp } from '../support/app.js';
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

describe.each(['database', 'signed-cookie'] as const)('F39: a changed password, %s sessions', (scheme) => {
  let t: TestApp;
  beforeAll(async () => {
    t = await startTestApp({ auth: { session: { scheme } }, controllers: [AccountController] });
  });
  afterAll(() => t?.close());

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
});
