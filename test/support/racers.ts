import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll } from '@jest/globals';
import type { AuthOptions, Session } from 'nestjs-latchkey';

/** What every process does, `times` at once. */
export interface Task {
  kind:
    | 'consume'
    | 'reset'
    | 'issue'
    | 'register'
    | 'magic link'
    | 'api key'
    | 'limit'
    | 'both'
    | 'elevate'
    | 'factor'
    | 'second step'
    | 'passkey'
    | 'read then delete'
    | 'count then insert';
  times: number;
  type?: string;
  /** Taken in turns. */
  tokens?: string[];
  binding?: string | null;
  subject?: string;
  session?: Session;
  /** A response to the second factor of this method. */
  factor?: { method: 'totp' | 'backup-code'; response: string };
}

export interface Racers {
  /** Everything that all processes got which was not `null`. */
  run(task: Task): Promise<unknown[]>;
  stop(): Promise<void>;
}

const SCRIPT = fileURLToPath(new URL('./racer.main.ts', import.meta.url));
const LOADER = new URL('./register.js', import.meta.url).href;

/** Operating-system processes of their own, each with an application and a pool of 25 connections. */
export async function startRacers(
  databaseUrl: string,
  count = 2,
  redisUrls: readonly string[] = [],
  auth: Partial<AuthOptions> = {},
): Promise<Racers> {
  const children = await Promise.all(
    Array.from({ length: count }, async () => {
      const child = fork(SCRIPT, {
        execArgv: ['--import', LOADER],
        env: {
          ...process.env,
          NODE_OPTIONS: '',
          DATABASE_URL: databaseUrl,
          REDIS_URLS: redisUrls.join(' '),
          AUTH_OPTIONS: JSON.stringify(auth),
        },
      });
      await message(child);
      return child;
    }),
  );
  return {
    run: async (task) => {
      const answers = children.map(message);
      for (const child of children) child.send(task);
      return (await Promise.all(answers)).flatMap((answer) => answer as unknown[]).filter((result) => result !== null);
    },
    stop: async () => {
      await Promise.all(
        children.map((child) => {
          const exit = once(child, 'exit');
          child.send('stop');
          return exit;
        }),
      );
    },
  };
}

/** Racers for all tests of this `describe`, which ends before the application that has the database. */
export function sharedRacers(databaseUrl: () => string): Pick<Racers, 'run'> {
  let racers: Racers;
  beforeAll(async () => void (racers = await startRacers(databaseUrl())), 60_000);
  afterAll(() => racers?.stop());
  return { run: (task) => racers.run(task) };
}

async function message(child: ChildProcess): Promise<unknown> {
  const done = new AbortController();
  const { signal } = done;
  const exited = once(child, 'exit', { signal }).then(([code]) => {
    throw new Error(`A racer ended with ${code}.`);
  });
  exited.catch(() => undefined);
  try {
    return ((await Promise.race([once(child, 'message', { signal }), exited])) as unknown[])[0];
  } finally {
    done.abort();
  }
}
