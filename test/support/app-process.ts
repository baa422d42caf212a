import { fork } from 'node:child_process';
import { once } from 'node:events';

/** The demo's AppModule in a process of its own, as a second instance of a deployment. */
export interface AppProcess {
  readonly url: string;
  readonly pid: number;
  createUser(email: string, password: string): Promise<void>;
  stop(): Promise<void>;
}

export async function startAppProcess(databaseUrl: string): Promise<AppProcess> {
  const child = fork('test/support/app-process.main.ts', {
    execArgv: ['--import', './test/support/register.js'],
    env: { ...process.env, DATABASE_URL: databaseUrl, AUTH_SECRET: 'a test secret that is long enough: 0123456789' },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const reply = async <T>(): Promise<T> => {
    const [message] = (await Promise.race([
      once(child, 'message'),
      once(child, 'exit').then(([code]) => {
        throw new Error(`The app process ended with code ${code}.`);
      }),
    ])) as [T];
    return message;
  };
  const { url } = await reply<{ url: string }>();
  return {
    url,
    pid: child.pid!,
    createUser: async (email, password) => {
      child.send({ email, password });
      await reply();
    },
    stop: async () => {
      child.kill('SIGTERM');
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    },
  };
}
