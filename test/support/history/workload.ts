import {
  TypeOrmUserDirectory,
  type AuthenticatedSession,
  type IssuedSession,
  type SessionService,
} from 'nestjs-latchkey';
import { KnownSessions } from './known-sessions.js';
import type { KnownSession, News, Together } from './messages.js';
import { answerOf, keyOf, type Recorder } from './recorder.js';

type Lookup = (token: string) => Promise<AuthenticatedSession | null>;

/** What one process does at random; most of it lookups, of its own sessions, of the others' and of ended ones. */
export class Workload {
  private readonly known = new KnownSessions();
  private readonly ids = new Map<string, string>();
  private users: string[] = [];
  private news = emptyNews();

  constructor(
    private readonly sessions: SessionService,
    private readonly lookup: Lookup,
    private readonly directory: TypeOrmUserDirectory,
    private readonly recorder: Recorder,
    private readonly grace: number,
    private readonly tell: (together: Together) => void,
  ) {}

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
    for (const session of opened) this.learn(session);
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
    const dice = Math.random();
    if (!session) return this.open();
    if (dice < 0.62) return void (await this.look(session));
    if (dice < 0.82) return void (await this.look(this.known.anyEnded() ?? session));
    if (dice < 0.91) return this.use(session);
    if (dice < 0.93) return this.rotate(session);
    if (dice < 0.94) return this.tell({ act: dice < 0.935 ? 'rotate' : 'revoke', key: session.key });
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

  private async look(session: KnownSession): Promise<AuthenticatedSession | null> {
    const asked = { kind: 'lookup', user: session.user, session: session.key } as const;
    const found = await this.recorder.record(
      asked,
      () => this.lookup(session.token),
      (answer) => answer && { ...answerOf(answer.session), user: answer.user.id },
    );
    if (found === null) this.known.end(session.key);
    return found ?? null;
  }

  private async use(known: KnownSession): Promise<void> {
    const found = await this.look(known);
    if (!found) return;
    const { session } = found;
    await this.recorder.record(
      { kind: 'extend', user: session.userId, session: keyOf(session) },
      () => this.sessions.maybeExtend(session),
      (moved) => moved && answerOf(moved),
    );
    await this.look(known);
  }

  private async open(): Promise<void> {
    const user = this.users[Math.floor(Math.random() * this.users.length)]!;
    const asked = { kind: 'create', user, session: null } as const;
    this.opened(await this.recorder.record(asked, () => this.sessions.create(user), answerOfIssued));
  }

  private async rotate({ key, user }: KnownSession): Promise<void> {
    const id = this.ids.get(key)!;
    const asked = { kind: 'rotate', user, session: key } as const;
    const rotate = () => this.recorder.record(asked, () => this.sessions.rotate({ id }, user), answerOfIssued);
    const issued = await Promise.all(Math.random() < 0.5 ? [rotate()] : [rotate(), rotate()]);
    for (const each of issued) this.opened(each);
    this.known.end(key, this.shyFrom());
    this.news.ended.push(key);
  }

  private async revoke(session: KnownSession): Promise<void> {
    const { key, user } = session;
    const asked = { kind: 'revoke', user, session: key } as const;
    const id = this.ids.get(key)!;
    const revoke = this.recorder.record(
      asked,
      () => this.sessions.revoke(id),
      () => null,
    );
    await Promise.all([this.look(session), revoke, this.look(session)]);
    this.ended([session]);
    await this.look(session);
  }

  private async revokeAll(user: string): Promise<void> {
    const before = this.known.of(user);
    await this.recorder.record(
      { kind: 'revokeAll', user, session: null },
      () => this.sessions.revokeAllForUser(user),
      () => null,
    );
    this.ended(before);
    await Promise.all(before.map((session) => this.look(session)));
  }

  /** For good; somebody new takes the place. */
  private async disable(user: string): Promise<void> {
    if (!this.users.includes(user)) return;
    this.users = this.users.filter((other) => other !== user);
    const before = this.known.of(user);
    await this.recorder.record(
      { kind: 'disable', user, session: null },
      () => this.directory.disable(user),
      () => null,
    );
    this.ended(before);
    this.news.disabled.push(user);
    const name = `${Math.random().toString(36).slice(2)}-${process.pid}@example.com`;
    const next = await this.directory.create(name, 'correct horse battery staple').catch(() => null);
    if (next) {
      this.users.push(next.id);
      this.news.users.push(next.id);
    }
    await Promise.all(before.map((session) => this.look(session)));
  }

  /** A rotated token that is used after the grace ends all that came of it: now and then only. */
  private shyFrom(): number {
    return this.grace > 0 ? performance.now() + 0.8 * this.grace : Infinity;
  }

  private opened(issued: IssuedSession | null | undefined): void {
    if (!issued) return;
    const { token, session } = issued;
    const known = { key: keyOf(session), token, user: session.userId };
    this.learn(known);
    this.news.opened.push(known);
  }

  private learn(session: KnownSession): void {
    this.ids.set(session.key, this.sessions.idOf(session.token)!);
    this.known.add(session);
  }

  private ended(sessions: readonly KnownSession[]): void {
    for (const { key } of sessions) {
      this.known.end(key);
      this.news.ended.push(key);
    }
  }
}

const answerOfIssued = (issued: IssuedSession | null) => issued && answerOf(issued.session);

const emptyNews = (): News => ({ opened: [], ended: [], users: [], disabled: [] });
