import {
  Controller,
  Get,
  Injectable,
  Module,
  Req,
  UseGuards,
  type CanActivate,
  type DynamicModule,
  type MiddlewareConsumer,
  type NestModule,
} from '@nestjs/common';
import { describe, expect, it } from '@jest/globals';
import { Test } from '@nestjs/testing';
import { getDataSourceToken, TypeOrmModule } from '@nestjs/typeorm';
import cookieParser from 'cookie-parser';
import { createHmac } from 'node:crypto';
import {
  authEntities,
  authMigrations,
  AuthModule,
  CurrentUser,
  hours,
  OriginGuard,
  SessionGuard,
  SessionService,
  PostgresUserDirectory,
} from 'nestjs-latchkey';
import { signInAs } from 'nestjs-latchkey/testing';
import request from 'supertest';
import { DataSource } from 'typeorm';
import {
  CHEAP_HASHES,
  createUser,
  PASSWORD,
  PLATFORMS,
  SECRET,
  startTestApp,
  type TestAppOptions,
} from '../support/app.js';
import { cleanupsAfterEach } from '../support/cleanups.js';
import { cookieOf } from '../support/cookies.js';
import { createTestDatabase } from '../support/database.js';

@Controller('things')
class ThingsController {
  @Get()
  guarded(@CurrentUser('email') email: string | null) {
    return { email };
  }

  @Get('cookies')
  cookies(@Req() request: { cookies?: object; raw?: { cookies?: object } }) {
    return { ...(request.cookies ?? request.raw?.cookies) };
  }
}

const cleanups = cleanupsAfterEach();

async function start(options: Partial<TestAppOptions> = {}) {
  const db = await createTestDatabase();
  cleanups.push(() => db.drop());
  const t = await startTestApp({ url: db.url, controllers: [ThingsController], ...options });
  cleanups.push(() => t.close());
  return { db, t };
}

/** The module wired by hand: what `startTestApp` does for all the other tests is the subject here. */
async function boot(url: string, auth: DynamicModule, controllers = [ThingsController]) {
  @Module({
    imports: [
      TypeOrmModule.forRootAsync({
        useFactory: () => ({
          type: 'postgres',
          url,
          entities: authEntities,
          migrations: authMigrations,
          retryAttempts: 0,
        }),
        dataSourceFactory: (options) => (connecting = new DataSource(options!).initialize()),
      }),
      auth,
    ],
    controllers,
  })
  class HostModule {}
  // A boot that fails leaves its connections to whoever opened them.
  let connecting: Promise<DataSource> | undefined;
  cleanups.push(async () => {
    const dataSource = await connecting;
    if (dataSource?.isInitialized) await dataSource.destroy();
  });
  const quiet = { log: () => {}, warn: () => {}, error: () => {} }; // a failed boot is what some tests are about
  const module = await Test.createTestingModule({ imports: [HostModule] })
    .setLogger(quiet)
    .compile();
  const app = module.createNestApplication({ logger: false });
  cleanups.push(() => app.close());
  await app.listen(0, '127.0.0.1');
  return app;
}

