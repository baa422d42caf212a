import { setTimeout as wait } from 'node:timers/promises';
import type { SessionService } from 'nestjs-latchkey';

const LOOKUPS = 4;
const WRITERS = 2;
/** Between two of one client: a server that is busy, not one that is drowned. */
const PAUSE_MS = 2;

/** Milliseconds each. */
export interface Requests {
  readonly lookups: number[];
  /** Logins and "log out everywhere" of users whose rows are being cleaned up. */
  readonly writes: number[];
  /** The same of users who have nothing that is over: what the machine alone does to them. */
  readonly control: number[];
}

interface Callers {
  readonly tokens: readonly string[];
  readonly cleaned: readonly string[];
  readonly others: readonly string[];
}

/** What requests take until `work` is done. */
export async function requests(
  sessions: SessionService,
  { tokens, cleaned, others }: Callers,
  work: Promise<unknown>,
): Promise<Requests> {
  let isDone = false;
  const done = work.finally(() => (isDone = true));
  const finished = () => isDone;
  const times: Requests = { lookups: [], writes: [], control: [] };
  const timed = async (into: number[], request: () => Promise<unknown>) => {
    const began = performance.now();
    await request();
    into.push(performance.now() - began);
  };
  const look = async () => {
    while (!finished()) {
      await timed(times.lookups, () => sessions.lookup(one(tokens)));
      await wait(PAUSE_MS);
    }
  };
  const write = async (into: number[], userIds: readonly string[]) => {
    while (!finished()) {
      const userId = one(userIds);
      await timed(into, () => sessions.create(userId));
      await timed(into, () => sessions.revokeAllForUser(userId));
      await wait(PAUSE_MS);
    }
  };
  await Promise.all([
    done,
    ...Array.from({ length: LOOKUPS }, look),
    ...Array.from({ length: WRITERS }, () => write(times.writes, cleaned)),
    ...Array.from({ length: WRITERS }, () => write(times.control, others)),
  ]);
  return times;
}

function one<T>(list: readonly T[]): T {
  return list[Math.floor(Math.random() * list.length)]!;
}
