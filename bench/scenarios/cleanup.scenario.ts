import { withClient } from '../../test/support/test-server.js';
import { quantile } from '../harness/quantile.js';
import { spreadOf } from '../harness/samples.js';
import type { Bench, Row, Scenario } from '../harness/scenario.js';
import type { CleanupArgs, Cleaned } from './cleanup/contender.js';
import type { Requests } from './cleanup/requests.js';
import { fillSessions, fillUsers } from './fill.js';
import { migrated } from './our-app.js';

const CONTENDER = new URL('./cleanup/contender.ts', import.meta.url);
const FULL = { expired: 1_000_000, live: 1_000_000, users: 50_000, idleMs: 15_000 };
const SMOKE = { expired: 10_000, live: 10_000, users: 5_000, idleMs: 500 };
const OTHERS = 5_000;
const KINDS: Record<keyof Requests, string> = {
  lookups: 'lookup',
  writes: 'login, log out everywhere',
  control: 'the same, of users with nothing to clean up',
};

export const scenario: Scenario = {
  name: 'cleanup',
  async run(bench) {
    const { expired, live, users, idleMs } = bench.smoke ? SMOKE : FULL;
    const url = await migrated(bench, 'cleanup');
    const accounts = await withClient(url, async (client) => {
      const ids = await fillUsers(client, users);
      await fillSessions(client, live, 'live', "now() + interval '1 hour' + random() * interval '10 days'");
      return ids;
    });
    const others = await withClient(url, (client) => fillUsers(client, OTHERS, 'other'));
    const rounds: Cleaned[] = [];
    for (let round = 0; round < bench.rounds; round++) {
      rounds.push(await oneRound(bench, { url, accounts, others, idleMs }, expired));
    }
    const holds = (share: number) => spreadOf(rounds.map((cleaned) => quantile(cleaned.holds, share)));
    const ratios = spreadOf(
      rounds.map(({ idle, cleaning }) => quantile(cleaning.lookups, 0.99) / quantile(idle.lookups, 0.99)),
    );
    return {
      title: 'Cleanup under load',
      about: [
        `${expired.toLocaleString('en')} expired of ${(expired + live).toLocaleString('en')} sessions of ${users.toLocaleString('en')} users are removed by \`CleanupService.runOnce()\`, while the same process looks sessions up, logs users in and logs them out everywhere; ${idleMs / 1000} s of the same without a cleanup come before. Durable commits. Milliseconds, medians of the rounds.`,
      ],
      tables: [
        {
          title: 'Requests meanwhile',
          columns: ['p50 ms', 'p99 ms', 'worst ms'],
          rows: (Object.keys(KINDS) as (keyof Requests)[]).flatMap((kind) => [
            requestRow(
              `${KINDS[kind]}, idle`,
              rounds.map(({ idle }) => idle[kind]),
            ),
            requestRow(
              `${KINDS[kind]}, cleaning`,
              rounds.map(({ cleaning }) => cleaning[kind]),
            ),
          ]),
        },
        {
          title: 'The cleanup',
          columns: ['removed a second', 'seconds', 'a batch holds its rows, p50 ms', 'p99 ms', 'longest ms'],
          rows: [
            {
              name: 'CleanupService',
              kind: 'ours',
              cells: {
                'removed a second': spreadOf(rounds.map(({ removed, seconds }) => removed / seconds)),
                seconds: spreadOf(rounds.map(({ seconds }) => seconds)),
                'a batch holds its rows, p50 ms': holds(0.5),
                'p99 ms': holds(0.99),
                'longest ms': holds(1),
              },
            },
          ],
        },
      ],
      goals: [
        { claim: 'lookup p99 while cleaning, times that of idle', value: ratios.median, most: 2 },
        { claim: 'longest that a batch held its rows, ms, of all rounds', value: holds(1).most, most: 150 },
      ],
    };
  },
};

async function oneRound(bench: Bench, args: CleanupArgs, expired: number): Promise<Cleaned> {
  await withClient(args.url, async (client) => {
    await fillSessions(client, expired, 'expired', "now() - interval '1 hour' - random() * interval '10 days'");
    await client.query('VACUUM ANALYZE');
    await client.query('CHECKPOINT');
  });
  const cleaned = await bench.withProcess((contender) => contender.start<Cleaned>(CONTENDER, 'cleanup', args));
  // Not how many it removed: "log out everywhere" ends some of them before it.
  const { rows } = await withClient(args.url, (client) =>
    client.query("SELECT id FROM sessions WHERE expires_at < now() - interval '10 minutes' LIMIT 1"),
  );
  if (rows.length > 0) throw new Error('The cleanup left expired sessions.');
  return cleaned;
}

function requestRow(name: string, rounds: readonly (readonly number[])[]): Row {
  const at = (share: number) => spreadOf(rounds.map((times) => quantile(times, share)));
  return { name, kind: 'ours', cells: { 'p50 ms': at(0.5), 'p99 ms': at(0.99), 'worst ms': at(1) } };
}
