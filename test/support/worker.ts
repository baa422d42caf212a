import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout } from 'node:timers/promises';

const LOADER = new URL('./register.js', import.meta.url).href;
/** Closing waits for statements that a broken network may never answer. */
const STOP_MS = 10_000;

type Typed = { type: string };
type OfType<Message extends Typed, Type> = Message & { type: Type };

/** A script of ours in a process of its own, that takes messages of type `To` (one of them `stop`) and sends `From`. */
export class Worker<To extends Typed, From extends Typed> {
  /** Rejects when the process ends by itself. */
  readonly failed: Promise<never>;
  private readonly child: ChildProcess;
  private readonly exited: Promise<unknown>;
  private readonly hearers = new Set<(message: From) => void>();
  private stopping = false;

  constructor(script: string, env: Record<string, string>) {
    this.child = fork(script, {
      execArgv: ['--import', LOADER],
      env: { ...process.env, NODE_OPTIONS: '', ...env },
    });
    this.child.on('message', (message: From) => this.hearers.forEach((hear) => hear(message)));
    this.exited = once(this.child, 'exit');
    this.failed = this.exited.then((code) => {
      if (this.stopping) return new Promise<never>(() => undefined);
      throw new Error(`A process ended by itself with ${String(code)}.`);
    });
    this.failed.catch(() => undefined);
  }

  on<Type extends From['type']>(type: Type, hear: (message: OfType<From, Type>) => void): () => void {
    const hearer = (message: From) => {
      if (message.type === type) hear(message as OfType<From, Type>);
    };
    this.hearers.add(hearer);
    return () => this.hearers.delete(hearer);
  }

  /** The next message of this type. Listen before asking for it. */
  async next<Type extends From['type']>(type: Type): Promise<OfType<From, Type>> {
    let forget = () => {};
    const heard = new Promise<OfType<From, Type>>((resolve) => {
      forget = this.on(type, resolve);
    });
    return Promise.race([heard, this.failed]).finally(forget);
  }

  send(message: To): void {
    if (this.child.connected) this.child.send(message);
  }

  async stop(): Promise<void> {
    this.stopping = true;
    if (this.child.connected) this.child.send({ type: 'stop' });
    const patience = new AbortController();
    const late = setTimeout(STOP_MS, undefined, { signal: patience.signal }).then(
      () => this.child.kill('SIGKILL'),
      () => undefined,
    );
    await this.exited;
    patience.abort();
    await late;
  }
}
