import type { Life, Lives } from './lives.js';
import type { History, Operation } from './operation.js';

/** What the system under test promises; lengths in microseconds. */
export interface Bounds {
  readonly bound: number;
  /** How long a rotated token is answered by its successor; its use afterwards ends the family. `null`: neither. */
  readonly grace: number | null;
}

/** The processes read the wall clock for the grace and the history a monotonic one: they may differ by so much. */
export const CLOCK_SLACK = 20_000;

/** What is certain, and what is possible, about the end of one session. */
export interface Ending {
  /** The operation after whose end the session is certainly over. */
  readonly over: Operation | null;
  /** The same, of the operations that each process did itself. */
  readonly overIn: ReadonlyMap<number, Operation>;
  /** As `over`, of what takes away the row, so that nothing can be written to it (disabling shuts the account only). */
  readonly removed: Operation | null;
  /** From this instant on a lookup of its token may find nothing. */
  readonly mayEndFrom: number;
  /** The first lookup or rotation of its token, by end, that was told that there is no session. */
  gone: Operation | null;
}

/** The endings of all sessions, in time linear in the history (times the operations on all sessions of one user). */
export function endingsOf(history: History, lives: Lives, bounds: Bounds): Map<Life, Ending> {
  const reuses = bounds.grace !== null ? reusesIn(history, lives, bounds, bounds.grace) : new Map<Life, Reuse>();
  const endings = new Map<Life, Ending>();
  for (const life of lives.all()) endings.set(life, endingOf(life, lives, bounds, reuses));
  for (const operation of history) {
    const life = lives.of(operation.session);
    if (life && isGone(operation, life, bounds)) {
      const ending = endings.get(life)!;
      ending.gone = earliest(ending.gone, operation);
    }
  }
  return endings;
}

/** A null of `extend` says nothing: there may have been enough time left. */
function isGone({ kind, answer, threw }: Operation, life: Life, { grace }: Bounds): boolean {
  if (answer || threw !== undefined) return false;
  // Within the grace a second rotation may be refused although the successor lives.
  return kind === 'lookup' || (kind === 'rotate' && (grace === null || life.rotations.length === 0));
}

function endingOf(life: Life, lives: Lives, { grace }: Bounds, reuses: ReadonlyMap<Life, Reuse>): Ending {
  const { revokeAlls, disables } = lives.account(life.user);
  const { root, members } = life.family;
  // A rotation that comes after "all" finds nothing to rotate, so whatever descends from what was there is over too.
  const ofAll = revokeAlls.filter((operation) => operation.start > root.createdEnd);
  // With a grace a family ends as a whole; without one only what is left of it is there to be ended.
  const revokes = grace === null ? life.revokes : members.flatMap((member) => member.revokes);
  const ended = [...revokes, ...ofAll, ...(grace === null ? life.rotations : [])];
  for (let elder = life.parent; elder; elder = elder.parent) {
    const certain = reuses.get(elder)?.certain;
    if (certain) ended.push(certain);
  }
  const removing = ended.filter(({ threw }) => threw === undefined);
  const certain = [...removing, ...disables.filter(({ threw }) => threw === undefined)];
  const overIn = new Map<number, Operation>();
  // What ends a session by being looked up is no act of that process: the bound applies.
  for (const operation of certain.filter(({ kind }) => kind !== 'lookup')) {
    overIn.set(operation.process, earliest(overIn.get(operation.process) ?? null, operation));
  }

  const possible = [
    ...starts(disables),
    // What throws may take effect later than its end.
    ...starts(revokeAlls.filter(({ end, threw }) => threw !== undefined || end >= life.createdStart)),
  ];
  possible.push(...starts(revokes));
  if (grace === null) {
    possible.push(...starts(life.rotations));
  } else {
    for (const member of members) {
      const reuse = reuses.get(member);
      if (reuse) possible.push(reuse.mayEndFrom);
      // Which of its successors answers for it, once that is rotated too, is not promised.
      if (member.generation > life.generation) possible.push(...starts(member.rotations));
    }
    possible.push(...starts(life.rotations).map((start) => start + grace - CLOCK_SLACK));
  }
  return {
    over: certain.reduce<Operation | null>(earliest, null),
    overIn,
    removed: removing.reduce<Operation | null>(earliest, null),
    mayEndFrom: possible.reduce((least, start) => Math.min(least, start), Infinity),
    gone: null,
  };
}

/** Uses of a rotated token after the grace: they end all that descends from it. */
interface Reuse {
  mayEndFrom: number;
  certain: Operation | null;
}

function reusesIn(history: History, lives: Lives, { bound }: Bounds, grace: number): Map<Life, Reuse> {
  const reuses = new Map<Life, Reuse>();
  for (const operation of history) {
    const life = lives.of(operation.session);
    if (!life || life.rotations.length === 0 || (operation.kind !== 'lookup' && operation.kind !== 'rotate')) continue;
    const began = Math.min(...starts(life.rotations)) + grace - CLOCK_SLACK;
    if (operation.threw === undefined && operation.end < began) continue;
    const reuse = reuses.get(life) ?? { mayEndFrom: Infinity, certain: null };
    reuse.mayEndFrom = Math.min(reuse.mayEndFrom, Math.max(operation.start, began));
    const answered = life.rotations.filter(({ threw }) => threw === undefined).map(({ end }) => end);
    const over = Math.min(...answered) + grace + bound + CLOCK_SLACK;
    const wasThere = life.revokes.every(({ start }) => start > operation.end);
    const refused = operation.kind === 'lookup' && operation.threw === undefined && operation.answer === null;
    if (refused && wasThere && operation.start > over) reuse.certain = earliest(reuse.certain, operation);
    reuses.set(life, reuse);
  }
  return reuses;
}

const starts = (operations: readonly Operation[]): number[] => operations.map(({ start }) => start);

function earliest(one: Operation | null, other: Operation): Operation {
  return one && one.end <= other.end ? one : other;
}
