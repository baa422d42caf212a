import type {
  AuthenticatedSession,
  IssuedSession,
  Session,
  SessionService,
  PostgresUserDirectory,
} from 'nestjs-latchkey';
import type { KnownSession } from './messages.js';
import type { Operation } from './operation.js';
import { answerOf, keyOf, type Recorder } from './recorder.js';

type Lookup = (token: string) => Promise<AuthenticatedSession | null>;
type Asked = Pick<Operation, 'kind' | 'user' | 'session'>;

/** The public API that ends and answers sessions, every call written down. `undefined`: it threw. */
export class RecordedSessions {
  constructor(
    private readonly sessions: SessionService,
    private readonly directory: PostgresUserDirectory,
    private readonly recorder: Recorder,
    // As the guard asks.
    private readonly answers: Lookup = async (token) => sessions.lookupCached(token) ?? sessions.lookup(token),
  ) {}

  lookup({ key, user, token }: KnownSession): Promise<AuthenticatedSession | null | undefined> {
    const asked = { kind: 'lookup', user, session: key } as const;
    const toAnswer = (found: AuthenticatedSession | null) =>
      found && { ...answerOf(found.session), user: found.user.id };
    return this.recorder.record(asked, () => this.answers(token), toAnswer);
  }

  extend(session: Session): Promise<Session | null | undefined> {
    const asked = { kind: 'extend', user: session.userId, session: keyOf(session) } as const;
    const toAnswer = (moved: Session | null) => moved && answerOf(moved);
    return this.recorder.record(asked, () => this.sessions.maybeExtend(session), toAnswer);
  }

  create(user: string): Promise<IssuedSession | undefined> {
    const asked = { kind: 'create', user, session: null } as const;
    return this.recorder.record(asked, () => this.sessions.create(user), answerOfIssued);
  }

  rotate(known: KnownSession): Promise<IssuedSession | null | undefined> {
    const { key, user } = known;
    const asked = { kind: 'rotate', user, session: key } as const;
    return this.recorder.record(asked, () => this.sessions.rotate({ id: this.idOf(known) }, user), answerOfIssued);
  }

  async revoke(known: KnownSession): Promise<void> {
    const { key, user } = known;
    await this.ends({ kind: 'revoke', user, session: key }, () => this.sessions.revoke(this.idOf(known)));
  }

  async revokeAll(user: string): Promise<void> {
    await this.ends({ kind: 'revokeAll', user, session: null }, () => this.sessions.revokeAllForUser(user));
  }

  async disable(user: string): Promise<void> {
    await this.ends({ kind: 'disable', user, session: null }, () => this.directory.disable(user));
  }

  private async ends(asked: Asked, work: () => Promise<unknown>): Promise<void> {
    await this.recorder.record(asked, work, () => null);
  }

  private idOf({ token }: KnownSession): string {
    return this.sessions.idOf(token)!;
  }
}

const answerOfIssued = (issued: IssuedSession | null) => issued && answerOf(issued.session);
