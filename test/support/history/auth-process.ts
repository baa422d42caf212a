import { Module, type INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { TypeOrmModule } from '@nestjs/typeorm';
import { authEntities, AuthModule, type AuthEngine, type AuthModuleExtras, type AuthOptions } from 'nestjs-latchkey';

/**
 * AuthModule as this process was told to run it: `DATABASE_URL`, `REDIS_URLS` if it keeps sessions there, and its options
 * as JSON in `AUTH_OPTIONS`.
 */
export async function startAuthProcess(
  options: Partial<AuthOptions> & AuthModuleExtras = {},
  poolSize = 16,
): Promise<INestApplicationContext> {
  const engine = await toldEngine();
  const told = JSON.parse(process.env['AUTH_OPTIONS'] ?? '{}') as Partial<AuthOptions>;
  @Module({
    imports: [
      TypeOrmModule.forRoot({
        type: 'postgres',
        url: process.env['DATABASE_URL'],
        entities: authEntities,
        poolSize,
        retryAttempts: 0,
      }),
      AuthModule.forRoot({
        secrets: ['a test secret that is long enough: 0123456789'],
        password: { memoryCost: 8, timeCost: 1 },
        engine,
        ...options,
        ...told,
      }),
    ],
  })
  class AuthProcessModule {}
  return NestFactory.createApplicationContext(AuthProcessModule, { logger: false });
}

/** Most of these processes need not load node-redis. */
async function toldEngine(): Promise<AuthEngine | undefined> {
  const urls = process.env['REDIS_URLS']?.split(' ').filter(Boolean) ?? [];
  if (urls.length === 0) return undefined;
  const { engineFor } = await import('../redis-engine.js');
  return engineFor(process.env['DATABASE_URL']!, urls);
}
