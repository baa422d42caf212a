import { withClient } from '../../test/support/test-server.js';
import type { BenchProcess } from '../harness/bench-process.js';
import type { Sample } from '../harness/contender.js';
import { load } from '../harness/http-load.js';
import { alternate, type Samples, type Spread } from '../harness/samples.js';
import type { Bench, Goal, Result, Scenario, Table } from '../harness/scenario.js';
import {
  BETTER_AUTH,
  BETTER_AUTH_CACHE,
  CACHED,
  CONTENDERS,
  JOIN,
  JWT,
  MAP,
  PASSPORT_KEY,
  SESSION_DEFAULT,
  SESSION_READ_ONLY,
  SIGNED,
  UNCACHED,
} from './guarded-get/contenders.js';
import type { GuardedArgs, GuardedHello, LiveSession, Me, Platform } from './guarded-get/guarded-app.js';
import { checkHonesty } from './guarded-get/honesty.js';
import { migrated } from './our-app.js';

const PLATFORMS: readonly Platform[] = ['express', 'fastify'];

export const scenario: Scenario = {
  name: 'guarded-get',
  async run(bench: Bench): Promise<Result> {
    const [userCount, sessionCount] = bench.smoke ? [100, 20] : [10_000, 1_000];
    const { url, users } = await databaseOfOurs(bench, userCount, sessionCount);
    const databases = new Map<string, string>();
    for (const { kind, start } of CONTENDERS) {
      // Peers bring tables of their own.
      databases.set(start, kind === 'peer' && start !== 'repositoryGuard' ? await bench.database(start) : url);
    }
    const sessions = new Map<string, readonly LiveSession[]>();
    const entries = new Map(
      PLATFORMS.flatMap((platform) =>
        CONTENDERS.map((contender) => [keyOf(platform, contender.name), { platform, contender }]),
      ),
    );
    const samples = await alternate(bench.rounds, [...entries.keys()], async (key, round) => {
      const { platform, contender } = entries.get(key)!;
      const { name } = contender;
      const kept = sessions.get(name);
      const args: GuardedArgs = {
        platform,
        databaseUrl: databases.get(contender.start)!,
        users,
        makesSessions: kept === undefined,
      };
      const sample = await bench.withProcess(async (server) => {
        const module = new URL(`./guarded-get/${contender.module}.ts`, import.meta.url);
        const hello = await server.start<GuardedHello>(module, contender.start, args);
        const live = kept ?? hello.sessions;
        sessions.set(name, live);
        await checkHonesty(contender, hello.url, live);
        return measure(bench, hello.url, live, server);
      });
      bench.log(`round ${round + 1}, ${key}: ${Math.round(sample.perSecond)}/s, ${sample.cpuMicros.toFixed(1)} us`);
      return sample;
    });
    return {
      title: 'Guarded GET',
      about: [
        `One \`GET /me\` of a logged-in user, answered with the user's id and address as JSON. ${userCount.toLocaleString('en')} users and ${sessionCount.toLocaleString('en')} live sessions, which the requests go through; 32 connections; at most 10 connections to the database. Each figure is the median of ${bench.rounds} repetitions (least to most), each in a fresh process of ${bench.roundMs / 1000} s after ${bench.warmUpMs / 1000} s of warming up. CPU: what the server's process used per request, without the database's.`,
        'Before each repetition every contender must answer five sessions with their own user, and an anonymous request and a forged one with 401. Rows in italics are limits, written by hand for this table: the Map is never invalidated, the join knows no extension, rotation or outage. The columns of guarantees say what each is built to give; this run does not test them.',
        '"here at once, elsewhere in ms": a revocation in this process counts at once; of what another process revokes see [revocation](revocation.md). While a process cannot hear the others it asks the database.',
      ],
      tables: PLATFORMS.map((platform) => tableOf(platform, samples)),
      goals: PLATFORMS.flatMap((platform) => goalsOf(platform, samples)),
    };
  },
};

async function databaseOfOurs(
  bench: Bench,
  count: number,
  sessions: number,
): Promise<{ url: string; users: readonly Me[] }> {
  const url = await migrated(bench, 'guarded_get');
  return withClient(url, async (client) => {
    const { rows } = await client.query<Me>(
      `INSERT INTO users (email, password_hash)
       SELECT 'user' || n || '@example.com', 'x' FROM generate_series(1, $1::int) n RETURNING id, email`,
      [count],
    );
    await client.query('VACUUM ANALYZE users');
    return { url, users: rows.slice(0, sessions) };
  });
}

async function measure(bench: Bench, url: string, live: readonly LiveSession[], server: BenchProcess): Promise<Sample> {
  const headers = live.map((session) => session.headers);
  // At least once each, so that what is kept in memory is there.
  await load({ url, headers }, server, bench.warmUpMs);
  return load({ url, headers }, server, bench.roundMs);
}

function keyOf(platform: Platform, name: string): string {
  return `${platform}: ${name}`;
}

function tableOf(platform: Platform, samples: Samples): Table {
  return {
    title: platform === 'express' ? 'Express' : 'Fastify',
    columns: ['requests a second', 'CPU µs', 'revocable', 'hashed at rest', 'absolute lifetime'],
    chart: 'requests a second',
    rows: CONTENDERS.map(({ name, kind, guarantees }) => ({
      name,
      kind,
      cells: {
        'requests a second': samples.perSecond(keyOf(platform, name)),
        'CPU µs': samples.cpuMicros(keyOf(platform, name)),
        revocable: guarantees?.revocable ?? null,
        'hashed at rest': guarantees?.hashed ?? null,
        'absolute lifetime': guarantees?.absolute ?? null,
      },
    })),
  };
}

function goalsOf(platform: Platform, samples: Samples): Goal[] {
  const goal = (ours: string, other: string, least: number): Goal => {
    const rate = samples.rateRatio(keyOf(platform, ours), keyOf(platform, other));
    const cpu = samples.cpuRatio(keyOf(platform, ours), keyOf(platform, other));
    return {
      claim: `${platform}: ${ours} / ${other}`,
      value: rate.median,
      least,
      remark: `${spread(rate)}; by CPU ${cpu.median.toFixed(2)}`,
    };
  };
  return [
    goal(CACHED, MAP, 0.95),
    goal(CACHED, SESSION_DEFAULT, 2),
    goal(CACHED, SESSION_READ_ONLY, 2),
    goal(CACHED, BETTER_AUTH_CACHE, 1),
    goal(SIGNED, BETTER_AUTH_CACHE, 1),
    goal(JWT, PASSPORT_KEY, 0.95),
    goal(UNCACHED, JOIN, 0.95),
    goal(UNCACHED, SESSION_DEFAULT, 1.6),
    goal(UNCACHED, SESSION_READ_ONLY, 1),
    goal(UNCACHED, BETTER_AUTH, 3),
  ];
}

function spread({ least, most }: Spread): string {
  return `${least.toFixed(2)} to ${most.toFixed(2)}`;
}
