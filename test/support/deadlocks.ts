import { Client } from 'pg';
import type { TestDatabase } from './database.js';

/** How many deadlocks this database has had, as far as its backends have told: each does at the latest when it ends. */
export async function deadlocksOf(db: TestDatabase): Promise<number> {
  const sql = 'SELECT deadlocks::int AS n FROM pg_stat_database WHERE datname = current_database()';
  return (await db.query<{ n: number }>(sql))[0]!.n;
}

/** How many backends there are of this `application_name`. */
export async function backendsOf(db: TestDatabase, applicationName: string): Promise<number> {
  const sql = 'SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND application_name = $1';
  return (await db.query(sql, [applicationName])).length;
}

/** Two transactions that wait for each other. */
export async function provokeDeadlock(url: string): Promise<void> {
  const clients = [new Client({ connectionString: url }), new Client({ connectionString: url })] as const;
  try {
    for (const [i, client] of clients.entries()) {
      await client.connect();
      await client.query("SET deadlock_timeout = '10ms'");
      await client.query('BEGIN');
      await client.query('SELECT pg_advisory_xact_lock($1)', [i]);
    }
    await Promise.allSettled(clients.map((client, i) => client.query('SELECT pg_advisory_xact_lock($1)', [1 - i])));
  } finally {
    for (const client of clients) await client.end();
  }
}
