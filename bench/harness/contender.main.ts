import 'reflect-metadata';
import type { FromContender, Running, Sample, Start, ToContender } from './contender.js';

// The process that one contender runs in. See BenchProcess.

let running: Running | undefined;
/** With --expose-gc memory is what is still in use, not what happens to lie around. */
const { gc: collect } = globalThis as { gc?: () => void };

process.on('message', (message: ToContender) => {
  if (message.type === 'stop') process.exit();
  answer(message).then(tell, (error: unknown) => tell({ type: 'failed', message: textOf(error) }));
});
process.on('disconnect', () => process.exit());
tell({ type: 'ready' });

async function answer(message: Exclude<ToContender, { type: 'stop' }>): Promise<FromContender> {
  switch (message.type) {
    case 'start': {
      const { [message.name]: start } = (await import(message.module)) as Record<string, Start<unknown> | undefined>;
      if (!start) throw new Error(`${message.module} exports no ${message.name}.`);
      running = await start(message.args);
      return { type: 'started', hello: running.hello };
    }
    case 'measure':
      await measure(message.warmUpMs);
      return { type: 'measured', sample: await measure(message.ms) };
    case 'call': {
      const call = running?.calls?.[message.name] as ((args: unknown) => Promise<unknown>) | undefined;
      if (!call) throw new Error(`This contender has no ${message.name}.`);
      return { type: 'called', result: await call(message.args) };
    }
    case 'cpu': {
      collect?.();
      const { rss, heapUsed } = process.memoryUsage();
      return { type: 'cpu', micros: cpuMicros(), rss, heap: heapUsed };
    }
    default:
      await running?.close?.();
      return { type: 'closed' };
  }
}

async function measure(ms: number): Promise<Sample> {
  const { work, concurrency, operations = Infinity } = running!;
  if (!work) throw new Error('This contender is measured from outside.');
  await running!.prepare?.();
  let done = 0;
  const cpu = cpuMicros();
  const began = performance.now();
  const until = operations === Infinity ? began + ms : Infinity;
  if (concurrency === undefined) {
    for (; performance.now() < until; done += 100) for (let i = 0; i < 100; i++) work();
  } else {
    await Promise.all(
      Array.from({ length: concurrency }, async () => {
        while (done < operations && performance.now() < until) {
          // What needs no round trip must still let the clock and the others have their turn.
          for (let i = 0; i < 10 && done < operations; i++) {
            done++;
            await work();
          }
          await new Promise(setImmediate);
        }
      }),
    );
  }
  return {
    perSecond: done / ((performance.now() - began) / 1000),
    cpuMicros: (cpuMicros() - cpu) / Math.max(1, done),
  };
}

function cpuMicros(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

function tell(message: FromContender): void {
  process.send?.(message);
}

function textOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
