import { Controller, Get } from '@nestjs/common';
import { beforeEach, describe, expect, it } from '@jest/globals';
import { hours, minutes, PostgresUserDirectory, RequireFresh, type AuthUser } from 'nestjs-latchkey';
import { BearerSessions } from 'nestjs-latchkey/engine';
import { LoginService, TwoFactorService } from 'nestjs-latchkey/flows';
import { totpOf } from 'nestjs-latchkey/testing';
import request from 'supertest';
import { SessionCookie } from '../../src/http/session-cookie.js';
import { createUser, PLATFORMS } from '../support/app.js';
import { sharedTestApp } from '../support/shared-app.js';

@Controller('vault')
class VaultController {
  @Get()
  open() {
    return {};
  }

  @RequireFresh(minutes(5))
  @Get('fresh')
  fresh() {
    return {};
  }
}

describe.each([
  ['stored', {}],
  ['JWT', { jwt: { sessions: true } }],
] as const)('F82: proofs that are older than a session says, %s', (_, auth) => {
  const t = sharedTestApp({ platform: PLATFORMS[0], controllers: [VaultController], auth });
  let ada: AuthUser;
  beforeEach(async () => {
    t.clock.advance(hours(1));
    const { id } = await createUser(t.app);
    await t.app.get(PostgresUserDirectory).invalidateTokens(id, t.clock.now());
    ada = (await t.app.get(PostgresUserDirectory).findById(id))!;
    t.clock.advance(minutes(1));
  });
  const transport = 'bearer' as const;
  const status = async (token: string, path: string) =>
    (await request(t.url).get(path).set('Authorization', `Bearer ${token}`)).status;
  const begin = async (proofs: string[], age: number) => {
    const login = await t.app.get(LoginService).begin(ada, proofs, { transport, authenticatedAt: t.clock.now() - age });
    if (login.status !== 'authenticated') throw new Error(login.status);
    return login.credential.value;
  };

  it('a login of an application whose proof is older than the last sign-out everywhere is not fresh after it', async () => {
    const token = await begin(['saml'], hours(1));
    expect([await status(token, '/vault'), await status(token, '/vault/fresh')]).toEqual([200, 401]);
  });

  it('nor is a session with such a proof more', async () => {
    const stepped = async (age: number) => {
      const token = await begin(['saml'], hours(1));
      const { user, session } = (await t.app.get(BearerSessions).authenticate(token))!;
      const context = { transport, authenticatedAt: t.clock.now() - age };
      const { credential } = (await t.app.get(LoginService).elevate(user, session, ['other'], context))!;
      return status(credential.value, '/vault/fresh');
    };
    // Negative control: a proof of now.
    expect([await stepped(hours(1)), await stepped(0)]).toEqual([401, 200]);
  });

  it('a renewal that proves nothing leaves it as stale as it was', async () => {
    const logins = t.app.get(LoginService);
    const authenticatedAt = t.clock.now();
    const stale = ['oidc', 'stale'];
    expect(await status(await begin(stale, 0), '/vault/fresh')).toBe(401);
    const renewed = await logins.renew(ada, { transport, amr: stale, proofs: [], authenticatedAt });
    expect(await status(renewed.value, '/vault')).toBe(200);
    expect(await status(renewed.value, '/vault/fresh')).toBe(401);
    const old = await logins.renew(ada, {
      transport,
      amr: ['oidc'],
      proofs: [],
      authenticatedAt: authenticatedAt - hours(2),
    });
    expect(await status(old.value, '/vault/fresh')).toBe(401);
    // Negative control: a proof.
    const proved = await logins.renew(ada, { transport, amr: stale });
    expect(await status(proved.value, '/vault/fresh')).toBe(200);
  });
});

describe.each([
  ['stored', {}],
  ['JWT', { jwt: { sessions: true } }],
] as const)('F82: a first factor that is not fresh, where sessions are %s', (_, auth) => {
  const twoFactor = { totp: {}, required: () => true };
  const t = sharedTestApp({
    platform: PLATFORMS[0],
    controllers: [VaultController],
    auth: { ...auth, flows: { twoFactor } },
  });

  it.each([
    ['is none by an enrolment', hours(1), 401],
    ['negative control: one that is', 0, 200],
  ])('%s', async (_what, age, expected) => {
    const ada = await createUser(t.app);
    t.clock.advance(hours(2));
    const context = { authenticatedAt: t.clock.now() - age };
    const held = await t.app.get(LoginService).begin(ada, ['oidc'], context);
    if (held.status !== 'enrolment_required') throw new Error(held.status);
    const login = { token: held.token, challenges: [held.challenge!.value] };
    const factors = t.app.get(TwoFactorService);
    const { secret } = await factors.setUpTotpFor(login);
    const { credential } = await factors.enableTotpFor(login, totpOf(secret, t.clock));
    const cookie = `${t.app.get(SessionCookie).name}=${credential.value}`;
    const status = async (path: string) => (await request(t.url).get(path).set('Cookie', cookie)).status;
    expect([await status('/vault'), await status('/vault/fresh')]).toEqual([200, expected]);
  });
});
