#!/usr/bin/env node
import { run } from './run.js';

// A reader that has seen enough (`| head`) is no fault.
process.stdout.on('error', () => {});
process.exitCode = await run(process.argv.slice(2), process.env, {
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
});
