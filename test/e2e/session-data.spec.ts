import { Body, Controller, Get, Post } from '@nestjs/common';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  CurrentSession,
  PostgresUserDirectory,
  SessionService,
  type AuthUser,
  type Session,
  type SessionDataPatch,
} from 'nestjs-latchkey';
import { signInAs } from 'nestjs-latchkey/testing';
import request from 'supertest';
import { closeAll, createUser, PASSWORD, PLATFORMS, startTestApp, type TestApp } from '../support/app.js';
import { until } from '../support/heard.js';

declare module 'nestjs-latchkey' {
  interface SessionData {
    tenant: string;
    basket: { article: string; count: number }[];
  }
}

@Controller('tenant')
class TenantController {
  constructor(private readonly sessions: SessionService) {}

  @Get()
  read(@CurrentSession() { data }: Session) {
    // Typed by the declaration above.
    const tenant: string | undefined = data.tenant;
    return { tenant: tenant?.toUpperCase() ?? null, articles: data.basket?.map(({ article }) => article) ?? [] };
  }

  @Post()
  async change(@CurrentSession() session: Session, @Body() patch: SessionDataPatch) {
    return this.sessions.updateData(session, patch);
  }
}

describe.each(PLATFORMS)('session data on %s', (platform) => {
  let t: TestApp;
  let other: TestApp;
  let ada: AuthUser;
  beforeAll(async () => {
    const options = { platform, controllers: [TenantController], auth: { cache: { enabled: true } } };
    t = await startTestApp(options);
    other = await startTestApp({ ...options, url: t.db.url });
    ada = await createUser(t.app, 'ada@example.com');
  });
  afterAll(() => closeAll(other, t));

  const read = async (app: TestApp, cookie: string) =>
    (await request(app.url).get('/tenant').set('Cookie', cookie).expect(200)).body as unknown;
  const change = (cookie: string, patch: unknown) =>
    request(t.url)
      .post('/tenant')
      .set('Cookie', cookie)
      .send(patch as object);
  const EMPTY = { tenant: null, articles: [] };

  it('is read with the session and changed field by field; another session of the user has its own', async () => {
    const [cookie, second] = [await signInAs(t.app, ada.id), await signInAs(t.app, ada.id)];
    expect(await read(t, cookie)).toEqual(EMPTY);
    const basket = [{ article: 'tea', count: 2 }];
    expect((await change(cookie, { tenant: 'acme', basket }).expect(201)).body).toEqual({ tenant: 'acme', basket });
    expect(await read(t, cookie)).toEqual({ tenant: 'ACME', articles: ['tea'] });
    expect((await change(cookie, { basket: null }).expect(201)).body).toEqual({ tenant: 'acme' });
    expect(await read(t, cookie)).toEqual({ tenant: 'ACME', articles: [] });
    expect(await read(t, second)).toEqual(EMPTY);
  });

  it('reaches a process that has the session in memory', async () => {
    const cookie = await signInAs(t.app, ada.id);
    expect(await read(other, cookie)).toEqual(EMPTY);
    expect(await read(other, cookie)).toEqual(EMPTY);
    await change(cookie, { tenant: 'acme' }).expect(201);
    await until(async () => JSON.stringify(await read(other, cookie)).includes('ACME'));
  });

  it('changes of different fields at once are all kept', async () => {
    const cookie = await signInAs(t.app, ada.id);
    const fields = Array.from({ length: 20 }, (_, i) => `field${i}`);
    await Promise.all(fields.map((field) => change(cookie, { [field]: true }).expect(201)));
    expect(Object.keys((await change(cookie, {}).expect(201)).body as object).toSorted()).toEqual(fields.toSorted());
  });

  it('more than 4,096 bytes: 422 with a code, and nothing is changed', async () => {
    const cookie = await signInAs(t.app, ada.id);
    await change(cookie, { tenant: 'acme' }).expect(201);
    for (const patch of [{ tenant: 'x'.repeat(4096) }, { basket: 'x'.repeat(4080) }]) {
      const { body } = await change(cookie, patch).expect(422);
      expect(body).toMatchObject({ code: 'SESSION_DATA_TOO_LARGE' });
    }
    expect(await read(t, cookie)).toEqual({ tenant: 'ACME', articles: [] });
  });

  it('a key __proto__ is refused, and no prototype is touched', async () => {
    const cookie = await signInAs(t.app, ada.id);
    const session = (await t.app.get(SessionService).lookup(cookie.split('=')[1]!))!.session;
    for (const json of ['{"__proto__":{"admin":true}}', '{"tenant":{"__proto__":{"admin":true}}}']) {
      const patch = JSON.parse(json) as SessionDataPatch;
      await expect(t.app.get(SessionService).updateData(session, patch)).rejects.toMatchObject({
        code: 'INVALID_INPUT',
      });
    }
    expect(({} as { admin?: boolean }).admin).toBeUndefined();
    expect(await read(t, cookie)).toEqual(EMPTY);
  });

  it('follows a rotation within its grace, and is null when the session is over', async () => {
    const sessions = t.app.get(SessionService);
    const { session } = await sessions.create(ada.id);
    await sessions.updateData(session, { tenant: 'acme' });
    const rotated = (await sessions.rotate(session, ada.id))!;
    expect(rotated.session.data).toEqual({ tenant: 'acme' });
    expect(await sessions.updateData(session, { basket: [] })).toEqual({ tenant: 'acme', basket: [] });
    expect((await sessions.lookup(rotated.token))!.session.data).toEqual({ tenant: 'acme', basket: [] });
    await sessions.revoke(rotated.session.id);
    expect(await sessions.updateData(session, { tenant: 'x' })).toBeNull();
    expect(await sessions.updateData(rotated.session, { tenant: 'x' })).toBeNull();
  });

  it('no route shows it, and a new login starts without', async () => {
    const cookie = await signInAs(t.app, ada.id);
    await change(cookie, { tenant: 'a secret tenant' }).expect(201);
    for (const path of ['session', 'sessions']) {
      const answer = await request(t.url).get(`/auth/${path}`).set('Cookie', cookie).expect(200);
      expect(answer.text).not.toContain('secret');
    }
    const login = await request(t.url)
      .post('/auth/login')
      .set('Cookie', cookie)
      .send({ email: ada.email, password: PASSWORD })
      .expect(200);
    expect(await read(t, login.get('Set-Cookie')![0]!.split(';')[0]!)).toEqual(EMPTY);
  });

  it('an account that is disabled ends it with the session', async () => {
    const bob = await createUser(t.app);
    const { session } = await t.app.get(SessionService).create(bob.id);
    await t.app.get(PostgresUserDirectory).disable(bob.id);
    expect(await t.app.get(SessionService).updateData(session, { tenant: 'x' })).toBeNull();
  });
});

describe('session data of what is not stored', () => {
  it('a signed cookie has none, and the error names the remedy', async () => {
    const t = await startTestApp({ controllers: [TenantController], auth: { session: { scheme: 'signed-cookie' } } });
    const user = await createUser(t.app);
    const cookie = await signInAs(t.app, user.id);
    await request(t.url).get('/tenant').set('Cookie', cookie).expect(200, { tenant: null, articles: [] });
    const session = { id: 'same', handle: 'same' };
    await expect(t.app.get(SessionService).updateData(session, { tenant: 'x' })).rejects.toMatchObject({
      code: 'INVALID_CONFIG',
      message: expect.stringContaining('scheme: "database"'),
    });
    await t.close();
  });
});
