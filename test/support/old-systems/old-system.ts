import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';

/** An account of the old system, and what its browser or client keeps. */
export interface OldLogin {
  readonly id: string;
  readonly email: string;
  readonly cookie: string;
  readonly token: string;
}

/**
 * Runs the real libraries of an old system, which the benchmarks have installed, in a process of its own: imports in a
 * program from an argument are looked up from the folder that it runs in.
 */
export async function oldSystem(name: string, settings: object): Promise<OldLogin[]> {
  const program = readFileSync(`test/support/old-systems/${name}.js`, 'utf8');
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', program], {
    cwd: 'bench',
    env: { ...process.env, NODE_OPTIONS: '', NODE_NO_WARNINGS: '1', OLD_SYSTEM: JSON.stringify(settings) },
    timeout: 60_000,
  });
  return JSON.parse(stdout) as OldLogin[];
}
