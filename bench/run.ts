/* oxlint-disable no-console */
import { readdirSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { startBench } from './harness/bench.js';
import { machine } from './harness/machine.js';
import { goalLine, writeReport } from './harness/report.js';
import type { Scenario } from './harness/scenario.js';

// npm run bench [-- scenario …] [--smoke] [--rounds n] [--out folder]
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    smoke: { type: 'boolean', default: false },
    rounds: { type: 'string', default: '5' },
    out: { type: 'string' },
  },
});

const SCENARIOS = new URL('./scenarios/', import.meta.url);
const known = readdirSync(SCENARIOS)
  .filter((file) => file.endsWith('.scenario.ts'))
  .map((file) => file.slice(0, -'.scenario.ts'.length));
const wanted = positionals.length > 0 ? positionals : known;
const unknown = wanted.filter((name) => !known.includes(name));
if (unknown.length > 0) {
  console.error(`There is no scenario ${unknown.join(', ')}. There are: ${known.join(', ')}.`);
  process.exit(2);
}

const out = values.out === undefined ? new URL('./results/', import.meta.url) : new URL(`file://${values.out}/`);
const bench = await startBench({ smoke: values.smoke, rounds: Number(values.rounds) });
try {
  const description = machine(bench.versions);
  for (const name of wanted) {
    const { scenario } = (await import(new URL(`${name}.scenario.ts`, SCENARIOS).href)) as { scenario: Scenario };
    console.log(`== ${name}`);
    const result = await scenario.run(bench);
    // What a second of everything says is no measurement, and takes no measurement's place.
    if (!values.smoke || values.out !== undefined) writeReport(out, name, result, description);
    for (const goal of result.goals) console.log(`   ${values.smoke ? goal.claim : goalLine(goal)}`);
  }
} finally {
  await bench.stop();
}
