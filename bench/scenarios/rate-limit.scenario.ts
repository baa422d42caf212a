import type { Scenario } from '../harness/scenario.js';
import { number } from '../harness/number.js';
import { compareRateLimits, OURS, OURS_REMEMBERED, PEER } from './rate-limit/comparison.js';
import { databaseWithEvents } from './rate-limit/stored-events.js';

const STORED = 10_000;

export const scenario: Scenario = {
  name: 'rate-limit',
  async run(bench) {
    const url = await databaseWithEvents(bench, STORED);
    const spread = await compareRateLimits(bench, url, 'spread');
    const blocked = await compareRateLimits(bench, url, 'blocked');
    const ratio = ({ samples }: typeof spread, name: string) => samples.rateRatio(name, PEER);
    const cpu = spread.samples.cpuRatio(OURS, PEER).median;
    return {
      title: 'Rate limit decisions',
      about: [
        `16 decisions under way at once, 16 connections each, a limit of 5 in 15 minutes, ${STORED.toLocaleString('en')} stored events of others; commits are durable but those of our events, except in the row that says so. The spread subjects are each repetition's own and within their limit: more than one in 20 refused fails the run, as does one decision of the blocked subject that is allowed.`,
        'Ours counts a sliding window exactly: an event each, and the bucket is locked while it is counted. rate-limiter-flexible counts a fixed window in one upsert, so that 10 may pass around its border. Each also as it refuses by what the process remembers: ours (`rememberedBlocks`) for a second at most, rate-limiter-flexible (`inMemoryBlockOnConsumed`) until its window ends, whatever is cleared elsewhere meanwhile.',
        'Redis writes nothing to disk here, and a restart forgets every count. @nestjs/throttler is as delivered: in the memory of one process, so with n processes every limit is n times as high, and a restart forgets it.',
      ],
      tables: [spread.table, blocked.table],
      goals: [
        {
          claim: `Spread, as many decisions a second as ${PEER}`,
          value: ratio(spread, OURS).median,
          least: 0.85,
          remark: `${number(cpu)} by processor time of the application`,
        },
        {
          claim: `Blocked, the database asked, times the decisions of ${PEER}`,
          value: ratio(blocked, OURS).median,
          least: 4,
          remark: `${number(ratio(blocked, OURS_REMEMBERED).median)} where ours remembers`,
        },
      ],
    };
  },
};
