import { inDatabase } from '../harness/bench.js';
import { quantile } from '../harness/quantile.js';
import { alternate, spreadOf } from '../harness/samples.js';
import type { Bench, Result, Row, Scenario } from '../harness/scenario.js';
import { fillUsers } from './fill.js';
import { logins } from './login/logins.js';
import { pacedGets } from './login/paced-gets.js';
import type { LoginServer } from './login/server.js';
import { migrated } from './our-app.js';

const CREATION = new URL('./login/session-creation.ts', import.meta.url);
const PEERS = new URL('./login/session-creation-peers.ts', import.meta.url);
const SERVER = new URL('./login/server.ts', import.meta.url);
const USERS = 10_000;

type Part = Pick<Result, 'about' | 'tables' | 'goals'>;

export const scenario: Scenario = {
  name: 'login',
  async run(bench) {
    const parts = [await creation(bench), await overHttp(bench)];
    return {
      title: 'Login',
      about: parts.flatMap(({ about }) => about),
      tables: parts.flatMap(({ tables }) => tables),
      goals: parts.flatMap(({ goals }) => goals),
    };
  },
};

const LIMIT = 'prepared INSERT through pg';
const OURS = 'nestjs-latchkey';
const CREATORS: Record<string, { module: URL; start: string; kind: Row['kind']; of?: 'better' }> = {
  [LIMIT]: { module: CREATION, start: 'bareInsert', kind: 'limit' },
  [OURS]: { module: CREATION, start: 'ours', kind: 'ours' },
  'repository.insert of TypeORM': { module: CREATION, start: 'repositoryInsert', kind: 'peer' },
  'express-session, connect-pg-simple': { module: PEERS, start: 'connectPg', kind: 'peer' },
  'Better Auth': { module: PEERS, start: 'better', kind: 'peer', of: 'better' },
};

async function creation(bench: Bench): Promise<Part> {
  const url = await migrated(bench, 'login');
  const betterUrl = await bench.database('login_better');
  const users = await inDatabase(url, (client) => fillUsers(client, USERS));
  const samples = await alternate(bench.rounds, Object.keys(CREATORS), (name) => {
    const { module, start, of } = CREATORS[name]!;
    return bench.repeat(module, start, { url: of ? betterUrl : url, users });
  });
  const ratio = samples.rateRatio(OURS, LIMIT);
  const column = 'sessions a second';
  return {
    about: [
      `Session creation, without HTTP and without a hash: ${USERS.toLocaleString('en')} users by chance, 16 at a time on 16 connections, durable commits. The prepared INSERT writes the columns of our table, with its primary key and indexes, and does nothing else: it knows no user, no cap of sessions a user and no revocation that is under way.`,
    ],
    tables: [
      {
        title: 'Session creation',
        columns: [column, 'processor µs each'],
        chart: column,
        rows: Object.entries(CREATORS).map(([name, { kind }]) => ({
          name,
          kind,
          cells: { [column]: samples.perSecond(name), 'processor µs each': samples.cpuMicros(name) },
        })),
      },
    ],
    goals: [
      {
        claim: 'sessions created a second, times those of the prepared INSERT',
        value: ratio.median,
        least: 0.9,
        remark: `${ratio.least.toFixed(2)} to ${ratio.most.toFixed(2)} by round`,
      },
    ],
  };
}

interface HttpRound {
  readonly bare: number;
  readonly logins: number;
  readonly idle: readonly number[];
  readonly busy: readonly number[];
}

async function overHttp(bench: Bench): Promise<Part> {
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
  const at = (which: 'idle' | 'busy', share: number) => spreadOf(rounds.map((each) => quantile(each[which], share)));
  const ratio = spreadOf(rounds.map(({ idle, busy }) => quantile(busy, 0.99) / quantile(idle, 0.99)));
  const row = (name: string, which: 'idle' | 'busy'): Row => ({
    name,
    kind: 'ours',
    cells: { 'p50 ms': at(which, 0.5), 'p99 ms': at(which, 0.99), 'worst ms': at(which, 1) },
  });
  return {
    about: [
      'Logins over HTTP: `POST /auth/login` on 32 connections with the default argon2id (19 MiB, 2 passes) and all limits open. Here the server has every core, as in production, but shares them with the load generator and the database.',
      'Guarded GETs beside it: 200 a second with session cookies and no cache, timed from when each was due.',
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
        ],
      },
      {
        title: 'Guarded GETs while logins saturate the hasher',
        columns: ['p50 ms', 'p99 ms', 'worst ms'],
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
      await Promise.all([logins(hello, bench.warmUpMs), pacedGets(hello, bench.warmUpMs)]);
      // Hundreds of them, so that the p99 is not the slowest one or two.
      const ms = 3 * bench.roundMs;
      const idle = await pacedGets(hello, ms);
      const [busy] = await Promise.all([pacedGets(hello, ms), logins(hello, ms)]);
      return { logins: await logins(hello, ms), idle, busy };
    },
    [],
    'all',
  );
}
