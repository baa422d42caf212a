import { fork, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { availableParallelism, cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { FromContender, Sample, ToContender } from './contender.js';

const SCRIPT = fileURLToPath(new URL('./contender.main.ts', import.meta.url));
const LOADER = new URL('../../test/support/register.js', import.meta.url).href;
/** An idle server would otherwise be cold for its first seconds: V8 shrinks the heap of a process that has no work. */
const FLAGS = ['--no-memory-reducer', '--import', LOADER];
const PATIENCE_MS = 600_000;

const CONTENDERS_CORE = '0';
const EVERY_CORE = `0-${cpus().length - 1}`;
const OUR_CORE = '1';

/** Counted before this process is moved to one of them. */
export const cores = availableParallelism();

/** Whether contenders have one core and this process, with the servers it starts, the other. */
export const isPinned = cores > 1 && spawnSync('taskset', ['--version']).status === 0;

/** Moves this process, and what it starts from now on, to the core that the contenders do not use. */
export function pinThisProcess(): void {
  if (isPinned) spawnSync('taskset', ['-a', '-c', '-p', OUR_CORE, String(process.pid)]);
}

/** `all`: for what has threads of its own, or is several processes; they share them with the load and the database. */
export type Cores = 'one' | 'all';

/** This command, on the core of the contenders or on all of them where the machine has several. */
export function onCores(cores: Cores, command: readonly [string, ...string[]]): readonly [string, ...string[]] {
  return isPinned ? ['taskset', '-c', cores === 'one' ? CONTENDERS_CORE : EVERY_CORE, ...command] : command;
}

type Answer<Type extends FromContender['type']> = FromContender & { type: Type };

/** A contender in a process of its own, on a core of its own where the machine has two. */
export class BenchProcess {
  private readonly child: ChildProcess;
  private readonly exited: Promise<unknown>;
  private said: Promise<unknown> = Promise.resolve();

  constructor(flags: readonly string[] = [], cores: Cores = 'one') {
    const [execPath, ...execArgv] = onCores(cores, [process.execPath, ...FLAGS, ...flags]);
    const env = { ...process.env, NODE_ENV: 'production', NODE_OPTIONS: '' };
    this.child = fork(SCRIPT, { env, execPath, execArgv });
    this.exited = once(this.child, 'exit');
    this.said = this.heard('ready');
  }

  /** Starts what `module` exports as `name`; its `hello`. */
  async start<Hello>(module: URL, name: string, args: unknown): Promise<Hello> {
    const { hello } = await this.ask({ type: 'start', module: module.href, name, args }, 'started');
    return hello as Hello;
  }

  /** One repetition of its `work`. */
  async measure(warmUpMs: number, ms: number): Promise<Sample> {
    return (await this.ask({ type: 'measure', warmUpMs, ms }, 'measured')).sample;
  }

  /** What the contender's `calls` answer under this name. */
  async call<T>(name: string, args?: unknown): Promise<T> {
    return (await this.ask({ type: 'call', name, args }, 'called')).result as T;
  }

  /** Microseconds of processor time so far, and bytes of memory. */
  usage(): Promise<Answer<'cpu'>> {
    return this.ask({ type: 'cpu' }, 'cpu');
  }

  /** Ends the contender; the process can start another. */
  async close(): Promise<void> {
    await this.ask({ type: 'close' }, 'closed');
  }

  async stop(): Promise<void> {
    if (this.child.connected) this.child.send({ type: 'stop' } satisfies ToContender);
    await this.exited;
  }

  private async ask<Type extends FromContender['type']>(message: ToContender, type: Type): Promise<Answer<Type>> {
    await this.said;
    const answer = this.heard(type);
    this.said = answer.catch(() => undefined);
    this.child.send(message);
    return answer;
  }

  private heard<Type extends FromContender['type']>(type: Type): Promise<Answer<Type>> {
    return new Promise((resolve, reject) => {
      const settle = (act: () => void) => {
        clearTimeout(late);
        this.child.off('message', hear).off('exit', gone);
        act();
      };
      const hear = (message: FromContender) =>
        settle(() =>
          message.type === type
            ? resolve(message as Answer<Type>)
            : reject(new Error(message.type === 'failed' ? message.message : `A contender said ${message.type}.`)),
        );
      const gone = (code: unknown) => settle(() => reject(new Error(`A contender ended with ${String(code)}.`)));
      const late = setTimeout(() => settle(() => reject(new Error(`A contender was silent: ${type}.`))), PATIENCE_MS);
      this.child.on('message', hear).on('exit', gone);
    });
  }
}
