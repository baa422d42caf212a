#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { parseEnv } from 'node:util';
import { passwordInput } from './password-input.js';
import { run } from './run.js';

// The variables of `.env` here, as the application reads them in development; those of the environment win. Which code
// is run is no matter of a file that comes with the folder.
try {
  const { LATCHKEY_CONFIG: _, ...variables } = parseEnv(readFileSync('.env', 'utf8'));
  Object.assign(process.env, { ...variables, ...process.env });
} catch {
  // There is none, or it is not for us to read.
}

// A reader that stops early (`| head`) is not an error.
process.stdout.on('error', () => {});
const written: Promise<unknown>[] = [];
const to = (stream: NodeJS.WriteStream) => (text: string) =>
  void written.push(new Promise((resolve) => stream.write(text, resolve)));
const exitCode = await run(process.argv.slice(2), process.env, {
  out: to(process.stdout),
  err: to(process.stderr),
  input: passwordInput(process.stdin, process.stderr),
});
await Promise.all(written);
// A connection opened by the application's configuration must not keep a finished command running.
process.exit(exitCode);
