import { Module, type INestApplication, type INestApplicationContext, type ModuleMetadata } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { TypeOrmModule } from '@nestjs/typeorm';
import { authEntities, AuthModule, type AuthOptions } from 'nestjs-latchkey';
import type { AddressInfo } from 'node:net';
import { migrate } from '../../test/support/database.js';
import type { Bench } from '../harness/scenario.js';

export interface OurApp extends Pick<ModuleMetadata, 'controllers'> {
  /** Of a database that `migrated` has made. */
  readonly url: string;
  readonly auth?: Partial<AuthOptions>;
}

/** Connections of every contender, and operations under way where there are several. */
export const CONCURRENCY = 16;

/** A new database with our tables; its address. */
export async function migrated(bench: Bench, name: string): Promise<string> {
  const url = await bench.database(name);
  await migrate(url);
  return url;
}

/** AuthModule without HTTP. */
export function startContext(app: OurApp): Promise<INestApplicationContext> {
  return NestFactory.createApplicationContext(moduleOf(app), { logger: ['error'] });
}

/** AuthModule with its routes below `/auth`, on Express. */
export async function startServer(app: OurApp): Promise<{ app: INestApplication; url: string }> {
  const server = await NestFactory.create(moduleOf(app), { logger: ['error'] });
  await server.listen(0, '127.0.0.1');
  const { port } = (server.getHttpServer() as { address(): AddressInfo }).address();
  return { app: server, url: `http://127.0.0.1:${port}` };
}

function moduleOf({ url, auth, controllers }: OurApp) {
  @Module({
    imports: [
      TypeOrmModule.forRoot({ type: 'postgres', url, entities: authEntities, poolSize: CONCURRENCY, retryAttempts: 0 }),
      AuthModule.forRoot({
        secrets: ['the benchmark protects nothing: 0123456789'],
        routes: { path: 'auth' },
        ...auth,
      }),
    ],
    controllers,
  })
  class OurModule {}
  return OurModule;
}
