import { isAuthError, type Session } from 'nestjs-latchkey';
import type { Answer, Operation } from './operation.js';

type Asked = Pick<Operation, 'kind' | 'user' | 'session'>;

/** The name of a session in a history: enough of its id to tell it from others. */
export const keyOf = ({ id }: Pick<Session, 'id'>): string => id.slice(0, 16);

export function answerOf(session: Session): Answer {
  const { userId, expiresAt, absoluteExpiresAt } = session;
  return { session: keyOf(session), user: userId, expiresAt, absoluteExpiresAt };
}

/** Writes down what this process asks and what it is answered. */
export class Recorder {
  private operations: Operation[] = [];
  private readonly pending = new Map<object, Asked & { start: number }>();

  constructor(private readonly process: number) {}

  /** What `work` answered; `undefined` when it threw. */
  async record<T>(
    asked: Asked,
    work: () => Promise<T>,
    answerOf: (result: T) => Answer | null,
  ): Promise<T | undefined> {
    const ticket = {};
    const start = now();
    this.pending.set(ticket, { ...asked, start });
    try {
      const result = await work();
      this.close(ticket, { answer: answerOf(result) });
      return result;
    } catch (error) {
      const threw = isAuthError(error, 'STORE_UNAVAILABLE') ? error.code : String(error);
      this.close(ticket, { answer: null, threw });
      return undefined;
    }
  }

  take(): Operation[] {
    return this.operations.splice(0);
  }

  /** What nobody waits for any more may still happen: as if it had thrown. */
  abandon(): void {
    for (const ticket of this.pending.keys()) this.close(ticket, { answer: null, threw: 'NO_ANSWER' });
  }

  private close(ticket: object, outcome: Pick<Operation, 'answer' | 'threw'>): void {
    const asked = this.pending.get(ticket);
    if (!asked) return;
    this.pending.delete(ticket);
    this.operations.push({ process: this.process, ...asked, end: now(), ...outcome });
  }
}

function now(): number {
  return Number(process.hrtime.bigint() / 1000n);
}
