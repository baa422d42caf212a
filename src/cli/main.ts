#!/usr/bin/env node
import { run } from './run.js';

// A reader that stops early (`| head`) is not an error.
process.stdout.on('error', () => {});
const written: Promise<unknown>[] = [];
const to = (stream: NodeJS.WriteStream) => (text: string) =>
  void written.push(new Promise((resolve) => stream.write(text, resolve)));
const exitCode = await run(process.argv.slice(2), process.env, { out: to(process.stdout), err: to(process.stderr) });
await Promise.all(written);
// A connection opened by the application's configuration must not keep a finished command running.
process.exit(exitCode);
