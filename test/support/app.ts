import { Module, type INestApplication, type ModuleMetadata, type Type } from '@nestjs/common';
import { ExpressAdapter } from '@nestjs/platform-express';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { Test, type TestingModuleBuilder } from '@nestjs/testing';
import { TypeOrmModule } from '@nestjs/typeorm';
import {
  authEntities,
  authMigrations,
  AuthModule,
  Clock,
  PostgresUserDirectory,
  type AuthModuleExtras,
  type AuthOptions,
  type AuthUser,
} from 'nestjs-latchkey';
import { FrozenClock } from 'nestjs-latchkey/testing';
import {
  DataSource,
  type DataSourceOptions,
  type EntitySchema,
  type MigrationInterface,
  type MixedList,
} from 'typeorm';
import { createTestDatabase, databaseAt, type TestDatabase } from './database.js';
import { spyOnQueries, type QuerySpy } from './query-spy.js';
import { VARIANT, variantOptions } from './variant.js';

export type Platform = 'express' | 'fastify';
const BOTH: readonly Platform[] = ['express', 'fastify'];
/** Both on the plain engine. What an engine or a cache does is below HTTP: each of the variants runs on one. */
export const PLATFORMS = (
  { plain: BOTH, cached: ['express'], redis: ['fastify'], 'redis-cluster': ['express'] } as const
)[VARIANT] satisfies readonly Platform[];

export const SECRET = 'a test secret that is long enough: 0123456789';
export const PASSWORD = 'correct horse battery staple';

/** Hashes that cost a millisecond: what they guard against is not what these tests are about. */
export const CHEAP_HASHES = { memoryCost: 8, timeCost: 1 };

/** On a clock that stands still every second failed login would wait: for tests about something else. */
export const NO_LOGIN_LIMITS: AuthOptions['rateLimits'] = {
  policies: { login_ip: { limit: 100_000 }, login_attempt: { limit: 100_000 } },
  backoff: { base: 0 },
};

export interface TestAppOptions {
  /** A database that others use too. Default: one of its own, which ends with it. */
  url?: string;
  platform?: Platform;
  /** Where the clock stands, in epoch ms. Default: that of `FrozenClock`. */
  startAt?: number;
  /** The port to listen on, at localhost. Default: any. */
  port?: number;
  /** Listens on this Unix socket instead of a port. */
  socketPath?: string;
  auth?: Partial<AuthOptions> & AuthModuleExtras;
  controllers?: Type[];
  providers?: ModuleMetadata['providers'];
  imports?: ModuleMetadata['imports'];
  entities?: MixedList<(new () => object) | EntitySchema>;
  migrations?: (new () => MigrationInterface)[];
  /** Other options of the DataSource, such as its schema. */
  dataSource?: Omit<Partial<Extract<DataSourceOptions, { type: 'postgres' }>>, 'type' | 'entities' | 'migrations'>;
  override?: (builder: TestingModuleBuilder) => TestingModuleBuilder;
  configure?: (app: INestApplication) => void;
}

export interface TestApp {
  readonly app: INestApplication;
  readonly clock: FrozenClock;
  readonly queries: QuerySpy;
  readonly db: TestDatabase;
  /** Address of the listening server. */
  readonly url: string;
  close(): Promise<void>;
}

/** A listening application with AuthModule on a real database and a clock that stands still. */
export async function startTestApp(options: TestAppOptions = {}): Promise<TestApp> {
  const db = options.url === undefined ? await createTestDatabase() : databaseAt(options.url);
  try {
    const { app, clock } = await listeningApp(db.url, options);
    const { port } = Object(app.getHttpServer().address()) as { port?: number };
    const close = () => app.close().then(() => db.drop());
    return { app, clock, db, queries: spyOnQueries(app), url: `http://127.0.0.1:${port}`, close };
  } catch (error) {
    await db.drop();
    throw error;
  }
}

async function listeningApp(
  databaseUrl: string,
  options: TestAppOptions,
): Promise<{ app: INestApplication; clock: FrozenClock }> {
  const clock = new FrozenClock(options.startAt);
  let connecting: Promise<DataSource> | undefined;
  const root = TypeOrmModule.forRootAsync({
    useFactory: () => ({
      type: 'postgres',
      url: databaseUrl,
      entities: options.entities ?? [...authEntities],
      migrations: options.migrations ?? [...authMigrations],
      migrationsRun: true,
      retryAttempts: 0,
      ...options.dataSource,
    }),
    dataSourceFactory: (given) => (connecting = new DataSource(given!).initialize()),
  });
  const auth = AuthModule.forRoot({
    secrets: [SECRET],
    password: CHEAP_HASHES,
    rateLimits: NO_LOGIN_LIMITS,
    routes: { path: 'auth' },
    // Its timer would come in between at some moment; the tests of the cleanup turn it on.
    cleanup: { enabled: false },
    // A busy machine is no outage; tests of outages say how long they wait.
    database: { timeout: 20_000 },
    ...(await variantOptions(databaseUrl)),
    ...options.auth,
  });

  @Module({
    imports: [root, auth, ...(options.imports ?? [])],
    controllers: options.controllers ?? [],
    providers: options.providers ?? [],
  })
  class TestAppModule {}

  let builder = Test.createTestingModule({ imports: [TestAppModule] })
    .overrideProvider(Clock)
    .useValue(clock);
  if (options.override) builder = options.override(builder);
  const module = await builder.compile().catch(async (error: unknown) => {
    // It may still be connecting, to a database that is dropped next.
    await connecting?.then((dataSource) => dataSource.destroy()).catch(() => undefined);
    throw error;
  });
  const app = module.createNestApplication(await adapterFor(options.platform ?? 'express'), {
    logger: false,
  });
  options.configure?.(app);
  try {
    await (options.socketPath ? app.listen(options.socketPath) : app.listen(options.port ?? 0, '127.0.0.1'));
  } catch (error) {
    // What did boot has connections, which keep this process alive.
    await app.close();
    throw error;
  }
  return { app, clock };
}

async function adapterFor(platform: Platform): Promise<ExpressAdapter> {
  if (platform === 'express') return new ExpressAdapter();
  // Most test files never ask for it, and it takes a while to load.
  const { FastifyAdapter } = await import('@nestjs/platform-fastify');
  return new FastifyAdapter() as unknown as ExpressAdapter;
}

/** In this order: the one whose database the others share comes last. */
export async function closeAll(...apps: (TestApp | undefined)[]): Promise<void> {
  for (const t of apps) await t?.close();
}

let users = 0;

/** An account with the password `PASSWORD`; with an address that no other has, unless one is named. */
export function createUser(
  app: INestApplication | NestFastifyApplication,
  email = `user${++users}@example.com`,
): Promise<AuthUser> {
  return app.get(PostgresUserDirectory).create(email, PASSWORD, { emailVerifiedAt: app.get(Clock).now() - 1_000 });
}

/** The directory cannot judge a password while `work` runs. */
export async function whileAway(users: PostgresUserDirectory, work: () => Promise<unknown>): Promise<void> {
  const verify = users.verifyCredentials.bind(users);
  users.verifyCredentials = () => Promise.reject(new Error('away'));
  try {
    await work();
  } finally {
    users.verifyCredentials = verify;
  }
}
