import type { History, Operation } from './operation.js';

/** A session and everything that was done to it, or to all of its user's. */
export interface Life {
  readonly key: string;
  readonly user: string;
  /** Of the operations that answered with it as new: it was not there before the first began. */
  createdStart: number;
  /** It was there when the first of them had ended. */
  createdEnd: number;
  /** The operation that was first answered with it. */
  readonly born: Operation;
  /** What it was rotated from: of all that are said to have led to it the latest. */
  parent: Life | null;
  readonly family: Family;
  generation: number;
  /** Rotations of it that gave a successor or threw. */
  readonly rotations: Operation[];
  readonly revokes: Operation[];
  /** Those that moved it, by the expiry that they set. */
  readonly extends: Operation[];
}

/** A session with all that it was rotated to. */
export interface Family {
  readonly root: Life;
  readonly members: Life[];
}

/** The operations that are about all sessions of a user. */
export interface Account {
  readonly revokeAlls: Operation[];
  readonly disables: Operation[];
}

/** A history, sorted by what each operation was about. */
export class Lives {
  private readonly lives = new Map<string, Life>();
  private readonly descents: [Life, Life][] = [];
  private readonly accounts = new Map<string, Account>();

  constructor(history: History) {
    // A successor's rotation begins after its predecessor was known, so parents come first.
    for (const operation of history.toSorted((a, b) => a.start - b.start)) this.add(operation);
    this.settle();
    for (const life of this.all()) life.extends.sort((a, b) => a.answer!.expiresAt - b.answer!.expiresAt);
  }

  of(key: string | null): Life | undefined {
    return key === null ? undefined : this.lives.get(key);
  }

  all(): Iterable<Life> {
    return this.lives.values();
  }

  account(user: string): Account {
    let account = this.accounts.get(user);
    if (!account) this.accounts.set(user, (account = { revokeAlls: [], disables: [] }));
    return account;
  }

  private add(operation: Operation): void {
    const { kind, session, answer, threw } = operation;
    const life = this.of(session);
    if (kind === 'revokeAll') this.account(operation.user).revokeAlls.push(operation);
    if (kind === 'disable') this.account(operation.user).disables.push(operation);
    if (kind === 'revoke') life?.revokes.push(operation);
    if (kind === 'extend' && answer) life?.extends.push(operation);
    if (kind === 'rotate' && (answer || threw !== undefined)) life?.rotations.push(operation);
    if (answer && (kind === 'create' || kind === 'rotate')) this.born(operation, answer.session, life ?? null);
  }

  private born(operation: Operation, key: string, parent: Life | null): void {
    const { start, end, user } = operation;
    const known = this.lives.get(key);
    if (known) {
      known.createdStart = Math.min(known.createdStart, start);
      known.createdEnd = Math.min(known.createdEnd, end);
      if (parent) this.descents.push([known, parent]);
      return;
    }
    const life = {
      key,
      user,
      createdStart: start,
      createdEnd: end,
      born: operation,
      parent,
      generation: parent ? parent.generation + 1 : 0,
      rotations: [],
      revokes: [],
      extends: [],
    } as unknown as Life & { family: Family };
    life.family = parent?.family ?? { root: life, members: [] };
    life.family.members.push(life);
    if (parent) this.descents.push([life, parent]);
    this.lives.set(key, life);
  }

  /** Of S -> S2 -> S3 a slow rotation of S may be answered with S3, and have begun before S2 was there. */
  private settle(): void {
    for (let changed = true; changed;) {
      changed = false;
      for (const [life, parent] of this.descents) {
        const place = parent.generation + 1;
        // A family that goes in a circle is no family: it ends here, and is reported for its answers.
        if (parent.family !== life.family || place <= life.generation || place >= life.family.members.length) continue;
        life.parent = parent;
        life.generation = place;
        changed = true;
      }
    }
  }
}
