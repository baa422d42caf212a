import { randomUUID } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { SessionService, PostgresUserDirectory, type AuthenticatedSession } from 'nestjs-latchkey';
import { startAuthProcess } from './auth-process.js';
import type { FromWorker, ToWorker } from './messages.js';
import { RecordedSessions } from './recorded-sessions.js';
import { randomFrom } from '../random.js';
import { Recorder } from './recorder.js';
import { Workload } from './workload.js';

// One of several processes whose answers are recorded. Started by `run-history.ts`.

const IN_FLIGHT = 16;
const BATCH_MS = 20;
/** Longer than any statement takes; what is cut off by a broken network ends as "no answer". */
const LAST_ANSWERS_MS = 5_000;

const app = await startAuthProcess();
const sessions = app.get(SessionService);
const directory = app.get(PostgresUserDirectory);
const index = Number(process.env['HISTORY_PROCESS']);
const recorder = new Recorder(index);
const naiveTtl = Number(process.env['HISTORY_NAIVE_CACHE']);
const workload = new Workload({
  sessions: new RecordedSessions(sessions, directory, recorder, naiveTtl > 0 ? naiveCache(naiveTtl) : undefined),
  createUser: async () => (await directory.create(`${randomUUID()}@example.com`, 'correct horse battery staple')).id,
  tell: (together) => send({ type: 'together', together }),
  grace: Number(process.env['HISTORY_GRACE']),
  random: randomFrom(1000 * Number(process.env['HISTORY_SEED']) + index),
});

const running = new Set<Promise<unknown>>();
let target = 0;
const finishing = new AbortController();

process.on('message', (message: ToWorker) => {
  if (message.type === 'news') workload.hear(message.news);
  if (message.type === 'together' && !finishing.signal.aborted) track(workload.together(message.together));
  if (message.type === 'prepare') void prepare(message);
  if (message.type === 'run') for (let i = 0; i < IN_FLIGHT; i++) track(work());
  if (message.type === 'finish') void finish();
  if (message.type === 'stop') void app.close().then(() => process.exit(0));
});
process.on('disconnect', () => process.exit(1));
const batches = setInterval(flush, BATCH_MS);
send({ type: 'ready' });

async function prepare(message: ToWorker & { type: 'prepare' }): Promise<void> {
  target = message.target;
  await workload.prepare(message.users, message.sessions);
  flush();
  send({ type: 'prepared' });
}

async function work(): Promise<void> {
  while (!finishing.signal.aborted) {
    await workload.turn(target);
    // What is answered from memory must still let the news in.
    await setImmediate();
  }
}

function track(work: Promise<unknown>): void {
  running.add(work);
  void work.finally(() => running.delete(work));
}

async function finish(): Promise<void> {
  finishing.abort();
  const patience = new Promise((resolve) => setTimeout(resolve, LAST_ANSWERS_MS).unref());
  await Promise.race([Promise.all(running), patience]);
  recorder.abandon();
  clearInterval(batches);
  flush();
  send({ type: 'finished' });
}

function flush(): void {
  send({ type: 'batch', operations: recorder.take(), news: workload.takeNews() });
}

function send(message: FromWorker): void {
  process.send!(message);
}

/** The negative control: what a cache in each process is without anybody who tells it what has ended. */
function naiveCache(ttl: number): (token: string) => Promise<AuthenticatedSession | null> {
  const kept = new Map<string, { found: AuthenticatedSession; until: number }>();
  return async (token) => {
    const hit = kept.get(token);
    if (hit && performance.now() < hit.until) return hit.found;
    const found = await sessions.lookup(token);
    if (found) kept.set(token, { found, until: performance.now() + ttl });
    return found;
  };
}
