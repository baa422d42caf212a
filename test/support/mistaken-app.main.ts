import { Controller, Get, Module, type DynamicModule, type Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { TypeOrmModule } from '@nestjs/typeorm';
import { authEntities, authMigrations, AuthModule, CurrentUser } from 'nestjs-latchkey';

/** What an application can get wrong, by which `mistakes.spec.ts` starts it. The rest is wrong in its environment. */
const MISTAKES: Readonly<Record<string, { orm?: object | null; auth?: (DynamicModule | Type)[] }>> = {
  none: {},
  'no secret': { auth: [withOptions({ secrets: [process.env['NOT_SET']!] })] },
  'migrations not run': { orm: { migrationsRun: false } },
  'forRoot twice': { auth: [withOptions(), { module: class Feature {}, imports: [withOptions()] }] },
  'forRoot missing': { auth: [AuthModule] },
  'wrong data source name': { auth: [withOptions({ dataSource: 'notes' })] },
  'no data source': { orm: null },
};

function withOptions(options: object = {}): DynamicModule {
  return AuthModule.forRoot({ secrets: ['0a1b2c3d4e5f'.repeat(4)], routes: { path: 'auth' }, ...options });
}

@Controller('me')
class MeController {
  @Get()
  me(@CurrentUser('id') id: string) {
    return { id };
  }
}

const { orm = {}, auth = [withOptions()] } = MISTAKES[process.argv[2]!]!;
const connection = TypeOrmModule.forRoot({
  type: 'postgres',
  url: process.env['DATABASE_URL']!,
  entities: [...authEntities],
  migrations: [...authMigrations],
  migrationsRun: true,
  retryAttempts: 1,
  retryDelay: 10,
  ...orm,
});

@Module({ imports: [...(orm === null ? [] : [connection]), ...auth], controllers: [MeController] })
class AppModule {}

const app = await NestFactory.create(AppModule, { logger: ['error', 'warn'] });
await app.listen(0, '127.0.0.1');
console.log(`listens at ${await app.getUrl()}`);
