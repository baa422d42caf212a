import type { BenchProcess } from '../harness/bench-process.js';
import { withClient } from '../../test/support/test-server.js';
import { quantile } from '../harness/quantile.js';
import type { Bench, Row, Scenario } from '../harness/scenario.js';
import { fillUsers } from './fill.js';
import { migrated } from './our-app.js';
import type { Subject } from './revocation/contender.js';
import { latencies, type Latency } from './revocation/latencies.js';

const CONTENDER = new URL('./revocation/contender.ts', import.meta.url);
const PROCESSES = 3;
const COUNTS: Record<Subject, number> = { session: 1_000, user: 200, jwt: 200, socket: 1_000 };
const SMOKE_COUNT = 10;
const NAMES: Record<Subject, string> = {
  session: 'a session, revoked',
  user: 'all sessions of a user, disabled',
  jwt: 'a JWT, revoked',
  socket: 'a session, revoked: its open sockets',
};

export const scenario: Scenario = {
  name: 'revocation',
  async run(bench) {
    const url = await migrated(bench, 'revocation');
    const measured = await withProcesses(bench, url, async (processes) => {
      const byName: [Subject, Latency[]][] = [];
      for (const subject of Object.keys(COUNTS) as Subject[]) {
        const count = bench.smoke ? SMOKE_COUNT : COUNTS[subject];
        const users = await withClient(url, (client) => fillUsers(client, count, subject));
        byName.push([subject, await latencies(processes, subject, users)]);
      }
      return byName;
    });
    return {
      title: 'How soon other processes refuse what one has ended',
      about: [
        `${PROCESSES} processes, each with a cache (\`cache: { enabled: true }\`, LISTEN/NOTIFY). One of them ends a session, a user or a JWT while the others, which have it in memory, ask for it without a pause. Milliseconds from the return of the ending call to the first refusal, of the slower process.`,
        'And sockets (ws, `SessionConnections`): the session of an open socket in each of the other two processes is ended; milliseconds from the return of the ending call until the client of the slower one sees its socket closed.',
        'The processes share all cores with the database, and their questions keep them busy: most of the longer waits are for a turn.',
      ],
      tables: [
        {
          title: 'Until refused',
          columns: ['p50 ms', 'p99 ms', 'longest ms', 'ended', 'answered "live" after the end', 'answers before'],
          rows: measured
            .filter(([subject]) => subject !== 'socket')
            .map(([subject, values]) => rowOf(NAMES[subject], values)),
        },
        {
          title: 'Until closed',
          columns: ['p50 ms', 'p99 ms', 'longest ms', 'ended'],
          rows: measured
            .filter(([subject]) => subject === 'socket')
            .map(([subject, values]) => socketRowOf(NAMES[subject], values)),
        },
      ],
      goals: measured.map(([subject, values]) => ({
        claim: `${NAMES[subject]}: ${subject === 'socket' ? 'closed' : 'refused'} everywhere, p99 ms`,
        value: p(values, 0.99),
        most: 100,
      })),
    };
  },
};

async function withProcesses<T>(
  bench: Bench,
  url: string,
  use: (processes: readonly BenchProcess[]) => Promise<T>,
  started: readonly BenchProcess[] = [],
): Promise<T> {
  if (started.length === PROCESSES) return use(started);
  return bench.withProcess(
    async (another) => {
      await another.start(CONTENDER, 'watcher', { url });
      return withProcesses(bench, url, use, [...started, another]);
    },
    [],
    'all',
  );
}

/** The same without what only asking shows. */
function socketRowOf(name: string, values: readonly Latency[]): Row {
  const { cells, ...row } = rowOf(name, values);
  const shown = Object.entries(cells).filter(([column]) => !column.startsWith('answer'));
  return { ...row, cells: Object.fromEntries(shown) };
}

function rowOf(name: string, values: readonly Latency[]): Row {
  return {
    name,
    kind: 'ours',
    cells: {
      'p50 ms': p(values, 0.5),
      'p99 ms': p(values, 0.99),
      'longest ms': p(values, 1),
      ended: String(values.length),
      'answered "live" after the end': String(values.filter(({ stale }) => stale > 0).length),
      'answers before': values.reduce((sum, { hits }) => sum + hits, 0),
    },
  };
}

function p(values: readonly Latency[], share: number): number {
  return quantile(
    values.map(({ gone }) => gone),
    share,
  );
}
