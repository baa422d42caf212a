import { Module, type INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { TypeOrmModule } from '@nestjs/typeorm';
import { authEntities, AuthModule, type AuthModuleExtras, type AuthOptions } from 'nestjs-latchkey';

/** AuthModule as this process was told to run it: `DATABASE_URL`, and its options as JSON in `AUTH_OPTIONS`. */
export function startAuthProcess(
  options: Partial<AuthOptions> & AuthModuleExtras = {},
  poolSize = 16,
): Promise<INestApplicationContext> {
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
        ...options,
        ...told,
      }),
    ],
  })
  class AuthProcessModule {}
  return NestFactory.createApplicationContext(AuthProcessModule, { logger: false });
}
