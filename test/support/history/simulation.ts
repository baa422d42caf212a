import { randomFrom } from '../random.js';
import type { Answer, History, Operation, OperationKind } from './operation.js';

interface ModelSession {
  readonly key: string;
  readonly user: string;
  readonly family: ModelSession[];
  readonly createdAt: number;
  endedAt: number;
  rotatedAt: number;
  successor: ModelSession | null;
  readonly expiries: { at: number; expiresAt: number }[];
}

export interface Simulated {
  readonly seed: number;
  /** Microseconds: how old an answer may be that a process gives to what it has not changed itself. */
  readonly staleness: number;
  /** `null`: a rotated session is just gone, and its use has no consequences. */
  readonly grace: number | null;
}

const PROCESSES = 3;
const USERS = ['ada', 'bob', 'eve'];
const MIX: OperationKind[] = [
  ...Array<OperationKind>(30).fill('lookup'),
  ...Array<OperationKind>(5).fill('rotate'),
  ...Array<OperationKind>(5).fill('extend'),
  ...Array<OperationKind>(3).fill('create'),
  ...Array<OperationKind>(2).fill('revoke'),
  'revokeAll',
];
const OPERATIONS = 400;
const LIFETIME = 1e12;

/**
 * A history of an ideal system, in memory: every operation takes effect at one random instant of its interval, and a
 * lookup may answer from what was true `staleness` ago, unless its own process has changed that since.
 */
export function simulate({ seed, staleness, grace }: Simulated): History {
  const random = randomFrom(seed);
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)]!;
  const history: Operation[] = [];
  const all: { session: ModelSession; from: number }[] = [];
  const disabledAt = new Map<string, number>();
  const wrote = Array<number>(PROCESSES).fill(-Infinity);
  const lasts = 4 * (staleness + (grace ?? 0) + 1_000_000);

  const planned = Array.from({ length: OPERATIONS }, () => {
    const start = Math.floor(random() * lasts);
    const end = start + 1 + Math.floor(random() ** 3 * 400_000);
    return { start, end, at: start + random() * (end - start) };
  }).toSorted((a, b) => a.at - b.at);

  const answerOf = (session: ModelSession, at: number): Answer => ({
    session: session.key,
    user: session.user,
    expiresAt: session.expiries.findLast((expiry) => expiry.at <= at)!.expiresAt,
    absoluteExpiresAt: 2 * LIFETIME,
  });
  const open = (user: string, at: number, end: number, parent?: ModelSession): ModelSession => {
    const session: ModelSession = {
      key: `s${all.length}`,
      user,
      family: parent?.family ?? [],
      createdAt: at,
      endedAt: Infinity,
      rotatedAt: Infinity,
      successor: null,
      expiries: [{ at, expiresAt: at + LIFETIME }],
    };
    session.family.push(session);
    all.push({ session, from: end });
    return session;
  };
  const endAll = (sessions: readonly ModelSession[], at: number) => {
    for (const session of sessions) session.endedAt = Math.min(session.endedAt, at);
  };
  const read = (session: ModelSession, at: number): ModelSession | null => {
    if (session.endedAt <= at || (disabledAt.get(session.user) ?? Infinity) <= at) return null;
    if (session.rotatedAt > at) return session;
    return at < session.rotatedAt + (grace ?? 0) ? read(session.successor!, at) : null;
  };

  for (const { start, end, at } of planned) {
    const process = Math.floor(random() * PROCESSES);
    // A process knows a session once the operation that made it has ended.
    const known = all.filter(({ from }) => from < start).map(({ session }) => session);
    const session = known.length > 0 ? pick(known.slice(-40)) : undefined;
    let kind: OperationKind = session ? pick(MIX) : 'create';
    const user = kind === 'create' ? pick(USERS) : session!.user;
    if (kind === 'revokeAll' && random() < 0.2) kind = 'disable';
    let answer: Answer | null = null;

    if (kind === 'create') answer = answerOf(open(user, at, end), at);
    if (kind === 'revokeAll' || kind === 'disable') {
      const existing = all.map((each) => each.session).filter((each) => each.user === user);
      endAll(existing, at);
      if (kind === 'disable') disabledAt.set(user, Math.min(disabledAt.get(user) ?? Infinity, at));
    }
    if (kind === 'revoke') endAll(grace === null ? [session!] : session!.family, at);
    if (kind === 'extend' && session!.endedAt > at && session!.rotatedAt > at) {
      session!.expiries.push({ at, expiresAt: at + LIFETIME });
      answer = answerOf(session!, at);
    }
    if (kind === 'rotate' && session!.endedAt > at) {
      if (session!.rotatedAt > at) {
        session!.rotatedAt = at;
        session!.successor = open(user, at, end, session);
        answer = answerOf(session!.successor, at);
      } else {
        // Some read what has become of it, others are refused.
        const end = grace === null || random() < 0.3 ? null : read(session!, at);
        answer = end && answerOf(end, at);
      }
    }
    if (kind === 'lookup') {
      const seenAt = Math.max(start - random() * staleness, wrote[process]!, session!.createdAt);
      const stale = random() < 0.5 && seenAt < at ? read(session!, seenAt) : null;
      const found = stale ?? read(session!, at);
      answer = found && answerOf(found, stale ? seenAt : at);
      const isReused = grace !== null && at >= session!.rotatedAt + grace;
      if (!found && isReused && session!.endedAt > at) endAll(session!.family, at);
    } else {
      wrote[process] = at;
    }
    const asked = kind === 'create' || kind === 'revokeAll' || kind === 'disable' ? null : session!.key;
    history.push({ process, kind, start, end, user, session: asked, answer });
  }
  return history;
}
