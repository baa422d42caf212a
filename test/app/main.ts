/* oxlint-disable no-console */
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { NestFactory, type AbstractHttpAdapter } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { startEmbeddedPostgres, type EmbeddedPostgres } from 'nestjs-latchkey/testing';
import { curlLines } from '../support/readme.js';

const newSecret = (): string => randomBytes(48).toString('base64url');

/** Of the data beside it: another one could not read the authenticators in there. */
function keptSecret(): string {
  const file = new URL('.data/secret', project);
  if (!existsSync(file)) writeFileSync(file, newSecret(), { mode: 0o600 });
  return readFileSync(file, 'utf8');
}

async function adapterOf(name: string): Promise<AbstractHttpAdapter> {
  if (name === 'express') return new ExpressAdapter();
  if (name !== 'fastify') throw new Error(`ADAPTER is express or fastify, not '${name}'.`);
  const { FastifyAdapter } = await import('@nestjs/platform-fastify');
  return new FastifyAdapter();
}

const project = new URL('../../', import.meta.url);
const port = Number(process.env['PORT'] ?? 3000);

// `npm start`: the app of the README, with the two things that a real deployment brings itself, a database and a secret.
let postgres: EmbeddedPostgres | undefined;
try {
  if (!process.env['DATABASE_URL']) {
    postgres = await startEmbeddedPostgres({ dataDirectory: fileURLToPath(new URL('.data/postgres', project)) });
    process.env['DATABASE_URL'] = postgres.url;
  }
  process.env['AUTH_SECRET'] ??= postgres ? keptSecret() : newSecret();
  const { DemoAuthenticator, DemoModule } = await import('./demo.module.js');
  const { ADA, makeDemoAccounts } = await import('./demo-accounts.js');
  const { tourOf } = await import('./tour.js');
  const app = await NestFactory.create(DemoModule, await adapterOf(process.env['ADAPTER'] ?? 'express'), {
    logger: ['error', 'warn'],
  });
  await app.init();
  await makeDemoAccounts(app);
  // Its mail is open to whoever reaches it.
  await app.listen(port, process.env['HOST'] ?? '127.0.0.1');

  let stopping: Promise<void> | undefined; // Ctrl-C arrives twice: from the terminal, and from npm
  const stop = () => (stopping ??= app.close().then(() => postgres?.stop()));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => void stop().then(() => process.exit(0)));
  }

  const url = `http://localhost:${port}`;
  console.log(`nestjs-latchkey demo: ${url}   account: ${ADA.email} / ${ADA.password}`);
  console.log(`\nThree minutes in a browser:\n`);
  console.log(tourOf({ url, authenticator: app.get(DemoAuthenticator).current }));
  console.log(`\nIts routes, with curl:\n`);
  for (const line of curlLines(readFileSync(new URL('README.md', project), 'utf8'))) {
    console.log(`  ${line.replaceAll('localhost:3000', `localhost:${port}`)}`);
  }
  console.log('\nCtrl-C stops it.');
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  await postgres?.stop();
  process.exit(1);
}
