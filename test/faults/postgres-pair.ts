import { spawnSync } from 'node:child_process';
import { appendFile, chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startEmbeddedPostgres, type EmbeddedPostgres } from 'nestjs-latchkey/testing';
import { until } from '../support/heard.js';
import { SETTINGS, withClient } from '../support/test-server.js';

/** A primary and its streaming standby, which has all that the primary has committed. */
export interface PostgresPair {
  readonly primary: EmbeddedPostgres;
  readonly standby: EmbeddedPostgres;
  /** Resolves when the standby has replayed all that is committed now. */
  caughtUp(): Promise<void>;
  /** The standby becomes a primary. */
  promote(): Promise<void>;
  remove(): Promise<void>;
}

export async function startPostgresPair(): Promise<PostgresPair> {
  const folder = await mkdtemp(join(tmpdir(), 'latchkey-pair-'));
  await chmod(folder, 0o755);
  const settings = { ...SETTINGS, wal_level: 'replica', max_wal_senders: '4' };
  const made = await startEmbeddedPostgres({ dataDirectory: join(folder, 'primary'), settings });
  await made.stop();
  const data = join(folder, 'standby');
  spawnSync('cp', ['-a', made.dataDirectory, data]);
  await writeFile(join(data, 'standby.signal'), '');
  const primary = await startEmbeddedPostgres({ dataDirectory: made.dataDirectory, port: made.port, settings });
  await appendFile(join(data, 'postgresql.auto.conf'), `primary_conninfo = '${primary.url}'\n`);
  const standby = await startEmbeddedPostgres({ dataDirectory: data, settings });
  const answerOf = async (url: string, sql: string, values: unknown[] = []) => {
    const { rows } = await withClient(url, (client) => client.query<{ answer: unknown }>(sql, values));
    return rows[0]!.answer;
  };
  return {
    primary,
    standby,
    caughtUp: async () => {
      const lsn = await answerOf(primary.url, 'SELECT pg_current_wal_flush_lsn() AS answer');
      const sql = 'SELECT pg_last_wal_replay_lsn() >= $1::pg_lsn AS answer';
      await until(async () => (await answerOf(standby.url, sql, [lsn])) === true);
    },
    promote: async () => {
      await answerOf(standby.url, 'SELECT pg_promote(true, 30) AS answer');
      await until(async () => (await answerOf(standby.url, 'SELECT pg_is_in_recovery() AS answer')) === false);
    },
    remove: async () => {
      for (const server of [standby, primary]) await server.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
