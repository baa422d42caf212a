import { once } from 'node:events';
import { spawn, spawnSync } from 'node:child_process';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect, createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A PgBouncer of ours, on loopback, before the test server. */
export interface PgBouncer {
  /** The same database, through it. */
  url(databaseUrl: string): string;
  stop(): Promise<void>;
}

export interface PgBouncerSettings {
  readonly mode: 'transaction' | 'session';
  /** Connections to the server for each database. */
  readonly poolSize: number;
}

/** For the server of this address, whatever the database. */
export async function startPgBouncer(server: string, { mode, poolSize }: PgBouncerSettings): Promise<PgBouncer> {
  if (spawnSync('pgbouncer', ['--version']).status !== 0) {
    throw new Error('pgbouncer is not installed: apt-get install pgbouncer, or its like.');
  }
  const { hostname, port: target, username, password } = new URL(server);
  const port = await freePort();
  const folder = await mkdtemp(join(tmpdir(), 'latchkey-pgbouncer-'));
  const settings = join(folder, 'pgbouncer.ini');
  await writeFile(
    settings,
    `[databases]
* = host=${hostname} port=${target} user=${decodeURIComponent(username)} password=${decodeURIComponent(password)}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = ${mode}
default_pool_size = ${poolSize}
max_client_conn = 200
ignore_startup_parameters = extra_float_digits,options
`,
  );
  // It refuses to run as root.
  await chmod(folder, 0o755);
  const asRoot = process.getuid?.() === 0 ? ['-u', 'nobody'] : [];
  const child = spawn('pgbouncer', ['-q', ...asRoot, settings], { stdio: 'ignore' });
  await listening(port, () => child.exitCode !== null);
  return {
    url: (databaseUrl) => {
      const url = new URL(databaseUrl);
      url.hostname = '127.0.0.1';
      url.port = String(port);
      return url.href;
    },
    stop: async () => {
      if (child.exitCode === null && child.signalCode === null) {
        const exit = once(child, 'exit');
        child.kill('SIGKILL');
        await exit;
      }
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function listening(port: number, hasEnded: () => boolean): Promise<void> {
  for (;;) {
    if (hasEnded()) throw new Error('pgbouncer ended at its start.');
    const socket = connect(port, '127.0.0.1');
    const opened = await once(socket, 'connect').then(
      () => true,
      () => false,
    );
    socket.destroy();
    if (opened) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
