// The document of an application with @nestjs/swagger: valid in each version that swagger writes, and good for a client.
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
import { setUpDocument } from './document.js';

class Note {
  @ApiProperty()
  text!: string;
}

@ApiSecurity('authCookie')
@ApiSecurity('authBearer')
@Controller('notes')
class NotesController {
  @ApiOperation({ summary: 'All notes' })
  @ApiOkResponse({ type: [Note] })
  @ApiUnauthorizedResponse()
  @Get()
  list(): Note[] {
    return [{ text: 'first' }];
  }
}

const postgres = await startEmbeddedPostgres();

@Module({
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
})
class AppModule {}

const app = await NestFactory.create(AppModule, { logger: ['error'] });
app.setGlobalPrefix('api');

const rules = await createConfig({ extends: ['recommended'] });
/** What is wrong with a document, but for what the application has to say about itself. */
async function problemsOf(document: object): Promise<string[]> {
  const source = JSON.stringify({ ...document, servers: [{ url: 'https://notes.test' }] });
  const problems = await lintFromString({ source, absoluteRef: '/openapi.json', config: rules });
  return problems
    .map(({ severity, ruleId, location }) => `${severity}: ${ruleId} ${location[0]?.pointer}`)
    .filter((problem) => !problem.includes('#/info'));
}

for (const openapi of ['3.0.0', '3.1.0']) {
  const config = new DocumentBuilder().setTitle('Notes').setOpenAPIVersion(openapi).build();
  const own = SwaggerModule.createDocument(app, config);
  const ownText = JSON.stringify(own);
  const document = withAuthPaths(own, app);
  assert.equal(JSON.stringify(own), ownText);
  assert.deepEqual(withAuthPaths(document, app), document);
  assert.deepEqual(document.paths['/api/notes'], own.paths['/api/notes']);
  assert.deepEqual(document.components?.schemas?.['Note'], own.components?.schemas?.['Note']);
  // Swagger has found our routes, and knows nothing about them.
  assert.deepEqual(Object.keys(document.paths).toSorted(), Object.keys(own.paths).toSorted());
  assert.ok(ownText.includes('MountedAuth') && !JSON.stringify(document).includes('MountedAuth'));
  assert.deepEqual(await problemsOf(document), []);
  // Negative control: the application names security schemes of ours, which its own document does not have.
  assert.match((await problemsOf(own)).join('\n'), /security-defined/);
}

const document = setUpDocument(app);
writeFileSync('client/api.d.ts', astToString(await openapiTypescript(JSON.stringify(document))));
execFileSync('npx', ['tsc', '-p', 'client'], { stdio: 'inherit' });

await app.listen(0);
await app.get(PostgresUserDirectory).create('ada@example.com', 'correct horse battery');
const client = './client/client.js'; // it has just been compiled
const { run } = (await import(client)) as { run: (...args: string[]) => Promise<void> };
const baseUrl = (await app.getUrl()).replace('[::1]', 'localhost');
const shown = (await (await fetch(`${baseUrl}/docs-json`)).json()) as typeof document;
assert.ok(shown.paths['/api/auth/login']?.post?.requestBody);
await run(baseUrl, 'ada@example.com', 'correct horse battery');
await app.close();
await postgres.stop();
