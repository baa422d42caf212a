import { Module, type INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { TypeOrmModule } from '@nestjs/typeorm';
import { authEntities, authMigrations, AuthModule, minutes } from 'nestjs-latchkey';

/** As many operations under way as every contender has connections for. */
export const CONCURRENCY = 16;
/** Of the event `2fa_attempt`, and of every peer. */
export const LIMIT = 5;
export const WINDOW = minutes(15);

/** Our module as a host would have it, without HTTP; brings the schema along. */
export function latchkeyContext(url: string, rememberedBlocks = 0): Promise<INestApplicationContext> {
  @Module({
    imports: [
      TypeOrmModule.forRoot({
        type: 'postgres',
        url,
        entities: authEntities,
        migrations: authMigrations,
        migrationsRun: true,
        poolSize: CONCURRENCY,
      }),
      AuthModule.forRoot({
        secrets: ['the benchmark protects nothing: 0123456789'],
        rateLimits: { rememberedBlocks, policies: { '2fa_attempt': { limit: LIMIT, window: WINDOW } } },
      }),
    ],
  })
  class BenchModule {}
  return NestFactory.createApplicationContext(BenchModule, { logger: ['error'] });
}
