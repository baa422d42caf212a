import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from '../../src/cli/run.js';

export interface Ran {
  readonly status: number | null;
  readonly out: string;
  readonly err: string;
}

/** `nestjs-latchkey …` in this process: what `main.ts` does with it, without its second and a half to start. */
export async function latchkey(args: readonly string[], env: Record<string, string> = {}): Promise<Ran> {
  let out = '';
  let err = '';
  const status = await run(args, env, { out: (text) => void (out += text), err: (text) => void (err += text) });
  return { status, out, err };
}

/** `nestjs-latchkey …` from the sources, as a process of its own. */
export function latchkeyProcess(args: readonly string[], env: Record<string, string> = {}): Promise<Ran> {
  const { DATABASE_URL: _1, LATCHKEY_CONFIG: _2, ...inherited } = process.env;
  const child = spawn(process.execPath, ['--import', './test/support/register.js', 'src/cli/main.ts', ...args], {
    env: { ...inherited, NODE_OPTIONS: '', NODE_NO_WARNINGS: '1', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 120_000,
  });
  let out = '';
  let err = '';
  child.stdout.on('data', (chunk) => (out += String(chunk)));
  child.stderr.on('data', (chunk) => (err += String(chunk)));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status) => resolve({ status, out, err }));
  });
}

/** A file for `--config` whose default export is this expression; `remove` it. */
export function configFile(expression: string): { path: string; remove: () => void } {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-config-'));
  const path = join(folder, 'auth.options.mjs');
  writeFileSync(path, `export default ${expression};\n`);
  return { path, remove: () => rmSync(folder, { recursive: true }) };
}
