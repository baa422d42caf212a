/* oxlint-disable no-console */
import { availableParallelism, cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { authEntities, authMigrations } from 'nestjs-latchkey';
import { startEmbeddedPostgres } from 'nestjs-latchkey/testing';
import { DataSource } from 'typeorm';
import { cachedAuth } from '../test/support/history/cached.js';
import { Worker } from '../test/support/worker.js';
import type { FromWorker, Seen, Subject, ToWorker } from './revocation-latency.messages.js';

// How long what one process has ended is still answered by the others, which have it in their caches and ask for it all
// the time: `node --import ./test/support/register.js bench/revocation-latency.ts [sessions] [users] [jwts]`

const PROCESSES = 3;
const [sessions = 1000, users = 200, jwts = 200] = process.argv.slice(2).map(Number);
const SCRIPT = fileURLToPath(new URL('./revocation-latency.worker.ts', import.meta.url));

type Watcher = Worker<ToWorker, FromWorker>;

const postgres = await startEmbeddedPostgres();
try {
  const db = await new DataSource({
    type: 'postgres',
    url: postgres.url,
    entities: authEntities,
    migrations: authMigrations,
    migrationsRun: true,
  }).initialize();
  const [{ version }] = await db.query<[{ version: string }]>("SELECT current_setting('server_version') AS version");
  const env = { DATABASE_URL: postgres.url, AUTH_OPTIONS: JSON.stringify(cachedAuth('postgres')) };
  const workers = Array.from({ length: PROCESSES }, () => new Worker<ToWorker, FromWorker>(SCRIPT, env));
  await Promise.all(workers.map((worker) => worker.next('ready')));
  console.log(`${PROCESSES} processes, each with a cache`);
  console.log(`Node ${process.version}, PostgreSQL ${version}, ${availableParallelism()} cores, ${cpus()[0]?.model}`);
  await measure(db, workers, 'session', sessions);
  await measure(db, workers, 'user', users);
  await measure(db, workers, 'jwt', jwts);
  await Promise.all(workers.map((worker) => worker.stop()));
  await db.destroy();
} finally {
  await postgres.stop();
}

async function measure(db: DataSource, workers: readonly Watcher[], subject: Subject, count: number): Promise<void> {
  const accounts = await db.query<{ id: string }[]>(
    `INSERT INTO users (email, password_hash)
     SELECT $1 || n || '@example.com', 'x' FROM generate_series(1, $2::int) n RETURNING id`,
    [subject, count],
  );
  const created = workers[0]!.next('created');
  workers[0]!.send({ type: 'create', subject, users: accounts.map(({ id }) => id) });
  const { credentials } = await created;

  const seen: { fromStart: number; fromEnd: number; staleFor: number; hits: number; perHit: number }[] = [];
  // In groups that are warmed just before: a cache forgets by itself what is old.
  for (let at = 0; at < count; at += 50) {
    const group = credentials.slice(at, at + 50);
    await Promise.all(
      workers.map((worker) => {
        const warm = worker.next('warm');
        worker.send({ type: 'warm', credentials: group });
        return warm;
      }),
    );
    for (const [i, credential] of group.entries()) {
      const ending = workers[(at + i) % PROCESSES]!;
      const others = workers.filter((worker) => worker !== ending);
      const answers = others.map((worker) => worker.next('seen'));
      const watching = others.map((worker) => worker.next('watching'));
      for (const worker of others) worker.send({ type: 'watch', credential });
      await Promise.all(watching);
      const ended = ending.next('ended');
      ending.send({ type: 'end', credential });
      const { start, end } = await ended;
      seen.push(
        slowest(
          start,
          end,
          (await Promise.all(answers)).map((answer) => answer.seen),
        ),
      );
    }
  }

  console.log(
    `\n${subject}: ${count} ended, each by one process and watched by ${PROCESSES - 1}; ms, the slower of them`,
  );
  print(
    'from the start of the call to the first "gone"',
    seen.map(({ fromStart }) => fromStart),
  );
  print(
    'from the end of the call to the first "gone"',
    seen.map(({ fromEnd }) => fromEnd),
  );
  print(
    'last question after the end answered "live"',
    seen.map(({ staleFor }) => staleFor),
  );
  const stale = seen.filter(({ staleFor }) => staleFor > 0).length;
  console.log(`  in ${stale} of ${count} a question that began after the end was answered "live"`);
  const hits = seen.reduce((sum, each) => sum + each.hits, 0);
  const perHit = seen.map((each) => each.perHit).toSorted((a, b) => a - b)[Math.floor(seen.length / 2)]!;
  console.log(`  ${hits} answers "live" before, median ${Math.round(perHit)} us from one question to the next`);
}

function slowest(start: number, end: number, seen: readonly Seen[]) {
  const gone = Math.max(...seen.map((each) => each.gone));
  const lastLive = Math.max(...seen.map((each) => each.lastLive));
  return {
    fromStart: (gone - start) / 1000,
    fromEnd: Math.max(0, gone - end) / 1000,
    staleFor: Math.max(0, lastLive - end) / 1000,
    hits: seen.reduce((sum, each) => sum + each.hits, 0),
    perHit: Math.max(...seen.map((each) => each.perHit)),
  };
}

function print(name: string, values: readonly number[]): void {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (p: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * p))]!.toFixed(2).padStart(8);
  console.log(`  ${name.padEnd(48)} p50 ${at(0.5)}  p99 ${at(0.99)}  max ${at(1)}`);
}
