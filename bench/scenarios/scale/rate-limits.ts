import type { Bench, Goal, Row, Table } from '../../harness/scenario.js';
import { compareRateLimits, OURS, PEER } from '../rate-limit/comparison.js';
import { databaseWithEvents } from '../rate-limit/stored-events.js';

/** Decisions spread over many subjects, beside so many stored events of others. */
export async function rateLimits(bench: Bench, sizes: readonly number[]): Promise<{ table: Table; goals: Goal[] }> {
  const rows: Row[] = [];
  const goals: Goal[] = [];
  for (const size of sizes) {
    const events = `${size.toLocaleString('en')} events`;
    const { samples } = await compareRateLimits(bench, await databaseWithEvents(bench, size), 'spread', [OURS, PEER]);
    const ratio = samples.rateRatio(OURS, PEER);
    for (const name of [OURS, PEER]) {
      rows.push({
        name: `${events}: ${name}`,
        kind: name === OURS ? 'ours' : 'peer',
        cells: { 'decisions a second': samples.perSecond(name), 'CPU µs each': samples.cpuMicros(name) },
      });
    }
    goals.push({ claim: `rate limit, spread, at ${events}, times ${PEER}`, value: ratio.median, least: 0.85 });
  }
  return { table: { title: 'RateLimitService.consume', columns: ['decisions a second', 'CPU µs each'], rows }, goals };
}
