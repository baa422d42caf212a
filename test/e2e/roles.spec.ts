import { Controller, Get } from '@nestjs/common';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { CurrentUser, PostgresUserDirectory, RequireRole, seconds } from 'nestjs-latchkey';
import { signInAs } from 'nestjs-latchkey/testing';
import request from 'supertest';
import { createUser, PLATFORMS, startTestApp, type TestApp } from '../support/app.js';
import { OpenHandlers } from '../support/open-handlers.js';
import { eventsHeard, sharedTestApp } from '../support/shared-app.js';
import { until } from '../support/heard.js';

@Controller('reports')
class ReportsController {
  @RequireRole('admin', 'auditor')
  @Get()
  list(@CurrentUser('roles') roles: readonly string[]) {
    return { roles };
  }

  @Get('own')
  own(@CurrentUser('roles') roles: readonly string[]) {
    return { roles };
  }
}

/** What is required wins over what a handler says, so that a slip does not open it. */
@RequireRole('admin')
@Controller('admin')
class AdminController extends OpenHandlers {
  @Get()
  home() {
    return {};
  }

  @RequireRole('billing')
  @Get('bills')
  bills() {
    return {};
  }
}

@Controller('staff')
class StaffController extends AdminController {}

const controllers = [ReportsController, AdminController, StaffController];

describe.each(PLATFORMS)('roles on %s', (platform) => {
  const t = sharedTestApp({ platform, controllers });
  const heard = eventsHeard(t);
  let users: PostgresUserDirectory;
  beforeAll(() => {
    users = t.app.get(PostgresUserDirectory);
  });

  const userWith = async (...roles: string[]) => {
    const { id } = await createUser(t.app);
    await users.setRoles(id, roles);
    const cookie = await signInAs(t.app, id);
    const status = async (path: string) => (await request(t.url).get(path).set('Cookie', cookie)).status;
    return { id, status, get: (path: string) => request(t.url).get(path).set('Cookie', cookie) };
  };

  it('one of the roles of a decorator is enough, and all decorators must be satisfied', async () => {
    const [nobody, auditor, admin, both] = await Promise.all([
      userWith(),
      userWith('auditor'),
      userWith('admin'),
      userWith('admin', 'billing'),
    ]);
    const paths = ['/reports', '/admin', '/admin/bills', '/admin/public', '/admin/optional', '/staff', '/staff/bills'];
    const statuses = async ({ status }: typeof nobody) => Promise.all(paths.map(status));
    expect(await statuses(nobody)).toEqual([403, 403, 403, 403, 403, 403, 403]);
    expect(await statuses(auditor)).toEqual([200, 403, 403, 403, 403, 403, 403]);
    expect(await statuses(admin)).toEqual([200, 200, 403, 200, 200, 200, 403]);
    expect(await statuses(both)).toEqual([200, 200, 200, 200, 200, 200, 200]);
    for (const path of paths) await request(t.url).get(path).expect(401);
  });

  it('the refusal has a code, and keeps the cookie', async () => {
    const { get } = await userWith('auditors');
    const refused = await get('/reports').expect(403);
    expect(refused.body).toEqual({ statusCode: 403, code: 'FORBIDDEN', message: 'You may not do this.' });
    expect(refused.get('Set-Cookie')).toBeUndefined();
  });

  it('a handler reads the roles, and without any it reads none', async () => {
    expect((await (await userWith('b', 'a')).get('/reports/own').expect(200)).body).toEqual({ roles: ['b', 'a'] });
    expect((await (await userWith()).get('/reports/own').expect(200)).body).toEqual({ roles: [] });
  });

  it('F81: a user whose roles another program has left null has none', async () => {
    const { id } = await createUser(t.app);
    await t.db.query('ALTER TABLE users ALTER COLUMN roles DROP NOT NULL');
    await t.db.query('UPDATE users SET roles = NULL WHERE id = $1', [id]);
    const cookie = await signInAs(t.app, id);
    await request(t.url).get('/reports/own').set('Cookie', cookie).expect(200, { roles: [] });
    await request(t.url).get('/admin').set('Cookie', cookie).expect(403);
  });

  it('F81: a demoted user is refused by the next request, and no session ends', async () => {
    const { id, get } = await userWith('admin');
    await get('/admin').expect(200);
    heard.length = 0;
    expect(await users.setRoles(id, ['reader'])).toBe(true);
    expect(heard).toEqual([expect.objectContaining({ type: 'role.changed', userId: id, roles: ['reader'] })]);
    await get('/admin').expect(403);
    await get('/reports/own').expect(200, { roles: ['reader'] });
  });

  it.each([
    ['33 of them', Array.from({ length: 33 }, (_, i) => `role${i}`)],
    ['a capital', ['Admin']],
    ['an empty name', ['']],
    ['a line break, by which roles are told apart', ['reader\nadmin']],
    ['65 characters', ['x'.repeat(65)]],
    ['a text', 'admin' as unknown as string[]],
  ])('refuses %s, and changes nothing', async (_, roles) => {
    const { id, get } = await userWith('reader');
    await expect(users.setRoles(id, roles)).rejects.toMatchObject({ code: 'INVALID_INPUT' });
    await get('/reports/own').expect(200, { roles: ['reader'] });
  });

  it('nobody has no roles to set', async () => {
    expect(await users.setRoles('00000000-0000-4000-8000-000000000000', ['admin'])).toBe(false);
    expect(await users.setRoles('1', ['admin'])).toBe(false);
  });
});

describe('F81: in two processes with caches', () => {
  it('what A takes away, B refuses', async () => {
    const cache = { enabled: true, ttl: seconds(3_600) };
    const a = await startTestApp({ platform: PLATFORMS[0], controllers, auth: { cache } });
    const b = await startTestApp({ platform: PLATFORMS.at(-1)!, url: a.db.url, controllers, auth: { cache } });
    try {
      b.clock.set(a.clock.now());
      const { id } = await createUser(a.app);
      await a.app.get(PostgresUserDirectory).setRoles(id, ['admin']);
      const cookie = await signInAs(a.app, id);
      const status = async ({ url }: TestApp) => (await request(url).get('/admin').set('Cookie', cookie)).status;
      await until(async () => (await status(b)) === 200);
      b.queries.reset();
      await until(async () => {
        b.queries.reset();
        return (await status(b)) === 200 && b.queries.statements.length === 0; // from memory
      });
      await a.app.get(PostgresUserDirectory).setRoles(id, []);
      expect(await status(a)).toBe(403);
      await until(async () => (await status(b)) === 403);
    } finally {
      await b.close();
      await a.close();
    }
  });
});

it.each([[[]], [['Admin']], [['a b']]])('RequireRole refuses %j when it is written', (roles) => {
  expect(() => RequireRole(...(roles as unknown as [string]))).toThrow(TypeError);
});
