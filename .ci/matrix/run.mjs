// Runs the rows of rows.mjs, two at a time, each in a folder and on a database of its own: `node .ci/matrix/run.mjs`, or with
// names of rows, which brings those that they come after. TARBALL names the packed package, or `dist` is packed. Prints
// what each row took; of one that failed, the end of its log. KEEP=1 leaves the folders.
import { execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import pg from 'pg';
import { startEmbeddedPostgres } from '../../dist/testing/index.js';
import { rows } from './rows.mjs';

for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1));

const AT_A_TIME = 2;
const TIMEOUT_MS = 900_000;
const work = mkdtempSync(join(tmpdir(), 'matrix-'));
const project = resolve(import.meta.dirname, '../..');

const wanted = new Set();
function want(name) {
  const row = rows.find((row) => row.name === name);
  if (!row) throw new Error(`There is no row ${name}.`);
  wanted.add(row);
  row.after?.forEach(want);
}
(process.argv.length > 2 ? process.argv.slice(2) : rows.map(({ name }) => name)).forEach(want);

const tarball = process.env['TARBALL'] ? resolve(process.env['TARBALL']) : join(work, pack());
function pack() {
  const args = ['pack', '--ignore-scripts', '--silent', '--pack-destination', work];
  return execFileSync('npm', args, { cwd: project, encoding: 'utf8' }).trim();
}

const postgres = await startEmbeddedPostgres({ settings: { fsync: 'off', max_connections: '200' } });
const client = new pg.Client(postgres.url);
await client.connect();

async function run({ name, run }) {
  const folder = join(work, name);
  mkdirSync(folder);
  await client.query(`create database "${name}"`);
  const log = openSync(`${folder}.log`, 'w');
  const env = {
    ...process.env,
    CI: 'true',
    PROJECT: project,
    WORK: work,
    ROW: folder,
    TARBALL: tarball,
    DATABASE_URL: postgres.urlOf(name),
    AUTH_SECRET: randomBytes(48).toString('base64url'),
    npm_config_prefer_offline: 'true',
    npm_config_fund: 'false',
    npm_config_audit: 'false',
    npm_config_update_notifier: 'false',
  };
  const script = `trap 'times >"$ROW.times"' EXIT\n. "$PROJECT/.ci/matrix/steps.sh"\nset -x\n${run}`;
  const started = Date.now();
  // A group of its own, so that nothing of it is left when it takes too long.
  const row = spawn('bash', ['-c', script], { cwd: folder, env, detached: true, stdio: ['ignore', log, log] });
  const end = () => process.kill(-Number(row.pid));
  const timeout = setTimeout(end, TIMEOUT_MS);
  process.once('exit', end);
  const code = await new Promise((resolve) => row.once('exit', (code, signal) => resolve(code ?? signal)));
  clearTimeout(timeout);
  process.off('exit', end);
  return { code, seconds: (Date.now() - started) / 1_000, processor: processorSeconds(`${folder}.times`) };
}

/** Of the shell and of what it has waited for. */
function processorSeconds(file) {
  try {
    const times = readFileSync(file, 'utf8').matchAll(/(\d+)m([\d.]+)s/g);
    return [...times].reduce((sum, [, minutes, seconds]) => sum + Number(minutes) * 60 + Number(seconds), 0);
  } catch {
    return NaN; // killed
  }
}

const waiting = rows.filter((row) => wanted.has(row));
const passed = new Set();
const failed = [];
const running = new Set();
const began = Date.now();
let processor = 0;

async function report(row) {
  const result = await run(row);
  processor += result.processor;
  const took = `${result.seconds.toFixed(0)} s, ${result.processor.toFixed(0)} s of processor time`;
  if (result.code === 0) {
    passed.add(row.name);
    console.log(`passed  ${row.name} (${took})`);
  } else {
    failed.push(row.name);
    console.log(`FAILED  ${row.name} (${took}): ${result.code}`);
    console.log(
      readFileSync(join(work, `${row.name}.log`), 'utf8')
        .split('\n')
        .slice(-80)
        .join('\n'),
    );
  }
}

while (waiting.length > 0 || running.size > 0) {
  const ready = ({ after = [] }) => after.every((name) => passed.has(name));
  const next = running.size < AT_A_TIME ? waiting.findIndex(ready) : -1;
  if (next >= 0) {
    const [row] = waiting.splice(next, 1);
    const done = report(row).finally(() => running.delete(done));
    running.add(done);
  } else if (running.size > 0) {
    await Promise.race(running);
  } else {
    break; // what is left comes after a row that failed
  }
}

await client.end();
await postgres.stop();
if (process.env['KEEP']) console.log(`Kept: ${work}`);
else rmSync(work, { recursive: true });
for (const { name, after } of waiting) console.log(`NOT RUN ${name}, which comes after ${after.join(', ')}`);
const seconds = ((Date.now() - began) / 1_000).toFixed(0);
console.log(
  `${passed.size} rows passed, ${failed.length} failed, ${waiting.length} not run: ${seconds} s, ${processor.toFixed(0)} s of processor time`,
);
process.exitCode = passed.size === wanted.size ? 0 : 1;
