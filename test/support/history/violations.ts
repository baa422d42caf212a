import { CLOCK_SLACK, endingsOf, type Bounds, type Ending } from './endings.js';
import { Lives, type Life } from './lives.js';
import type { Answer, History, Operation } from './operation.js';

/**
 * - `lost`: the user of a session that nothing had ended was told that there is none
 * - `stale`: a session was answered later than `bound` after the end of what ended it
 * - `read your writes`: a session was answered in the very process that had ended it before
 * - `resurrection`: a session was answered later than `bound` after the answer that there is none
 * - `expiry`: an expiry went back, or past the absolute one
 * - `rotation`: two successors of one session, or an old token that was answered by another session than its successor,
 *   by itself, or after the grace
 * - `written`: a session was extended or rotated after it had been ended
 * - `wrong owner`: the answer named another user than the session's
 * - `threw`: an operation threw although nothing was broken, or something else than an outage
 */
export type Rule =
  'lost' | 'stale' | 'read your writes' | 'resurrection' | 'expiry' | 'rotation' | 'written' | 'wrong owner' | 'threw';

export interface Violation {
  readonly rule: Rule;
  readonly operation: Operation;
  /** What it contradicts. */
  readonly because: Operation | null;
}

/** What the system promises; milliseconds. */
export interface Promised {
  /** No session is answered by another process later than this after it was ended. */
  readonly bound: number;
  /** `session.rotationGrace`; `null` (default): rotated tokens are just gone, and their use has no consequences. */
  readonly grace?: number | null;
  /** Whether something was broken on purpose, so that operations may throw. Default false. */
  readonly faults?: boolean;
}

/** What the public API throws for a database that is away, and what the recorder writes for no answer at all. */
const OUTAGE = new Set(['STORE_UNAVAILABLE', 'NO_ANSWER']);
const MICROSECONDS = 1000;
/** PostgreSQL keeps microseconds, and a number of epoch milliseconds a little less. */
const EXPIRY_SLACK = 0.01;

/**
 * The answers of a recorded history that no order of its operations explains. Operations that overlap may have taken
 * effect in either order; what is reported is wrong in all of them. Nothing is proved by an empty result but that this
 * history shows no such answer. The lifetimes must be longer than the history: sessions that run out are not foreseen.
 */
export function violationsOf(history: History, { bound, grace = null, faults = false }: Promised): Violation[] {
  const bounds = { bound: bound * MICROSECONDS, grace: grace === null ? null : grace * MICROSECONDS };
  const lives = new Lives(history);
  const endings = endingsOf(history, lives, bounds);
  const found: Violation[] = [];
  for (const operation of history) {
    const report = (rule: Rule, because: Operation | null = null) => found.push({ rule, operation, because });
    if (operation.threw !== undefined) {
      if (!faults || !OUTAGE.has(operation.threw)) report('threw');
      continue;
    }
    const life = lives.of(operation.session);
    if (!life) continue;
    if (operation.answer && operation.answer.user !== life.user) report('wrong owner');
    if (operation.kind === 'lookup' && operation.answer) {
      checkAnswer(operation, operation.answer, life, lives, endings, bounds, report);
    }
    checkLost(operation, life, endings.get(life)!, bounds, report);
    checkWritten(operation, life, lives, endings, bounds, report);
  }
  for (const life of lives.all()) checkSuccessors(life, found);
  return found;
}

type Report = (rule: Rule, because?: Operation | null) => void;

function checkAnswer(
  operation: Operation,
  answer: Answer,
  asked: Life,
  lives: Lives,
  endings: ReadonlyMap<Life, Ending>,
  bounds: Bounds,
  report: Report,
): void {
  const life = lives.of(answer.session);
  if (!life || life !== asked) {
    const heir = life && bounds.grace !== null && life.family === asked.family && life.generation > asked.generation;
    // A rotation that threw may have made a successor that nobody was told of.
    const unknown = !life && bounds.grace !== null && asked.family.members.some(hasThrown);
    if (!heir && !unknown) report('rotation');
  }
  if (bounds.grace !== null) checkGrace(operation, answer, asked, bounds.bound, bounds.grace, report);

  // What the presented token itself was refused for stays refused, whoever it was answered by.
  const { gone } = endings.get(asked)!;
  if (gone && operation.start > gone.end + bounds.bound) report('resurrection', gone);
  if (!life) return;
  const { over, overIn } = endings.get(life)!;
  const own = overIn.get(operation.process);
  if (over && operation.start > over.end + bounds.bound) report('stale', over);
  else if (own && operation.start > own.end) report('read your writes', own);
  checkExpiry(operation, answer, life, bounds, report);
}

const hasThrown = ({ rotations }: Life): boolean => rotations.some(({ threw }) => threw !== undefined);

/** Of rotations that overlap, the one that ends first is answered after the one that took effect. */
function checkGrace(
  operation: Operation,
  answer: Answer,
  asked: Life,
  bound: number,
  grace: number,
  report: Report,
): void {
  const rotated = asked.rotations.filter(({ threw }) => threw === undefined);
  const first = rotated.toSorted((a, b) => a.end - b.end)[0];
  if (!first) return;
  const stillItself = answer.session === asked.key && operation.start > first.end + bound;
  if (stillItself || operation.start > first.end + grace + bound + CLOCK_SLACK) report('rotation', first);
}

/** From the furthest extension back, to those that the answer has seen: rarely more than a few. */
function checkExpiry(operation: Operation, answer: Answer, life: Life, { bound }: Bounds, report: Report): void {
  if (answer.expiresAt > answer.absoluteExpiresAt + EXPIRY_SLACK) report('expiry');
  for (let i = life.extends.length - 1; i >= 0; i--) {
    const extension = life.extends[i]!;
    if (extension.answer!.expiresAt <= answer.expiresAt + EXPIRY_SLACK) return;
    if (extension.end + bound < operation.start) return report('expiry', extension);
  }
}

function checkLost(operation: Operation, life: Life, ending: Ending, { grace }: Bounds, report: Report): void {
  const { kind, answer, start, end } = operation;
  if (answer || (kind !== 'lookup' && kind !== 'rotate') || !(life.createdEnd < start)) return;
  // Within the grace the second of two rotations is answered by the successor or refused.
  const beaten = kind === 'rotate' && grace !== null && life.rotations.some((rotation) => rotation.start <= end);
  if (!beaten && ending.mayEndFrom > end) report('lost');
}

/** What writes asks the database, so no bound applies. */
function checkWritten(
  operation: Operation,
  asked: Life,
  lives: Lives,
  endings: ReadonlyMap<Life, Ending>,
  { grace, bound }: Bounds,
  report: Report,
): void {
  if (!operation.answer || (operation.kind !== 'extend' && operation.kind !== 'rotate')) return;
  // A second rotation writes nothing: it reads what the session was rotated to.
  const reads = grace !== null && operation.kind === 'rotate';
  const life = reads ? lives.of(operation.answer.session)! : asked;
  const { removed } = endings.get(life)!;
  if (removed && removed.end + (reads ? bound : 0) < operation.start) report('written', removed);
}

/** Two that stand at the same place of their family. A second rotation may be answered with a later one. */
function checkSuccessors({ family, generation, born, parent }: Life, found: Violation[]): void {
  // What a rotation that threw has made may be missing between them.
  if (!parent || family.members.some(hasThrown)) return;
  const twin = family.members.find((other) => other.generation === generation)!;
  if (twin.born !== born) found.push({ rule: 'rotation', operation: born, because: twin.born });
}
