import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from '@jest/globals';

const PROJECT = fileURLToPath(new URL('../../', import.meta.url));
const SCENARIOS = readdirSync(join(PROJECT, 'bench/scenarios'))
  .filter((file) => file.endsWith('.scenario.ts'))
  .map((file) => file.slice(0, -'.scenario.ts'.length));
/** A contender that is silent for ten minutes is reported by the bench itself, with its name. */
const MAX_MS = 900_000;

let folder: string;
let said = '';
let code: unknown;

// All in one run, which starts PostgreSQL once. It fails where a contender answers something else than it should.
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'latchkey-bench-'));
  const bench = spawn(
    process.execPath,
    ['--import', './test/support/register.js', 'bench/run.ts', '--smoke', '--out', folder],
    { cwd: PROJECT, env: { ...process.env, NODE_OPTIONS: '' }, stdio: ['ignore', 'pipe', 'pipe'] },
  );
  for (const stream of [bench.stdout, bench.stderr]) stream.on('data', (chunk) => (said += String(chunk)));
  [code] = await once(bench, 'exit');
}, MAX_MS);

afterAll(() => rm(folder, { recursive: true, force: true }));

it('every contender of every benchmark does its job', () => {
  expect({ code, said: code === 0 ? '' : said }).toEqual({ code: 0, said: '' });
});

it.each(SCENARIOS)('bench %s has a figure for every contender and a verdict on every goal', (name) => {
  const { tables, goals } = JSON.parse(readFileSync(join(folder, `${name}.json`), 'utf8')) as {
    tables: { columns: string[]; rows: { name: string; cells: Record<string, unknown> }[] }[];
    goals: { claim: string; value: unknown }[];
  };
  for (const { columns, rows } of tables) {
    expect(rows.length).toBeGreaterThan(0);
    for (const { cells } of rows) {
      expect(Object.keys(cells).length).toBeGreaterThan(0);
      expect(columns).toEqual(expect.arrayContaining(Object.keys(cells)));
    }
  }
  for (const { value } of goals) expect(value).toEqual(expect.any(Number));
});
