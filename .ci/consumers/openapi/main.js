// The document of an application with @nestjs/swagger: valid in each version that swagger writes, and good for a client.
import 'reflect-metadata';
import { strict as assert } from 'node:assert';
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { Controller, Get, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import {
  ApiOkResponse,
  ApiOperation,
  ApiProperty,
  ApiSecurity,
  ApiUnauthorizedResponse,
  DocumentBuilder,
  SwaggerModule,
} from '@nestjs/swagger';
import { TypeOrmModule } from '@nestjs/typeorm';
import { createConfig, lintFromString } from '@redocly/openapi-core';
import { authEntities, authMigrations, AuthModule, PostgresUserDirectory } from 'nestjs-latchkey';
import { withAuthPaths } from 'nestjs-latchkey/openapi';
import { startEmbeddedPostgres } from 'nestjs-latchkey/testing';
import openapiTypescript, { astToString } from 'openapi-typescript';

class Note {}
ApiProperty({ type: String })(Note.prototype, 'text');

class NotesController {
  list() {
    return [{ text: 'first' }];
  }
}
const list = Object.getOwnPropertyDescriptor(NotesController.prototype, 'list');
Get()(NotesController.prototype, 'list', list);
ApiOperation({ summary: 'All notes' })(NotesController.prototype, 'list', list);
ApiUnauthorizedResponse()(NotesController.prototype, 'list', list);
ApiOkResponse({ type: [Note] })(NotesController.prototype, 'list', list);
ApiSecurity('authCookie')(NotesController);
ApiSecurity('authBearer')(NotesController);
Controller('notes')(NotesController);

const postgres = await startEmbeddedPostgres();
class AppModule {}
Module({
  imports: [
    TypeOrmModule.forRoot({
      type: 'postgres',
      url: postgres.url,
      entities: authEntities,
      migrations: authMigrations,
      migrationsRun: true,
    }),
    AuthModule.forRoot({ secrets: ['a consumer secret of more than 32 characters'], routes: { path: 'auth' } }),
  ],
  controllers: [NotesController],
})(AppModule);
const app = await NestFactory.create(AppModule, { logger: ['error'] });
app.setGlobalPrefix('api');

const config = await createConfig({ extends: ['recommended'] });
const problemsOf = async (document) => {
  const problems = await lintFromString({ source: JSON.stringify(document), absoluteRef: '/openapi.json', config });
  return problems.map(({ severity, ruleId, location }) => `${severity}: ${ruleId} ${location[0].pointer}`);
};

for (const version of ['3.0.0', '3.1.0']) {
  const builder = new DocumentBuilder().setTitle('Notes').setOpenAPIVersion(version).addServer('https://notes.test');
  const own = SwaggerModule.createDocument(app, builder.setLicense('MIT', 'https://notes.test/licence').build());
  const ownText = JSON.stringify(own);
  const document = withAuthPaths(own, app);
  assert.equal(JSON.stringify(own), ownText);
  assert.deepEqual(withAuthPaths(document, app), document);
  assert.deepEqual(document.paths['/api/notes'], own.paths['/api/notes']);
  assert.deepEqual(document.components.schemas.Note, own.components.schemas.Note);
  // Swagger has found our routes, and knows nothing about them.
  assert.deepEqual(Object.keys(document.paths).toSorted(), Object.keys(own.paths).toSorted());
  assert.ok(ownText.includes('MountedAuth') && !JSON.stringify(document).includes('MountedAuth'));
  assert.deepEqual(await problemsOf(document), []);
  // Negative control: the application's security schemes are ours, and its own document does not have them.
  assert.notDeepEqual(await problemsOf(own), []);
  writeFileSync('openapi.json', JSON.stringify(document));
  SwaggerModule.setup(`docs-${version}`, app, document);

  writeFileSync('client/api.d.ts', astToString(await openapiTypescript(document)));
  execFileSync('npx', ['tsc', '-p', 'client'], { stdio: 'inherit' });
}

await app.listen(0);
await app.get(PostgresUserDirectory).create('ada@example.com', 'correct horse');
const { run } = await import('./client/client.js');
await run((await app.getUrl()).replace('[::1]', 'localhost'), 'ada@example.com', 'correct horse');
await app.close();
await postgres.stop();
