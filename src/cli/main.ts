#!/usr/bin/env node
import { run } from './run.js';

// A reader that has seen enough (`| head`) is no fault.
process.stdout.on('error', () => {});
const written: Promise<unknown>[] = [];
const to = (stream: NodeJS.WriteStream) => (text: string) =>
  void written.push(new Promise((resolve) => stream.write(text, resolve)));
const exitCode = await run(process.argv.slice(2), process.env, { out: to(process.stdout), err: to(process.stderr) });
await Promise.all(written);
// A connection that the host's configuration has opened must not keep a finished command.
process.exit(exitCode);
