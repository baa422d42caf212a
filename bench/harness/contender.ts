/** What a contender's module exports under its name; called in a process of its own. */
export type Start<Args = never, Hello = unknown> = (args: Args) => Promise<Running<Hello>>;

export interface Running<Hello = unknown> {
  /** What the other side needs to know, such as the address that a server listens on. */
  readonly hello?: Hello;
  /** One operation, for what is measured inside of the process. */
  readonly work?: () => unknown;
  /** How many of them at once; without it `work` is called in a plain loop and not waited for. */
  readonly concurrency?: number;
  /** Exactly so many operations, however long they take, for `work` that uses something up. Needs `concurrency`. */
  readonly operations?: number;
  /** Called before each measurement and not measured. */
  prepare?(): Promise<unknown>;
  /** What `BenchProcess.call` reaches, for what is neither one operation nor known at the start. */
  readonly calls?: Readonly<Record<string, (args: never) => Promise<unknown>>>;
  close?(): Promise<unknown>;
}

/** One repetition: operations a second, and the processor time of the contender's process for each. */
export interface Sample {
  readonly perSecond: number;
  readonly cpuMicros: number;
}

export type ToContender =
  | { readonly type: 'start'; readonly module: string; readonly name: string; readonly args: unknown }
  | { readonly type: 'measure'; readonly warmUpMs: number; readonly ms: number }
  | { readonly type: 'call'; readonly name: string; readonly args: unknown }
  | { readonly type: 'cpu' }
  | { readonly type: 'close' }
  | { readonly type: 'stop' };

export type FromContender =
  | { readonly type: 'ready' }
  | { readonly type: 'started'; readonly hello: unknown }
  | { readonly type: 'measured'; readonly sample: Sample }
  | { readonly type: 'called'; readonly result: unknown }
  | { readonly type: 'cpu'; readonly micros: number; readonly rss: number; readonly heap: number }
  | { readonly type: 'closed' }
  | { readonly type: 'failed'; readonly message: string };
