import { Controller, Get } from '@nestjs/common';
import { beforeEach, describe, expect, it } from '@jest/globals';
import {
  CurrentSession,
  CurrentUser,
  hours,
  JwtCodecService,
  minutes,
  OptionalAuth,
  seconds,
  SessionService,
  TokenRevocationService,
  PostgresUserDirectory,
  type AuthUser,
  type Session,
} from 'nestjs-latchkey';
import { CleanupService } from 'nestjs-latchkey/engine';
import { AuthConfig } from 'nestjs-latchkey/engine';
import { signInAs } from 'nestjs-latchkey/testing';
import request from 'supertest';
import { selfContainedLoginContract } from '../contract/self-contained-login.contract.js';
import { createUser, PASSWORD, PLATFORMS, SECRET, startTestApp } from '../support/app.js';
import { sharedTestApp } from '../support/shared-app.js';
import { VARIANT } from '../support/variant.js';

@Controller()
class MeController {
  @Get('me')
  me(@CurrentUser('email') email: string, @CurrentSession() session: Session) {
    return { email, handle: session.handle };
  }

  @OptionalAuth()
  @Get('who')
  who(@CurrentUser('email') email: string | null) {
    return { email };
  }
}

describe.each(PLATFORMS)('session JWTs through the guard on %s', (platform) => {
  const t = sharedTestApp({ platform, controllers: [MeController], auth: { jwt: { sessions: true } } });
  const codec = () => t.app.get(JwtCodecService);
  const revocation = () => t.app.get(TokenRevocationService);
  const users = () => t.app.get(PostgresUserDirectory);
  let ada: AuthUser;

  beforeEach(async () => {
    t.clock.advance(1);
    ada = await createUser(t.app);
    t.queries.reset();
  });

  const me = (token: string) => request(t.url).get('/me').set('Authorization', `Bearer ${token}`);
  const codeOf = async (token: string) => (await me(token).expect(401)).body.code as string;
  const logIn = async () => {
    const answer = await request(t.url).post('/auth/token').send({ email: ada.email, password: PASSWORD }).expect(200);
    return answer.body as { token: string; expiresAt: string };
  };

  it('T: login 200, me 200 with one statement and no write, logout 200, me 401', async () => {
    const { token, expiresAt } = await logIn();
    expect(token.split('.')).toHaveLength(3);
    expect(Date.parse(expiresAt)).toBe(Math.trunc((t.clock.now() + hours(2)) / 1000) * 1000);
    t.queries.reset();
    expect((await me(token).expect(200)).body).toEqual({ email: ada.email, handle: codec().decode(token).jti });
    expect(t.queries.statements).toHaveLength(1);
    expect(t.queries.writes).toEqual([]);
    await request(t.url).post('/auth/logout').set('Authorization', `Bearer ${token}`).expect(200);
    expect(await codeOf(token)).toBe('TOKEN_REVOKED');
    await request(t.url).post('/auth/logout').set('Authorization', `Bearer ${token}`).expect(200);
  });

  it('T: me without a token 401; T: clock + ttl + 5 s -> 401', async () => {
    await request(t.url).get('/me').expect(401);
    const { token } = await logIn();
    t.clock.advance(hours(2) + seconds(5));
    expect(await codeOf(token)).toBe('INVALID_TOKEN');
  });

  it('expires at the exact instant', async () => {
    const { token } = await logIn();
    const { exp } = codec().decode(token);
    t.clock.set(exp - 0.001);
    await me(token).expect(200);
    t.clock.set(exp);
    expect(await codeOf(token)).toBe('INVALID_TOKEN');
  });

  it('T: clock + 1 s, tokens_invalidated_after = now: the old token is 401; opaque sessions end too', async () => {
    const { token } = await logIn();
    const opaque = await t.app.get(SessionService).create(ada.id);
    t.clock.advance(seconds(1));
    expect(await revocation().revokeAllForUser(ada.id)).toBe(true);
    expect(await codeOf(token)).toBe('TOKENS_INVALIDATED');
    expect(await t.app.get(SessionService).lookup(opaque.token)).toBeNull();
  });

  it('T: change password -> old token 401; clock + 1 microsecond, login -> the new token works', async () => {
    const { token } = await logIn();
    await users().setPassword(ada.id, PASSWORD);
    const sameInstant = codec().encode(ada.id).token;
    t.clock.advance(0.001);
    const { token: next } = await logIn();
    expect(await codeOf(token)).toBe('TOKENS_INVALIDATED');
    expect(await codeOf(sameInstant)).toBe('TOKENS_INVALIDATED');
    await me(next).expect(200);
  });

  it('T: the account is disabled -> its token is 401 at once; deleted too; an unknown subject', async () => {
    const { token } = await logIn();
    await users().disable(ada.id);
    expect(await codeOf(token)).toBe('ACCOUNT_INACTIVE');
    await t.db.query('DELETE FROM users WHERE id = $1', [ada.id]);
    expect(await codeOf(token)).toBe('ACCOUNT_INACTIVE');
    expect(await codeOf(codec().encode('not a uuid').token)).toBe('ACCOUNT_INACTIVE');
  });

  it("the seed's order: token, blacklist, user active, cutoff", async () => {
    const { token } = await logIn();
    const { jti, exp } = codec().decode(token);
    await revocation().revokeAllForUser(ada.id);
    expect(await codeOf(token)).toBe('TOKENS_INVALIDATED');
    await users().disable(ada.id);
    expect(await codeOf(token)).toBe('ACCOUNT_INACTIVE');
    await revocation().revoke(jti, exp);
    expect(await codeOf(token)).toBe('TOKEN_REVOKED');
    t.clock.set(exp);
    expect(await codeOf(token)).toBe('INVALID_TOKEN');
  });

  it('T: the same jti revoked twice: no error; another jti is not revoked; expired entries are purged', async () => {
    const now = t.clock.now();
    await revocation().revoke('one', now + minutes(1));
    await revocation().revoke('one', now + minutes(1));
    expect(await revocation().isRevoked('one')).toBe(true);
    expect(await revocation().isRevoked('two')).toBe(false);
    const { leeway } = t.app.get(AuthConfig).cleanup;
    t.clock.advance(minutes(1) + leeway - 0.001);
    await t.app.get(CleanupService).runOnce();
    expect(await revocation().isRevoked('one')).toBe(true);
    t.clock.advance(0.001);
    expect((await t.app.get(CleanupService).runOnce()).revokedTokens).toBeGreaterThan(0);
    expect(await t.db.query("SELECT 1 FROM revoked_tokens WHERE jti = 'one'")).toEqual([]);
    await expect(revocation().revoke('x'.repeat(65), now)).rejects.toThrow(TypeError);
  });

  it('100 parallel revocations of one jti are one', async () => {
    await Promise.all(Array.from({ length: 100 }, () => revocation().revoke('parallel', t.clock.now() + 1000)));
    expect(await t.db.query(`SELECT jti FROM revoked_tokens WHERE jti = 'parallel'`)).toHaveLength(1);
  });

  it('R32: a JWT of another purpose, or in the cookie, authenticates nobody; nor the cookie token as a JWT', async () => {
    for (const purpose of ['password_reset', 'login_mfa'] as const) {
      const { token } = codec().encode(ada.id, { purpose });
      t.queries.reset();
      expect(await codeOf(token)).toBe('INVALID_TOKEN');
      expect(t.queries.statements).toEqual([]);
    }
    const { token } = await logIn();
    await request(t.url).get('/me').set('Cookie', `__Host-session=${token}`).expect(401);
    expect(() => codec().decode('A'.repeat(43))).toThrow('not a JWT');
  });

  const enter = async () => ({ Authorization: `Bearer ${(await logIn()).token}` });

  selfContainedLoginContract({ path: '/auth/token', subject: () => ({ t, ada }), enter });

  it('a session that is no row is listed and can be ended by its handle', async () => {
    const { token } = await logIn();
    const bearer = { Authorization: `Bearer ${token}` };
    const { body } = await request(t.url).get('/auth/sessions').set(bearer).expect(200);
    expect(body).toEqual([expect.objectContaining({ current: true, handle: codec().decode(token).jti })]);
    await request(t.url).delete(`/auth/sessions/${body[0].handle}`).set(bearer).expect(200);
    expect(await codeOf(token)).toBe('TOKEN_REVOKED');
  });

  it('opaque bearer tokens and cookies go on working beside them', async () => {
    const { token } = await t.app.get(SessionService).create(ada.id);
    await me(token).expect(200);
    await request(t.url)
      .get('/me')
      .set('Cookie', await signInAs(t.app, ada.id))
      .expect(200);
  });

  it('@OptionalAuth: a token that does not hold is nobody', async () => {
    const { token } = await logIn();
    const who = () => request(t.url).get('/who').set('Authorization', `Bearer ${token}`).expect(200);
    expect((await who()).body).toEqual({ email: ada.email });
    await revocation().revokeAllForUser(ada.id);
    expect((await who()).body).toEqual({ email: null });
  });

  it('logout-all with a JWT ends every token and session of the user', async () => {
    const [{ token }, cookie] = [await logIn(), await signInAs(t.app, ada.id)];
    await request(t.url).post('/auth/logout-all').set('Authorization', `Bearer ${token}`).expect(200);
    expect(await codeOf(token)).toBe('TOKENS_INVALIDATED');
    await request(t.url).get('/me').set('Cookie', cookie).expect(401);
  });

  it('a login with a JWT at hand ends that one', async () => {
    const { token } = await logIn();
    await request(t.url)
      .post('/auth/token')
      .set('Authorization', `Bearer ${token}`)
      .send({ email: ada.email, password: PASSWORD })
      .expect(200);
    expect(await codeOf(token)).toBe('TOKEN_REVOKED');
  });

  it('without `jwt: { sessions: true }` a JWT authenticates nobody, and costs no query', async () => {
    const plain = await startTestApp({ url: t.db.url, platform, controllers: [MeController] });
    plain.queries.reset();
    const { token } = codec().encode(ada.id);
    const answer = await request(plain.url).get('/me').set('Authorization', `Bearer ${token}`).expect(401);
    expect(answer.body.code).toBe('UNAUTHENTICATED');
    expect(plain.queries.statements).toEqual([]);
    await plain.close();
  });

  it('a secret is rotated without logging anybody out, and removed when it has served', async () => {
    const next = 'another test secret that is long enough: 9876';
    const { token } = await logIn();
    const withSecrets = (secrets: string[]) =>
      startTestApp({
        url: t.db.url,
        platform,
        controllers: [MeController],
        auth: { secrets, jwt: { sessions: true } },
      });
    const ask = async (secrets: string[]) => {
      const other = await withSecrets(secrets);
      other.clock.set(t.clock.now());
      const { status } = await request(other.url).get('/me').set('Authorization', `Bearer ${token}`);
      await other.close();
      return status;
    };
    expect(await ask([next, SECRET])).toBe(200);
    expect(await ask([next])).toBe(401);
  });

  it('an outage is 503, for the revocation list too', async () => {
    const { token } = await logIn();
    await t.db.query('ALTER TABLE revoked_tokens RENAME TO gone');
    // From memory it is answered as long as every revocation is heard of.
    await me(token).expect(VARIANT === 'cached' ? 200 : 503);
    await t.db.query('ALTER TABLE gone RENAME TO revoked_tokens');
    await me(token).expect(200);
  });
});
