import { withClient } from '../../../test/support/test-server.js';
import { alternate } from '../../harness/samples.js';
import type { Bench, Result, Row } from '../../harness/scenario.js';
import { fillUsers } from '../fill.js';
import { migrated } from '../our-app.js';

const CREATION = new URL('./session-creation.ts', import.meta.url);
const PEERS = new URL('./session-creation-peers.ts', import.meta.url);
const USERS = 10_000;
const LIMIT = 'prepared INSERT through pg';
const OURS = 'nestjs-latchkey';
const CREATORS: Record<string, { module: URL; start: string; kind: Row['kind']; of?: 'better' }> = {
  [LIMIT]: { module: CREATION, start: 'bareInsert', kind: 'limit' },
  [OURS]: { module: CREATION, start: 'ours', kind: 'ours' },
  'repository.insert of TypeORM': { module: CREATION, start: 'repositoryInsert', kind: 'peer' },
  'express-session, connect-pg-simple': { module: PEERS, start: 'connectPg', kind: 'peer' },
  'Better Auth': { module: PEERS, start: 'better', kind: 'peer', of: 'better' },
};

/** How many sessions are opened a second, beside peers and a bare INSERT. */
export async function creation(bench: Bench): Promise<Omit<Result, 'title'>> {
  const url = await migrated(bench, 'login');
  const betterUrl = await bench.database('login_better');
  const users = await withClient(url, (client) => fillUsers(client, USERS));
  const samples = await alternate(bench.rounds, Object.keys(CREATORS), (name) => {
    const { module, start, of } = CREATORS[name]!;
    return bench.repeat(module, start, { url: of ? betterUrl : url, users });
  });
  const ratio = samples.rateRatio(OURS, LIMIT);
  const column = 'sessions a second';
  return {
    about: [
      `Session creation, without HTTP and without a hash: ${USERS.toLocaleString('en')} users by chance, 16 at a time on 16 connections, durable commits. The prepared INSERT writes the columns of our table, with its primary key and indexes, and does nothing else: it knows no user, no cap of sessions a user and no revocation that is under way. Users stay below the cap; a login at it, which ends the oldest session, costs a second round trip.`,
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
