import type { AuthenticatedSession, IssuedSession } from 'nestjs-latchkey';
import { KnownSessions } from './known-sessions.js';
import type { KnownSession, News, Together } from './messages.js';
import type { RecordedSessions } from './recorded-sessions.js';
import { keyOf } from './recorder.js';

export interface Surroundings {
  readonly sessions: RecordedSessions;
  /** Somebody new, for somebody who was disabled. */
  createUser(): Promise<string>;
  /** Asks all processes, this one too. */
  tell(together: Together): void;
  /** `session.rotationGrace`, ms; `null`: there is none, and using an old token has no consequences. */
  readonly grace: number | null;
  /** Decides what is done next: the same choices for the same seed, though not the same timing. */
  random(this: void): number;
}

/** What one process does at random; most of it lookups, of its own sessions, of the others' and of ended ones. */
export class Workload {
  private readonly known: KnownSessions;
  private users: string[] = [];
  private news = emptyNews();

  constructor(private readonly around: Surroundings) {
    this.known = new KnownSessions(around.random);
  }

  /** Users of all processes, and so many sessions of this one, for a population of `target`. */
  async prepare(users: readonly string[], sessions: number): Promise<void> {
    this.users = [...users];
    let left = sessions;
    const lanes = Array.from({ length: 16 }, async () => {
      while (left-- > 0) await this.open();
    });
    await Promise.all(lanes);
  }

  hear({ opened, ended, users, disabled }: News): void {
    for (const session of opened) this.known.add(session);
    for (const key of ended) this.known.end(key, this.shyFrom());
    this.users = [...this.users.filter((user) => !disabled.includes(user)), ...users];
  }

  takeNews(): News {
    const { news } = this;
    this.news = emptyNews();
    return news;
  }

  async turn(target: number): Promise<void> {
    const session = this.known.any();
    const dice = this.around.random();
    if (!session) return this.open();
    if (dice < 0.62) return void (await this.look(session));
    if (dice < 0.82) return void (await this.look(this.known.anyEnded() ?? session));
    if (dice < 0.91) return this.use(session);
    if (dice < 0.93) return this.rotate(session);
    if (dice < 0.94) return this.around.tell({ act: dice < 0.935 ? 'rotate' : 'revoke', key: session.key });
    if (this.known.size < target) return this.open();
    if (dice < 0.985) return this.revoke(session);
    if (dice < 0.994) return this.revokeAll(session.user);
    return this.disable(session.user);
  }

  /** What every process does to the same session at about the same time. */
  async together({ act, key }: Together): Promise<void> {
    const session = this.known.get(key);
    if (!session) return;
    await Promise.all([this.look(session), act === 'rotate' ? this.rotate(session) : this.revoke(session)]);
  }

  private async look(known: KnownSession): Promise<AuthenticatedSession | null> {
    const found = await this.around.sessions.lookup(known);
    if (found === null) this.known.end(known.key);
    return found ?? null;
  }

  private async use(known: KnownSession): Promise<void> {
    const found = await this.look(known);
    if (!found) return;
    await this.around.sessions.extend(found.session);
    await this.look(known);
  }

  private async open(): Promise<void> {
    const user = this.users[Math.floor(this.around.random() * this.users.length)]!;
    this.opened(await this.around.sessions.create(user));
  }

  private async rotate(known: KnownSession): Promise<void> {
    const rotate = () => this.around.sessions.rotate(known);
    const issued = await Promise.all(this.around.random() < 0.5 ? [rotate()] : [rotate(), rotate()]);
    for (const each of issued) this.opened(each);
    this.known.end(known.key, this.shyFrom());
    this.news.ended.push(known.key);
  }

  private async revoke(known: KnownSession): Promise<void> {
    await Promise.all([this.look(known), this.around.sessions.revoke(known), this.look(known)]);
    await this.ended([known]);
  }

  private async revokeAll(user: string): Promise<void> {
    const before = this.known.of(user);
    await this.around.sessions.revokeAll(user);
    await this.ended(before);
  }

  /** For good; somebody new takes the place. */
  private async disable(user: string): Promise<void> {
    if (!this.users.includes(user)) return;
    this.users = this.users.filter((other) => other !== user);
    const before = this.known.of(user);
    await this.around.sessions.disable(user);
    this.news.disabled.push(user);
    await this.ended(before);
    const next = await this.around.createUser().catch(() => null);
    if (!next) return;
    this.users.push(next);
    this.news.users.push(next);
  }

  /** A rotated token that is used after the grace ends all that came of it: now and then only. */
  private shyFrom(): number {
    const { grace } = this.around;
    return grace === null ? Infinity : performance.now() + 0.8 * grace;
  }

  private opened(issued: IssuedSession | null | undefined): void {
    if (!issued) return;
    const { token, session } = issued;
    const known = { key: keyOf(session), token, user: session.userId };
    this.known.add(known);
    this.news.opened.push(known);
  }

  /** Whoever has ended them reads that at once. */
  private async ended(sessions: readonly KnownSession[]): Promise<void> {
    for (const { key } of sessions) {
      this.known.end(key);
      this.news.ended.push(key);
    }
    await Promise.all(sessions.map((session) => this.look(session)));
  }
}

const emptyNews = (): News => ({ opened: [], ended: [], users: [], disabled: [] });
