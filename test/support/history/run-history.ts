import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { AuthOptions } from 'nestjs-latchkey';
import { withClient } from '../test-server.js';
import { Worker } from '../worker.js';
import { NO_GRACE } from './cached.js';
import type { FromWorker, ToWorker } from './messages.js';
import { countsOf, type Counts, type Operation } from './operation.js';

export interface HistoryOptions {
  /** One for all, or one for each, such as through a proxy. The first is where the users are made. */
  databaseUrl: string | readonly string[];
  processes?: number;
  /** How many live sessions there are at about any time. */
  sessions?: number;
  users?: number;
  /** Of what the processes choose to do; when each thing happens is the machine's. Default 1. */
  seed?: number;
  /** Where sessions are, if not in the database. */
  redisUrls?: readonly string[];
  /** Milliseconds, or longer if there are fewer operations by then than `operations`, as on a busy machine. */
  duration: number;
  /** Default 0. */
  operations?: number;
  /** As JSON, so nothing but data. */
  auth?: Partial<AuthOptions>;
  /** The negative control: each process answers lookups from a map of its own for so long (ms). */
  naiveCache?: number;
  /** Breaks something while the processes work, and mends it. */
  faults?: () => Promise<void>;
}

const SCRIPT = fileURLToPath(new URL('./worker.main.ts', import.meta.url));
type HistoryWorker = Worker<ToWorker, FromWorker>;
const HOUR = 3_600_000;

/** Lifetimes that no history outlives; every use of a session a millisecond after the last moves its expiry. */
const SESSION = { ttl: HOUR, extendBelow: HOUR - 1, absoluteLifetime: 2 * HOUR, maxPerUser: 10_000, ...NO_GRACE };

/** What several processes on one database asked and were answered, all doing everything to the same sessions. */
export async function runHistory(options: HistoryOptions): Promise<{ history: Operation[]; counts: Counts }> {
  const { processes = 3, sessions = 2000, users = 200, duration, operations: least = 0, faults } = options;
  const urls = Array.from({ length: processes }, (_, i) => urlOf(options.databaseUrl, i));
  const ids = await createUsers(urls[0]!, users);
  const history: Operation[] = [];
  const enough = withResolvers();
  const workers = urls.map((url, i) => new Worker<ToWorker, FromWorker>(SCRIPT, environment(url, i, options)));
  try {
    for (const worker of workers) {
      worker.on('batch', ({ operations, news }) => {
        for (const operation of operations) history.push(operation);
        if (history.length >= least) enough.resolve();
        if (!Object.values(news).some((items: unknown[]) => items.length > 0)) return;
        for (const other of workers) if (other !== worker) other.send({ type: 'news', news });
      });
      worker.on('together', (message) => workers.forEach((each) => each.send(message)));
    }
    await all(workers, 'ready');
    const share = Math.ceil(sessions / processes);
    await all(workers, 'prepared', { type: 'prepare', users: ids, sessions: share, target: sessions });
    workers.forEach((worker) => worker.send({ type: 'run' }));
    const ran = Promise.all([setTimeout(duration), enough.promise, faults?.()]);
    await Promise.race([ran, ...workers.map(({ failed }) => failed)]);
    await all(workers, 'finished', { type: 'finish' });
  } finally {
    await Promise.all(workers.map((worker) => worker.stop()));
  }
  return { history, counts: countsOf(history) };
}

/** Sends the order to all of them and waits until each has said so. */
async function all(workers: readonly HistoryWorker[], answer: FromWorker['type'], order?: ToWorker): Promise<void> {
  const answers = workers.map((worker) => worker.next(answer));
  if (order) for (const worker of workers) worker.send(order);
  await Promise.all(answers);
}

function environment(
  url: string,
  index: number,
  { auth = {}, naiveCache = 0, seed = 1, redisUrls = [] }: HistoryOptions,
): Record<string, string> {
  const session = { ...SESSION, ...auth.session };
  return {
    DATABASE_URL: url,
    REDIS_URLS: redisUrls.join(' '),
    AUTH_OPTIONS: JSON.stringify({ ...auth, session }),
    HISTORY_PROCESS: `${index}`,
    HISTORY_SEED: `${seed}`,
    HISTORY_NAIVE_CACHE: `${naiveCache}`,
    HISTORY_GRACE: `${session.rotationGrace}`,
  };
}

/** `Promise.withResolvers`, which Node 20 does not have. */
function withResolvers(): { promise: Promise<void>; resolve: () => void } {
  let resolve!: () => void;
  const promise = new Promise<void>((done) => (resolve = done));
  return { promise, resolve };
}

function urlOf(url: string | readonly string[], index: number): string {
  return typeof url === 'string' ? url : url[index]!;
}

function createUsers(url: string, count: number): Promise<string[]> {
  return withClient(url, async (client) => {
    const { rows } = await client.query<{ id: string }>(
      `INSERT INTO users (email, password_hash)
       SELECT 'history' || n || '@example.com', 'x' FROM generate_series(1, $1::int) n RETURNING id`,
      [count],
    );
    return rows.map(({ id }) => id);
  });
}
