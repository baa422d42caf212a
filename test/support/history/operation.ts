export const KINDS = ['create', 'lookup', 'extend', 'rotate', 'revoke', 'revokeAll', 'disable'] as const;
export type OperationKind = (typeof KINDS)[number];

/** The session that an operation answered with. */
export interface Answer {
  readonly session: string;
  readonly user: string;
  /** Epoch ms. */
  readonly expiresAt: number;
  readonly absoluteExpiresAt: number;
}

/**
 * One call of the public API, from just before it was made to just after it was answered. It took effect at some instant
 * between the two; which one is not known.
 */
export interface Operation {
  readonly process: number;
  readonly kind: OperationKind;
  /** Microseconds of the machine's monotonic clock, the same in every process. Cut, so only `<` proves an order. */
  readonly start: number;
  readonly end: number;
  /** Whose session, or which user, it was about, as the caller knew it. */
  readonly user: string;
  /** The session whose token or id was presented; `null` where there was none. A name for it, never its token. */
  readonly session: string | null;
  /** `null`: no session, or for `extend` nothing moved. `revoke`, `revokeAll` and `disable` answer none. */
  readonly answer: Answer | null;
  /** The code of the error it threw. Then its effect is unknown, and may even come later than `end`. */
  readonly threw?: string;
}

export type History = readonly Operation[];

/** How often each kind was answered with a session, without one, and not at all. */
export type Counts = Record<OperationKind, { answered: number; none: number; threw: number }>;

export function countsOf(history: History): Counts {
  const counts = Object.fromEntries(KINDS.map((kind) => [kind, { answered: 0, none: 0, threw: 0 }])) as Counts;
  for (const { kind, answer, threw } of history) {
    counts[kind][threw === undefined ? (answer ? 'answered' : 'none') : 'threw'] += 1;
  }
  return counts;
}
