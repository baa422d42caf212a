import { setTimeout } from 'node:timers/promises';
import type { BenchProcess } from '../../harness/bench-process.js';
import { quantile } from '../../harness/quantile.js';
import { spreadOf } from '../../harness/samples.js';
import type { Bench, Result, Row } from '../../harness/scenario.js';
import { migrated } from '../our-app.js';
import { duringLogins } from './logins.js';
import { pacedGets } from './paced-gets.js';
import type { LoginServer, MainThread } from './server.js';

const SERVER = new URL('./server.ts', import.meta.url);
const OURS = 'nestjs-latchkey';
const RUNS = 'event loop runs, %';
const WAITS = 'and waits for a core, %';

/** What guarded GETs took, and how much of that time the server's main thread ran, and was ready to but had no core. */
interface Gets {
  readonly times: readonly number[];
  readonly ran: number;
  readonly waited: number;
}

interface HttpRound {
  readonly bare: number;
  /** Logins a second with nothing beside them, and with the guarded GETs. */
  readonly logins: number;
  readonly beside: number;
  readonly idle: Gets;
  readonly busy: Gets;
}

/** Logins with the hash, and what guarded GETs feel of them. */
export async function overHttp(bench: Bench): Promise<Omit<Result, 'title'>> {
  const url = await migrated(bench, 'login_http');
  const rounds: HttpRound[] = [];
  for (let round = 0; round < bench.rounds; round++) {
    const bare = await bench.withProcess(
      async (contender) => {
        await contender.start(SERVER, 'bareHash', {});
        return contender.measure(bench.warmUpMs, bench.roundMs);
      },
      [],
      'all',
    );
    rounds.push({ bare: bare.perSecond, ...(await httpRound(bench, url, `round${round}-`)) });
  }
  const at = (which: 'idle' | 'busy', share: number) =>
    spreadOf(rounds.map((each) => quantile(each[which].times, share)));
  const ratio = spreadOf(rounds.map(({ idle, busy }) => quantile(busy.times, 0.99) / quantile(idle.times, 0.99)));
  const row = (name: string, which: 'idle' | 'busy'): Row => ({
    name,
    kind: 'ours',
    cells: {
      'p50 ms': at(which, 0.5),
      'p99 ms': at(which, 0.99),
      'worst ms': at(which, 1),
      [RUNS]: spreadOf(rounds.map((each) => 100 * each[which].ran)),
      [WAITS]: spreadOf(rounds.map((each) => 100 * each[which].waited)),
    },
  });
  return {
    about: [
      'Logins over HTTP: `POST /auth/login` on 32 connections with the default argon2id (19 MiB, 2 passes) and all limits open. Here the server has every core, as in production, but shares them with the load generator and the database.',
      'Guarded GETs beside it: 200 a second with session cookies and no cache, timed from when each was due. Those under logins begin when every connection has had its first answer, and end before the logins do, so that all of them meet a hasher that is busy and none the burst in which 32 connections open. The event loop waits for a core while it has work and others have every core (`schedstat` of Linux).',
    ],
    tables: [
      {
        title: 'Logins over HTTP',
        columns: ['logins a second'],
        rows: [
          {
            name: 'argon2id alone, one hash a core',
            kind: 'limit',
            cells: { 'logins a second': spreadOf(rounds.map(({ bare: each }) => each)) },
          },
          { name: OURS, kind: 'ours', cells: { 'logins a second': spreadOf(rounds.map((each) => each.logins)) } },
          {
            name: `${OURS}, with the guarded GETs beside them`,
            kind: 'ours',
            cells: { 'logins a second': spreadOf(rounds.map(({ beside }) => beside)) },
          },
        ],
      },
      {
        title: 'Guarded GETs while logins saturate the hasher',
        columns: ['p50 ms', 'p99 ms', 'worst ms', RUNS, WAITS],
        rows: [row('no logins', 'idle'), row('logins without a pause', 'busy')],
      },
    ],
    goals: [
      {
        claim: 'p99 of guarded GETs under logins, times that without',
        value: ratio.median,
        most: 3,
        remark: `${ratio.least.toFixed(2)} to ${ratio.most.toFixed(2)} by round`,
      },
    ],
  };
}

function httpRound(bench: Bench, url: string, name: string): Promise<Omit<HttpRound, 'bare'>> {
  return bench.withProcess(
    async (server) => {
      const hello = await server.start<LoginServer>(SERVER, 'loginServer', { url, name });
      await duringLogins(hello, () => pacedGets(hello, bench.warmUpMs));
      // Hundreds of them, so that the p99 is not the slowest one or two.
      const ms = 3 * bench.roundMs;
      const idle = await watched(server, () => pacedGets(hello, ms));
      const [busy, beside] = await duringLogins(hello, () => watched(server, () => pacedGets(hello, ms)));
      const [, alone] = await duringLogins(hello, () => setTimeout(ms));
      return { logins: alone, beside, idle, busy };
    },
    [],
    'all',
  );
}

async function watched(server: BenchProcess, gets: () => Promise<number[]>): Promise<Gets> {
  const before = await server.call<MainThread>('mainThread');
  const began = performance.now();
  const times = await gets();
  const after = await server.call<MainThread>('mainThread');
  const took = performance.now() - began;
  return { times, ran: (after.ran - before.ran) / took, waited: (after.waited - before.waited) / took };
}
