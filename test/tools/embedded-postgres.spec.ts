import { fork } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { startEmbeddedPostgres } from 'nestjs-latchkey/testing';
import { withClient } from '../support/test-server.js';

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

function newFolder(mode?: number): string {
  const folder = mkdtempSync(join(tmpdir(), 'embedded-'));
  folders.push(folder);
  const inner = join(folder, 'inner');
  mkdirSync(inner, { mode });
  return inner;
}

const ask = (url: string, sql: string) =>
  withClient(url, async (client) => (await client.query(sql)).rows as unknown[]);

describe('startEmbeddedPostgres', () => {
  it('is a PostgreSQL 18 on a free port, with citext; `stop` deletes a temporary folder and can be repeated', async () => {
    const postgres = await startEmbeddedPostgres();
    expect(await ask(postgres.url, "SELECT current_setting('server_version_num')::int / 10000 AS major")).toEqual([
      { major: 18 },
    ]);
    await ask(postgres.url, 'CREATE EXTENSION citext');
    await postgres.stop();
    await postgres.stop();
    expect(existsSync(postgres.dataDirectory)).toBe(false);
    expect(() => process.kill(postgres.pid, 0)).toThrow(/ESRCH/);
  });

  it('H36: one that does not start leaves no folder behind', async () => {
    const before = process.env['TMPDIR'];
    const own = mkdtempSync(join(tmpdir(), 'embedded-'));
    folders.push(own);
    chmodSync(own, 0o777);
    process.env['TMPDIR'] = own;
    try {
      await expect(startEmbeddedPostgres({ settings: { shared_buffers: 'nonsense' } })).rejects.toThrow(
        /shared_buffers/,
      );
      expect(readdirSync(own).filter((name) => name.includes('data'))).toEqual([]);
    } finally {
      if (before === undefined) delete process.env['TMPDIR'];
      else process.env['TMPDIR'] = before;
    }
  });

  it('keeps the data of a given folder, also of one in a folder that only its owner can enter', async () => {
    const dataDirectory = join(newFolder(0o700), 'data');
    const first = await startEmbeddedPostgres({ dataDirectory });
    folders.push(first.dataDirectory);
    await ask(first.url, 'CREATE TABLE kept (n int)');
    await first.stop();
    const second = await startEmbeddedPostgres({ dataDirectory });
    expect(await ask(second.url, 'SELECT * FROM kept')).toEqual([]);
    expect(second.url.replace(/:\d+\//, '/')).toBe(first.url.replace(/:\d+\//, '/'));
    await second.stop();
  });

  it('refuses a folder that a running server uses, and says which', async () => {
    const dataDirectory = join(newFolder(), 'data');
    const postgres = await startEmbeddedPostgres({ dataDirectory });
    folders.push(postgres.dataDirectory);
    // Each look at the time is a minute after the last: no patience with the server that is in use.
    let time = 0;
    jest.spyOn(performance, 'now').mockImplementation(() => (time += 60_000));
    const refused = startEmbeddedPostgres({ dataDirectory });
    await expect(refused).rejects.toThrow(`pid ${postgres.pid}`);
    jest.restoreAllMocks();
    await postgres.stop();
  }, 20_000);

  it.each(['SIGKILL', 'SIGTERM', 'SIGINT'] as const)('leaves no server when its process gets %s', async (signal) => {
    const child = fork('test/support/embedded-postgres.main.ts', {
      execArgv: ['--import', './test/support/register.js'],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    const [{ pid, dataDirectory }] = (await once(child, 'message')) as [{ pid: number; dataDirectory: string }];
    folders.push(dataDirectory);
    expect(process.kill(pid, 0)).toBe(true);
    child.kill(signal);
    await once(child, 'exit');
    await expect(goneWithin(pid, 10_000)).resolves.toBe(true);
  });
});

async function goneWithin(pid: number, ms: number): Promise<boolean> {
  for (const deadline = performance.now() + ms; performance.now() < deadline;) {
    try {
      process.kill(pid, 0);
    } catch {
      return true;
    }
    await new Promise((resume) => setImmediate(resume));
  }
  return false;
}
