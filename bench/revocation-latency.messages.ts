export type Subject = 'session' | 'user' | 'jwt';

export interface Credential {
  readonly subject: Subject;
  readonly token: string;
  readonly user: string;
}

/** What a process saw that kept asking. Instants in microseconds of the machine's monotonic clock. */
export interface Seen {
  /** Answers that it was live. */
  readonly hits: number;
  /** When the last question began that was answered so. */
  readonly lastLive: number;
  /** When the first answer came that it was not. */
  readonly gone: number;
  /** Microseconds from one question to the next. */
  readonly perHit: number;
}

export type ToWorker =
  | { type: 'create'; subject: Subject; users: string[] }
  | { type: 'warm'; credentials: Credential[] }
  | { type: 'watch' | 'end'; credential: Credential }
  | { type: 'stop' };

export type FromWorker =
  | { type: 'ready' | 'warm' | 'watching' }
  | { type: 'created'; credentials: Credential[] }
  | { type: 'seen'; seen: Seen }
  | { type: 'ended'; start: number; end: number };
