import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { onCores } from '../harness/bench-process.js';
import { spreadOf } from '../harness/samples.js';
import type { Row, Scenario } from '../harness/scenario.js';
import { build } from './boot/build.js';
import { migrated } from './our-app.js';

const SCRIPT = fileURLToPath(new URL('./boot/boot.main.js', import.meta.url));
/** A boot is short. */
const BOOTS_A_ROUND = 4;

/** Milliseconds. */
interface Boot {
  /** Importing Nest, TypeORM, Express and pg. */
  readonly libraries: number;
  /** Importing us after them. */
  readonly ours: number;
  /** `NestFactory.create` and `init`. */
  readonly boot: number;
}

export const scenario: Scenario = {
  name: 'boot',
  async run(bench) {
    const index = build().href;
    const url = await migrated(bench, 'boot');
    // The files of both are in the memory of the machine before it counts.
    for (const others of [[], [index]]) await bootOnce(url, ...others);
    const [without, withUs]: [Boot[], Boot[]] = [[], []];
    for (let i = 0; i < (bench.smoke ? 1 : bench.rounds * BOOTS_A_ROUND); i++) {
      without.push(await bootOnce(url));
      withUs.push(await bootOnce(url, index));
    }
    const added = spreadOf(withUs.map(({ boot }, i) => boot - without[i]!.boot));
    return {
      title: 'Boot time',
      about: [
        'Each in a fresh process, on a database that is migrated. Import: of Nest, TypeORM, Express and pg, and of our JavaScript after them. Boot: `NestFactory.create` and `init` after all imports, with the connection to PostgreSQL. Milliseconds; the difference is taken boot by boot.',
      ],
      tables: [
        {
          title: 'Milliseconds',
          columns: ['import of the libraries', 'import of AuthModule', 'boot'],
          chart: 'boot',
          rows: [
            rowOf('TypeORM alone', 'limit', without),
            rowOf('TypeORM and AuthModule', 'ours', withUs),
            { name: 'AuthModule', kind: 'ours', cells: { boot: added } },
          ],
        },
      ],
      goals: [],
    };
  },
};

async function bootOnce(url: string, ...index: string[]): Promise<Boot> {
  const [command, ...args] = onCores('one', [process.execPath, SCRIPT, url, ...index]);
  const env = { ...process.env, NODE_ENV: 'production', NODE_OPTIONS: '' };
  const { stdout } = await promisify(execFile)(command, args, { env });
  return JSON.parse(stdout) as Boot;
}

function rowOf(name: string, kind: Row['kind'], boots: readonly Boot[]): Row {
  return {
    name,
    kind,
    cells: {
      'import of the libraries': spreadOf(boots.map(({ libraries }) => libraries)),
      'import of AuthModule': kind === 'ours' ? spreadOf(boots.map(({ ours }) => ours)) : null,
      boot: spreadOf(boots.map(({ boot }) => boot)),
    },
  };
}
