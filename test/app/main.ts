/* oxlint-disable no-console */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { NestFactory } from '@nestjs/core';
import { PostgresUserDirectory } from 'nestjs-latchkey';
import { startEmbeddedPostgres, type EmbeddedPostgres } from 'nestjs-latchkey/testing';
import { curlLines } from '../support/readme.js';

const ADA = { email: 'ada@example.com', password: 'correct horse battery staple' };

const project = new URL('../../', import.meta.url);
const port = Number(process.env['PORT'] ?? 3000);

// `npm start`: the app of the README, with the two things that a real deployment brings itself, a database and a secret.
let postgres: EmbeddedPostgres | undefined;
try {
  if (!process.env['DATABASE_URL']) {
    postgres = await startEmbeddedPostgres({ dataDirectory: fileURLToPath(new URL('.data/postgres', project)) });
    process.env['DATABASE_URL'] = postgres.url;
  }
  process.env['AUTH_SECRET'] ??= randomBytes(48).toString('base64url');
  const { DemoModule } = await import('./demo.module.js');
  const app = await NestFactory.create(DemoModule, { logger: ['error', 'warn'] });
  const users = app.get(PostgresUserDirectory);
  if (!(await users.findByLogin(ADA.email))) await users.create(ADA.email, ADA.password);
  // Its mail is open to whoever reaches it.
  await app.listen(port, process.env['HOST'] ?? '127.0.0.1');

  let stopping: Promise<void> | undefined; // Ctrl-C arrives twice: from the terminal, and from npm
  const stop = () => (stopping ??= app.close().then(() => postgres?.stop()));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => void stop().then(() => process.exit(0)));
  }

  console.log(`nestjs-latchkey demo: http://localhost:${port}   account: ${ADA.email} / ${ADA.password}`);
  console.log(`Open it in a browser: sign in, register, add a second factor or a passkey.`);
  console.log(`Its mail is printed here, and kept at http://localhost:${port}/demo/mail`);
  console.log(`\nTry it:\n`);
  for (const line of curlLines(readFileSync(new URL('README.md', project), 'utf8'))) {
    console.log(`  ${line.replaceAll('localhost:3000', `localhost:${port}`)}`);
  }
  console.log('\nCtrl-C stops it.');
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  await postgres?.stop();
  process.exit(1);
}
