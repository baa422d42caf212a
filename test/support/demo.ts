import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createTestDatabase } from './database.js';
import { freePort } from './free-port.js';

/** `npm start`, on a database of its own. */
export interface Demo {
  readonly port: number;
  /** What it has printed until now. */
  readonly printed: string;
  stop(): Promise<void>;
}

export async function startDemo(adapter?: 'express' | 'fastify'): Promise<Demo> {
  const db = await createTestDatabase();
  const port = await freePort();
  const demo = spawn('node', ['--import', './test/support/register.js', 'test/app/main.ts'], {
    env: {
      ...process.env,
      NODE_OPTIONS: '',
      DATABASE_URL: db.url,
      PORT: String(port),
      HOST: undefined,
      ADAPTER: adapter,
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(demo, 'exit');
  const stop = async () => {
    demo.kill();
    await exited;
    await db.drop();
  };
  let printed = '';
  demo.stdout.setEncoding('utf8');
  const isReady = new Promise<boolean>((resolve) => {
    // Read on afterwards: it prints its mail.
    demo.stdout.on('data', (chunk: string) => {
      printed += chunk;
      if (printed.includes('Ctrl-C stops it.')) resolve(true);
    });
    demo.stdout.once('end', () => resolve(false));
  });
  if (await isReady) {
    return {
      port,
      get printed() {
        return printed;
      },
      stop,
    };
  }
  await stop();
  throw new Error(`The demo has ended: ${printed}`);
}
