import { randomBytes } from 'node:crypto';
import type { Running } from '../../harness/contender.js';
import { CONCURRENCY } from '../our-app.js';
import { LIMIT } from './policy.js';

/** `spread` over 100,000 subjects that are within their limit, or all of one subject that is `blocked`. */
export type Traffic = 'spread' | 'blocked';

/** One decision: whether it was allowed. Anything but a decision is thrown. */
export type Decide = (subject: string) => Promise<boolean>;

export interface Admitted {
  /** Of 200 attempts at once on one subject. */
  readonly admitted: number;
}

const SUBJECTS = 100_000;
/** After so many decisions others take their place, so that also the fastest is asked about those with room. */
const DECISIONS = 200_000;
const AT_ONCE = 200;
const MAX_REFUSED = 0.05;

/** Decisions under this traffic; fails at its end unless they were about what they should be. */
export async function underTraffic(
  traffic: Traffic,
  decide: Decide,
  close: () => Promise<unknown>,
): Promise<Running<Admitted>> {
  const run = randomBytes(6).toString('hex');
  const attempts = await Promise.all(Array.from({ length: AT_ONCE }, () => decide(`${run} at once`)));
  const admitted = attempts.filter(Boolean).length;
  const blocked = `${run} blocked`;
  for (let i = 0; i < 2 * LIMIT; i++) await decide(blocked);

  let decisions = 0;
  let refused = 0;
  const subject = () => {
    const generation = Math.floor(decisions++ / DECISIONS);
    return traffic === 'blocked' ? blocked : `${run} ${generation} ${Math.floor(Math.random() * SUBJECTS)}`;
  };
  return {
    hello: { admitted },
    concurrency: CONCURRENCY,
    work: async () => {
      if (!(await decide(subject()))) refused++;
    },
    close: async () => {
      await close();
      const wrong = traffic === 'blocked' ? refused < decisions : refused > decisions * MAX_REFUSED;
      if (wrong) throw new Error(`${traffic}: of ${decisions} decisions ${refused} were refusals.`);
    },
  };
}
