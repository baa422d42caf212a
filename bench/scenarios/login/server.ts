import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { Controller, Get } from '@nestjs/common';
import { getDataSourceToken } from '@nestjs/typeorm';
import { hash, verify } from '@node-rs/argon2';
import { CurrentUser, hours, SessionService, PostgresUserDirectory } from 'nestjs-latchkey';
import type { DataSource } from 'typeorm';
import type { Start } from '../../harness/contender.js';
import { startServer } from '../our-app.js';

export interface LoginServer {
  readonly url: string;
  readonly accounts: readonly Account[];
  /** `Cookie` headers of live sessions of others. */
  readonly cookies: readonly string[];
}

export interface Account {
  readonly email: string;
  readonly password: string;
}

/** Milliseconds that the thread of the event loop has run, and that it was ready to run and had no core. */
export interface MainThread {
  readonly ran: number;
  readonly waited: number;
}

const ACCOUNTS = 64;
const PASSWORD = 'correct horse battery staple';
const UNLIMITED = { limit: 100_000, window: hours(1) };

@Controller('me')
class MeController {
  @Get()
  me(@CurrentUser('id') id: string) {
    return { id };
  }
}

/** AuthModule with its default password settings, and no limit that the benchmark would run into. */
export const loginServer: Start<{ url: string; name: string }, LoginServer> = async ({ url, name }) => {
  const { app, url: address } = await startServer({
    url,
    controllers: [MeController],
    auth: {
      cookie: { secure: false },
      rateLimits: { policies: { login_attempt: UNLIMITED, login_ip: UNLIMITED }, backoff: { base: 0 } },
    },
  });
  const { id } = await app.get(PostgresUserDirectory).create(`${name}@example.com`, PASSWORD);
  // The same password, hashed once, for all of them.
  const copies = await app.get<DataSource>(getDataSourceToken()).query<{ id: string; email: string }[]>(
    `INSERT INTO users (email, password_hash) SELECT n || email, password_hash FROM users, generate_series(1, $2::int) n
     WHERE id = $1 RETURNING id, email`,
    [id, 2 * ACCOUNTS],
  );
  const accounts = copies.slice(ACCOUNTS).map(({ email }) => ({ email, password: PASSWORD }));
  const cookies: string[] = [];
  for (const visitor of copies.slice(0, ACCOUNTS)) {
    cookies.push(`session=${(await app.get(SessionService).create(visitor.id)).token}`);
  }
  return { hello: { url: address, accounts, cookies }, calls: { mainThread }, close: () => app.close() };
};

/** As Linux counts it; zeros elsewhere. */
function mainThread(): Promise<MainThread> {
  if (process.platform !== 'linux') return Promise.resolve({ ran: 0, waited: 0 });
  const nanos = readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'utf8').split(' ').map(Number);
  return Promise.resolve({ ran: nanos[0]! / 1e6, waited: nanos[1]! / 1e6 });
}

/** Nothing but the hash, with the same settings, on as many cores. */
export const bareHash: Start = async () => {
  const stored = await hash(PASSWORD, { memoryCost: 19_456, timeCost: 2, parallelism: 1 });
  const work = async () => {
    if (!(await verify(stored, PASSWORD))) throw new Error('The password did not match.');
  };
  return { work, concurrency: availableParallelism() };
};
