import type { KnownSession } from './messages.js';

const REMEMBERED_ENDED = 2000;

/** The sessions that a process believes to be there, and those that were last seen to end. */
export class KnownSessions {
  private readonly live: KnownSession[] = [];
  private readonly places = new Map<string, number>();
  private readonly byUser = new Map<string, Set<KnownSession>>();
  private readonly ended: { session: KnownSession; shyFrom: number }[] = [];
  private nextEnded = 0;

  constructor(private readonly random: () => number) {}

  get size(): number {
    return this.live.length;
  }

  add(session: KnownSession): void {
    if (this.places.has(session.key)) return;
    this.places.set(session.key, this.live.push(session) - 1);
    if (!this.byUser.has(session.user)) this.byUser.set(session.user, new Set());
    this.byUser.get(session.user)!.add(session);
  }

  get(key: string): KnownSession | undefined {
    const place = this.places.get(key);
    return place === undefined ? undefined : this.live[place];
  }

  of(user: string): KnownSession[] {
    return [...(this.byUser.get(user) ?? [])];
  }

  any(): KnownSession | undefined {
    return this.live[Math.floor(this.random() * this.live.length)];
  }

  /** `shyFrom`: from this instant (ms of `performance.now()`) on it is rarely asked for, since that has consequences. */
  end(key: string, shyFrom = Infinity): void {
    const place = this.places.get(key);
    if (place === undefined) return;
    const session = this.live[place]!;
    const last = this.live.pop()!;
    this.places.delete(key);
    if (last !== session) {
      this.live[place] = last;
      this.places.set(last.key, place);
    }
    this.byUser.get(session.user)!.delete(session);
    this.ended[this.nextEnded++ % REMEMBERED_ENDED] = { session, shyFrom };
  }

  anyEnded(): KnownSession | undefined {
    const found = this.ended[Math.floor(this.random() * this.ended.length)];
    if (!found) return undefined;
    return performance.now() < found.shyFrom || this.random() < 0.01 ? found.session : undefined;
  }
}
