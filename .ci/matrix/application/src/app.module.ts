import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { authEntities, authMigrations, AuthModule } from 'nestjs-latchkey';
import { AppController } from './app.controller.js';
import { AppService } from './app.service.js';
import { NotesController } from './notes.controller.js';

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
  controllers: [AppController, NotesController],
  providers: [AppService],
})
export class AppModule {}
