import { Controller, Get, Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { authEntities, authMigrations, AuthModule, CurrentUser, Public, SessionService } from 'nestjs-latchkey';

@Controller()
export class AccountsController {
  constructor(private readonly sessions: SessionService) {}

  @Public()
  @Get()
  hello() {
    return 'Hello';
  }

  @Get('notes')
  async list(@CurrentUser('id') userId: string) {
    return { sessions: (await this.sessions.listForUser(userId)).length };
  }
}

@Module({
  imports: [
    TypeOrmModule.forRootAsync({
      useFactory: () => ({
        type: 'postgres',
        url: process.env['DATABASE_URL'],
        entities: [...authEntities],
        migrations: [...authMigrations],
        migrationsRun: true,
      }),
    }),
    AuthModule.forRootAsync({
      routes: { path: 'auth' },
      useFactory: () => ({ secrets: [process.env['AUTH_SECRET']!] }),
    }),
  ],
  controllers: [AccountsController],
})
export class AccountsModule {}
