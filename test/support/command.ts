import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { passwordInput } from '../../src/cli/password-input.js';
import { run } from '../../src/cli/run.js';

export interface Ran {
  readonly status: number | null;
  readonly out: string;
  readonly err: string;
}

/** `nestjs-latchkey …` in this process: what `main.ts` does with it, without its second and a half to start. */
export async function latchkey(
  args: readonly string[],
  env: Record<string, string> = {},
  stdin: NodeJS.ReadableStream & { isTTY?: boolean } = Readable.from([]),
): Promise<Ran> {
  let out = '';
  let err = '';
  const prompts = new Writable({ write: (chunk, _encoding, done) => ((err += String(chunk)), done()) });
  const status = await run(args, env, {
    out: (text) => void (out += text),
    err: (text) => void (err += text),
    input: passwordInput(stdin, prompts),
  });
  return { status, out, err };
}

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** `nestjs-latchkey …` from the sources, as a process of its own, in a folder and with what is typed. */
export function latchkeyProcess(
  args: readonly string[],
  env: Record<string, string> = {},
  { cwd = ROOT, stdin = '' }: { cwd?: string; stdin?: string } = {},
): Promise<Ran> {
  const { DATABASE_URL: _1, LATCHKEY_CONFIG: _2, ...inherited } = process.env;
  const program = ['--import', join(ROOT, 'test/support/register.js'), join(ROOT, 'src/cli/main.ts')];
  const child = spawn(process.execPath, [...program, ...args], {
    cwd,
    env: { ...inherited, NODE_OPTIONS: '', NODE_NO_WARNINGS: '1', ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
    timeout: 120_000,
  });
  child.stdin.on('error', () => {}); // It may end without having read.
  child.stdin.end(stdin);
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
export function configFile(expression: string, imports = ''): { path: string; remove: () => void } {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-config-'));
  const path = join(folder, 'auth.options.mjs');
  writeFileSync(path, `${imports}\nexport default ${expression};\n`);
  return { path, remove: () => rmSync(folder, { recursive: true }) };
}
