import type { Operation } from './operation.js';

/** A session that any process may use. */
export interface KnownSession {
  readonly key: string;
  readonly token: string;
  readonly user: string;
}

/** What the processes tell each other, through the parent. */
export interface News {
  readonly opened: KnownSession[];
  readonly ended: string[];
  readonly users: string[];
  readonly disabled: string[];
}

/** Every process does this to the session at once. */
export interface Together {
  readonly act: 'rotate' | 'revoke';
  readonly key: string;
}

export type ToWorker =
  | { type: 'prepare'; users: string[]; sessions: number; target: number }
  | { type: 'news'; news: News }
  | { type: 'together'; together: Together }
  | { type: 'run' | 'finish' | 'stop' };

export type FromWorker =
  | { type: 'ready' | 'prepared' | 'finished' }
  | { type: 'batch'; operations: Operation[]; news: News }
  | { type: 'together'; together: Together };
