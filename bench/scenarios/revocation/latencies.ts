import type { BenchProcess } from '../../harness/bench-process.js';
import type { Credential, Ending, Seen, Subject } from './contender.js';

/** Milliseconds, of the slower of the processes that kept asking. */
export interface Latency {
  /** From the end of the call that ended it to the first "gone". */
  readonly gone: number;
  /** How long after that end the last question began that was answered "live"; 0 for none. */
  readonly stale: number;
  /** Answers "live" before. */
  readonly hits: number;
}

/** A cache forgets by itself what is old, so they are warmed in groups. */
const GROUP = 50;

/** Ends a credential of each user in one process after the other, while all others ask for it without a pause. */
export async function latencies(
  processes: readonly BenchProcess[],
  subject: Subject,
  users: readonly string[],
): Promise<Latency[]> {
  const credentials = await processes[0]!.call<Credential[]>('create', { subject, users });
  const measured: Latency[] = [];
  for (let at = 0; at < credentials.length; at += GROUP) {
    const group = credentials.slice(at, at + GROUP);
    await Promise.all(processes.map((each) => each.call('warm', group)));
    for (const credential of group) {
      const ending = processes[measured.length % processes.length]!;
      const others = processes.filter((each) => each !== ending);
      await Promise.all(others.map((each) => each.call('watch', credential)));
      const answers = Promise.all(others.map((each) => each.call<Seen>('seen')));
      const { end } = await ending.call<Ending>('end', credential);
      const seen = await answers;
      measured.push({
        gone: Math.max(0, ...seen.map((each) => each.gone - end)) / 1000,
        stale: Math.max(0, ...seen.map((each) => each.lastLive - end)) / 1000,
        hits: seen.reduce((sum, each) => sum + each.hits, 0),
      });
    }
  }
  return measured;
}
