import { comparisonTable, type Contender } from '../harness/comparison.js';
import { number } from '../harness/number.js';
import { alternate } from '../harness/samples.js';
import type { Scenario } from '../harness/scenario.js';
import type { EphemeralTokenArgs } from './ephemeral-token/contenders.js';
import { migrated } from './our-app.js';

const OURS = 'nestjs-latchkey, consume';
const BARE = 'DELETE … RETURNING nonce alone';
const ALL = 'DELETE … RETURNING all columns alone';
const CONTENDERS: readonly Contender[] = [
  { name: OURS, kind: 'ours', start: 'latchkey' },
  { name: BARE, kind: 'limit', start: 'deleteReturningNonce' },
  { name: ALL, kind: 'limit', start: 'deleteReturningAll' },
];

export const scenario: Scenario = {
  name: 'ephemeral-token',
  async run(bench) {
    const url = await migrated(bench, 'ephemeral_token');
    const args: EphemeralTokenArgs = { url, tokens: bench.smoke ? 500 : 20_000 };
    const module = new URL('./ephemeral-token/contenders.ts', import.meta.url);
    const startOf = new Map(CONTENDERS.map(({ name, start }) => [name, start]));
    const samples = await alternate(2 * bench.rounds, [...startOf.keys()], (name) =>
      bench.repeat(module, startOf.get(name)!, args),
    );
    const { median, least, most } = samples.rateRatio(OURS, BARE);
    return {
      title: 'Consuming single-use tokens',
      about: [
        `${args.tokens.toLocaleString('en')} download tokens of one type with their binding, stored before and each consumed once: 16 at a time, 16 connections, durable commits. The run fails unless every token is there once, and gone after that.`,
        `\`${BARE}\` is one statement as \`pg\` runs it, prepared, with the same conditions and the hash of the token in hand. Ours reads the token, hashes it, reports the event, and gives back what is in all nine columns in which the fields of a token may be, as one, since the driver spends time on each: \`${ALL}\` is what they cost one by one. Of the latter ours does ${number(samples.rateRatio(OURS, ALL).median)}, by processor time of the application ${number(samples.cpuRatio(OURS, ALL).median)}.`,
      ],
      tables: [comparisonTable({ title: 'Tokens consumed', reference: BARE }, CONTENDERS, samples)],
      goals: [
        {
          claim: `As many a second as ${BARE}`,
          value: median,
          least: 0.95,
          remark: `rounds: ${number(least)} to ${number(most)}; ${number(samples.cpuRatio(OURS, BARE).median)} by processor time of the application`,
        },
      ],
    };
  },
};
