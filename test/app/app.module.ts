import { Body, Controller, Get, Module, Post } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { authEntities, authMigrations, AuthModule, CurrentUser, Public } from 'nestjs-latchkey';

@Controller('notes')
export class NotesController {
  private readonly notes = new Map<string, string[]>();

  @Get() // guarded by default, like every handler
  list(@CurrentUser('id') userId: string) {
    return this.notes.get(userId) ?? [];
  }

  @Post()
  add(@CurrentUser('id') userId: string, @Body('text') text: string) {
    this.notes.set(userId, [...this.list(userId), String(text)]);
    return this.list(userId);
  }

  @Public()
  @Get('about')
  about() {
    return { about: 'Notes that only you can read.' };
  }
}

@Module({
  imports: [
    TypeOrmModule.forRoot({
      type: 'postgres',
      url: process.env['DATABASE_URL'],
      entities: [...authEntities],
      migrations: [...authMigrations],
      migrationsRun: true,
    }),
    AuthModule.forRoot({
      secrets: [process.env['AUTH_SECRET']!],
      routes: { path: 'auth' },
    }),
  ],
  controllers: [NotesController],
})
export class AppModule {}
