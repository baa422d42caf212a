import {
  Controller,
  ForbiddenException,
  Get,
  Injectable,
  Module,
  Scope,
  UseInterceptors,
  type CallHandler,
  type CanActivate,
  type ExecutionContext,
  type NestInterceptor,
} from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { afterEach, describe, expect, it } from '@jest/globals';
import { currentSession, currentUser, PostgresUserDirectory, SessionGuard, UserDirectory } from 'nestjs-latchkey';
import { signInAs } from 'nestjs-latchkey/testing';
import request from 'supertest';
import { createUser, PLATFORMS, startTestApp, type TestApp, type TestAppOptions } from '../support/app.js';
import { OpenHandlers } from '../support/open-handlers.js';

/** As a host writes it: whoever is logged in has to be an administrator. */
@Injectable()
class RolesGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const user = currentUser(context);
    if (user && user.email !== 'admin@example.com') throw new ForbiddenException();
    return true;
  }
}

const logged: (string | null)[] = [];
@Injectable()
class LoggingInterceptor implements NestInterceptor {
  intercept(context: ExecutionContext, next: CallHandler) {
    logged.push(currentUser(context)?.email ?? null, currentSession(context)?.handle ?? null);
    return next.handle();
  }
}

@UseInterceptors(LoggingInterceptor)
@Controller()
class ReportsController extends OpenHandlers {
  @Get('reports')
  list() {
    return [];
  }
}

const rolesGuard = { provide: APP_GUARD, useClass: RolesGuard };

@Module({ providers: [rolesGuard] })
class RolesModule {}

let t: TestApp | undefined;
afterEach(async () => {
  await t?.close();
  t = undefined;
  logged.length = 0;
});

const start = async (options: TestAppOptions) =>
  (t = await startTestApp({ controllers: [ReportsController], ...options }));

describe.each(PLATFORMS)('a guard of the host on %s', (platform) => {
  it.each<[string, TestAppOptions]>([
    ['as an APP_GUARD of the application module', { providers: [rolesGuard] }],
    ['as an APP_GUARD of a feature module', { imports: [RolesModule] }],
    ['by useGlobalGuards', { configure: (app) => void app.useGlobalGuards(new RolesGuard()) }],
  ])('%s runs after ours, and knows the user', async (_, options) => {
    const { app, url } = await start({ platform, ...options });
    const get = async (email: string, path = '/reports') =>
      (
        await request(url)
          .get(path)
          .set('Cookie', await signInAs(app, (await createUser(app, email)).id))
      ).status;
    expect(await get('ada@example.com')).toBe(403);
    expect(await get('admin@example.com')).toBe(200);
    // Without a session ours refuses before it.
    expect((await request(url).get('/reports')).status).toBe(401);
    expect((await request(url).get('/optional')).status).toBe(200);
  });
});

describe('the user outside of handlers', () => {
  it('an interceptor reads user and session; on a public handler nobody is known', async () => {
    const { app, url } = await start({});
    const ada = await createUser(app, 'ada@example.com');
    const cookie = await signInAs(app, ada.id);
    await request(url).get('/reports').set('Cookie', cookie).expect(200);
    await request(url).get('/optional').expect(200);
    await request(url).get('/public').set('Cookie', cookie).expect(200);
    expect(logged).toEqual([ada.email, expect.any(String), null, null, null, null]);
  });

  it("a host's directory is there under its own class too, as one instance", async () => {
    @Injectable()
    class Directory extends PostgresUserDirectory {
      greet() {
        return 'hello';
      }
    }
    const { app } = await start({ auth: { users: Directory } });
    expect(app.get(Directory).greet()).toBe('hello');
    expect(app.get(UserDirectory)).toBe(app.get(Directory));
  });
});

describe('H1: the guard proves at boot that it runs', () => {
  it('a request-scoped directory is refused', async () => {
    @Injectable({ scope: Scope.REQUEST })
    class Directory extends PostgresUserDirectory {}
    await expect(start({ auth: { users: Directory } })).rejects.toThrow(/request-scoped/);
  });

  it('a guard that a test has put in its place is one that runs (negative control)', async () => {
    const { url } = await start({
      override: (builder) => builder.overrideProvider(SessionGuard).useValue({ canActivate: () => true }),
    });
    await request(url).get('/reports').expect(200);
  });
});
