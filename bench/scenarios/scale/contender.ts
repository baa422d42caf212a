import { SessionService } from 'nestjs-latchkey';
import type { Start } from '../../harness/contender.js';
import { quantile } from '../../harness/quantile.js';
import { tokenOf } from '../fill.js';
import { startContext } from '../our-app.js';

export interface LookupTimes {
  readonly p50: number;
  readonly p99: number;
}

export const lookups: Start<{ url: string; sessions: number }> = async ({ url, sessions }) => {
  const app = await startContext({ url });
  const service = app.get(SessionService);
  const lookup = async () => {
    const token = tokenOf('live', 1 + Math.floor(Math.random() * sessions));
    if (!(await service.lookup(token))) throw new Error('A session was not found.');
  };
  const oneByOne = async (ms: number): Promise<LookupTimes> => {
    const times: number[] = [];
    for (const until = performance.now() + ms; performance.now() < until;) {
      const began = performance.now();
      await lookup();
      times.push(performance.now() - began);
    }
    return { p50: quantile(times, 0.5), p99: quantile(times, 0.99) };
  };
  return { work: lookup, concurrency: 16, calls: { oneByOne }, close: () => app.close() };
};