describe('AuthModule', () => {
  it('bad configuration: the process does not start and says why, all at once', async () => {
    const db = await createTestDatabase();
    cleanups.push(() => db.drop());
    const auth = AuthModule.forRoot({ secrets: ['short'], session: { maxPerUser: -1 }, routes: { path: '' } });
    const error = await boot(db.url, auth).catch((reason: unknown) => reason);
    expect(error).toMatchObject({
      code: 'INVALID_CONFIG',
      facts: { mistakes: [expect.any(String), expect.any(String), expect.any(String)] },
    });
  });

  it('forRootAsync: options from a factory, routes and guard written beside it', async () => {
    const db = await createTestDatabase();
    cleanups.push(() => db.drop());
    @Injectable()
    class Settings {
      readonly secret = SECRET;
    }
    @Module({ providers: [Settings], exports: [Settings] })
    class SettingsModule {}
    const app = await boot(
      db.url,
      AuthModule.forRootAsync({
        imports: [SettingsModule],
        inject: [Settings],
        useFactory: (settings: Settings) => ({
          secrets: [settings.secret],
          password: CHEAP_HASHES,
          session: { ttl: hours(8), extendBelow: hours(4), absoluteLifetime: hours(12) },
        }),
        routes: { path: 'api/auth' },
      }),
    );
    await createUser(app, 'ada@example.com');
    const server = app.getHttpServer();
    const login = await request(server)
      .post('/api/auth/login')
      .send({ email: 'ada@example.com', password: PASSWORD })
      .expect(200);
    expect(login.get('Set-Cookie')![0]).toMatch(/Max-Age=(28800|28799)/);
    await request(server).get('/things').expect(401);
    await request(server).get('/things').set('Cookie', cookieOf(login)).expect(200);
  });

  it('forRoot twice is a mistake that says so: both would guard every request', async () => {
    const db = await createTestDatabase();
    cleanups.push(() => db.drop());
    @Module({ imports: [AuthModule.forRoot({ secrets: [SECRET], trustedOrigins: ['https://app.example.com'] })] })
    class AgainModule {}
    @Module({ imports: [AuthModule.forRoot({ secrets: [SECRET] }), AgainModule] })
    class BothModule {}
    await expect(boot(db.url, { module: BothModule })).rejects.toMatchObject({
      code: 'INVALID_CONFIG',
      facts: { mistakes: [expect.stringMatching(/^AuthModule is imported 2 times .* call forRoot once/)] },
    });
  });

  it.each(['registration', 'passwordReset', 'magicLink', 'emailChange'] as const)(
    'a flow that mails is told to be without a mailer, beside all other mistakes: flows.%s',
    async (flow) => {
      const db = await createTestDatabase();
      cleanups.push(() => db.drop());
      const auth = AuthModule.forRoot({ secrets: ['short'], flows: { [flow]: {} } });
      const error = (await boot(db.url, auth).catch((reason: unknown) => reason)) as Error;
      expect(error).toMatchObject({ code: 'INVALID_CONFIG' });
      expect(error.message).toContain(`flows.${flow} needs mailer: a class that extends Mailer`);
      expect(error.message).toMatch(/secret/);
    },
  );

  it('forRootAsync fails at boot too', async () => {
    const db = await createTestDatabase();
    cleanups.push(() => db.drop());
    const auth = AuthModule.forRootAsync({ useFactory: () => ({ secrets: [] }) });
    await expect(boot(db.url, auth)).rejects.toMatchObject({ code: 'INVALID_CONFIG' });
  });

  it('without `routes` it mounts none', async () => {
    const { t } = await start({ auth: { routes: undefined } });
    const cookie = await signInAs(t.app, (await createUser(t.app, 'ada@example.com')).id);
    await request(t.url).post('/auth/login').send({}).expect(404);
    await request(t.url).get('/things').set('Cookie', cookie).expect(200);
  });

  it('two apps in one process mount different paths and know different users', async () => {
    const [one, two] = [
      await start({ auth: { routes: { path: 'one' } } }),
      await start({ auth: { routes: { path: 'two' } } }),
    ];
    await createUser(one.t.app, 'ada@example.com');
    const login = (url: string, path: string) =>
      request(url).post(`/${path}/login`).send({ email: 'ada@example.com', password: PASSWORD });
    await login(one.t.url, 'one').expect(200);
    await login(two.t.url, 'two').expect(503);
    await login(one.t.url, 'two').expect(404);
  });

  it.each(PLATFORMS)('mounts cookie-parser, for handlers that read request.cookies, on %s', async (platform) => {
    const { t } = await start({ platform });
    const cookie = await signInAs(t.app, (await createUser(t.app, 'ada@example.com')).id);
    const answer = await request(t.url).get('/things/cookies').set('Cookie', `${cookie}; theme=dark`).expect(200);
    expect(answer.body).toMatchObject({ theme: 'dark' });
  });

  it.each(PLATFORMS)("request.cookies is there for the host's middleware, on %s", async (platform) => {
    const seen: unknown[] = [];
    @Module({})
    class HostModule implements NestModule {
      configure(consumer: MiddlewareConsumer): void {
        consumer
          .apply((request: { cookies: object; signedCookies: object }, _: unknown, next: () => void) => {
            seen.push({ ...request.cookies }, { ...request.signedCookies }, { ...request.cookies });
            next();
          })
          .forRoutes('things');
      }
    }
    const { t } = await start({ platform, imports: [HostModule] });
    await request(t.url).get('/things').set('Cookie', 'theme=dark; size=j:[1]').expect(401);
    expect(seen).toEqual([{ theme: 'dark', size: [1] }, {}, { theme: 'dark', size: [1] }]);
  });

  it("leaves the host's own cookie-parser its result", async () => {
    const seen: unknown[] = [];
    const { t } = await start({
      configure: (app) => {
        app.use(cookieParser('host secret'));
        app.use(({ cookies, signedCookies }: Record<string, object>, _: unknown, next: () => void) => {
          seen.push({ ...cookies }, { ...signedCookies });
          next();
        });
      },
    });
    const cookie = await signInAs(t.app, (await createUser(t.app, 'ada@example.com')).id);
    const signature = createHmac('sha256', 'host secret').update('dark').digest('base64').replaceAll('=', '');
    const cookies = `${cookie}; size=2; theme=s%3Adark.${encodeURIComponent(signature)}`;
    const answer = await request(t.url).get('/things/cookies').set('Cookie', cookies).expect(200);
    expect(seen).toEqual([expect.objectContaining({ size: '2' }), { theme: 'dark' }]);
    expect(answer.body).toEqual(seen[0]);
  });

  it.each(PLATFORMS)('works under a global prefix, on %s', async (platform) => {
    const { t } = await start({ platform, configure: (app) => app.setGlobalPrefix('v1') });
    await createUser(t.app, 'ada@example.com');
    const login = await request(t.url)
      .post('/v1/auth/login')
      .send({ email: 'ada@example.com', password: PASSWORD })
      .expect(200);
    await request(t.url).get('/v1/things').set('Cookie', cookieOf(login)).expect(200);
    await request(t.url).get('/v1/things').expect(401);
  });

  it('overrideProvider(SessionGuard) replaces the global guard in a test', async () => {
    const allowAll: CanActivate = { canActivate: () => true };
    const { t } = await start({ override: (builder) => builder.overrideProvider(SessionGuard).useValue(allowAll) });
    expect((await request(t.url).get('/things').expect(200)).body).toEqual({ email: null });
  });

  it('globalGuard: false guards what says so, and nothing else', async () => {
    @Controller('own')
    @UseGuards(OriginGuard, SessionGuard)
    class OwnController {
      @Get()
      own(@CurrentUser('email') email: string) {
        return { email };
      }
    }
    const { t } = await start({ auth: { globalGuard: false }, controllers: [ThingsController, OwnController] });
    const cookie = await signInAs(t.app, (await createUser(t.app, 'ada@example.com')).id);
    await request(t.url).get('/things').expect(200);
    await request(t.url).get('/own').expect(401);
    expect((await request(t.url).get('/own').set('Cookie', cookie).expect(200)).body).toEqual({
      email: 'ada@example.com',
    });
    await request(t.url).get('/auth/session').expect(401);
    await request(t.url).get('/auth/session').set('Cookie', cookie).expect(200);
    await request(t.url).post('/auth/logout').set('Origin', 'https://evil.example').expect(403);
  });

  it('a guard on the route beside the global one asks the database once', async () => {
    @Controller('twice')
    class TwiceController {
      @UseGuards(SessionGuard)
      @Get()
      twice() {
        return {};
      }
    }
    const { t } = await start({ controllers: [TwiceController] });
    const cookie = await signInAs(t.app, (await createUser(t.app, 'ada@example.com')).id);
    t.queries.reset();
    await request(t.url).get('/twice').set('Cookie', cookie).expect(200);
    expect(t.queries.statements).toHaveLength(1);
  });

  it('secure: false: a cookie that plain http keeps, without the prefix', async () => {
    const { t } = await start({ auth: { cookie: { secure: false, name: 'sid' } } });
    await createUser(t.app, 'ada@example.com');
    const agent = request.agent(t.url);
    const login = await agent.post('/auth/login').send({ email: 'ada@example.com', password: PASSWORD }).expect(200);
    expect(login.get('Set-Cookie')![0]).toMatch(/^sid=[^;]+; Max-Age=2592000; Path=\/; HttpOnly; SameSite=Lax$/);
    await agent.get('/things').expect(200);
    await agent.post('/auth/logout').expect(200);
    await agent.get('/things').expect(401);
  });

  it('K7: clearSiteData says so on logout, when it is asked for', async () => {
    const { t } = await start({ auth: { routes: { path: 'auth', clearSiteData: true } } });
    const answer = await request(t.url).post('/auth/logout').expect(200);
    expect(answer.headers['clear-site-data']).toBe('"cache", "cookies", "storage"');
    const { t: plain } = await start();
    expect((await request(plain.url).post('/auth/logout').expect(200)).headers['clear-site-data']).toBeUndefined();
  });

  it('503 with Retry-After when the hasher is full; guarded requests go on', async () => {
    const { t } = await start({ auth: { password: { memoryCost: 65_536, timeCost: 3, concurrency: 1, queue: 1 } } });
    const ada = await createUser(t.app, 'ada@example.com');
    const cookie = await signInAs(t.app, ada.id);
    const logins = await Promise.all(
      Array.from({ length: 8 }, () =>
        request(t.url).post('/auth/login').send({ email: 'ada@example.com', password: 'wrong' }),
      ),
    );
    const refused = logins.filter(({ status }) => status === 503);
    expect(refused.length).toBeGreaterThan(0);
    for (const { body, headers } of refused) {
      expect(body.code).toBe('HASHER_OVERLOADED');
      expect(headers['retry-after']).toBe('1');
    }
    await request(t.url).get('/things').set('Cookie', cookie).expect(200);
  });

  it('takes a DataSource by name', async () => {
    const db = await createTestDatabase();
    cleanups.push(() => db.drop());
    @Module({
      imports: [
        TypeOrmModule.forRoot({
          name: 'auth',
          type: 'postgres',
          url: db.url,
          entities: authEntities,
          retryAttempts: 0,
        }),
        AuthModule.forRoot({ secrets: [SECRET], password: CHEAP_HASHES, dataSource: 'auth' }),
      ],
    })
    class HostModule {}
    const module = await Test.createTestingModule({ imports: [HostModule] }).compile();
    cleanups.push(() => module.close());
    await module.init();
    const ada = await module.get(PostgresUserDirectory).create('ada@example.com', PASSWORD);
    const { token } = await module.get(SessionService).create(ada.id);
    expect(await module.get(SessionService).lookup(token)).not.toBeNull();
    expect(module.get<DataSource>(getDataSourceToken('auth')).isInitialized).toBe(true);
  });
});
