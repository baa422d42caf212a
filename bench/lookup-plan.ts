/* oxlint-disable no-console */
// How PostgreSQL finds a session among 1,000,000: `node --import ./test/support/register.js bench/lookup-plan.ts [rows]`
import { createHash } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import { authEntities, authMigrations } from 'nestjs-latchkey';
import { startEmbeddedPostgres } from 'nestjs-latchkey/testing';
import { DataSource } from 'typeorm';
import { FIND_WITH_USER } from '../src/session/typeorm-session.store.js';

const rows = Number(process.argv[2] ?? 1_000_000);
const postgres = await startEmbeddedPostgres({ settings: { shared_buffers: '512MB', max_wal_size: '4GB' } });
try {
  const db = await new DataSource({
    type: 'postgres',
    url: postgres.url,
    entities: authEntities,
    migrations: authMigrations,
    migrationsRun: true,
  }).initialize();
  await db.query(
    `INSERT INTO users (email, password_hash) SELECT 'user' || n || '@example.com', 'x' FROM generate_series(1, 10000) n`,
  );
  await db.query(
    `WITH numbered AS (SELECT id, row_number() OVER () AS number FROM users)
     INSERT INTO sessions (id, user_id, expires_at, authenticated_at, last_seen_at, absolute_expires_at)
     SELECT encode(sha256(i::text::bytea), 'hex'), u.id, now() + interval '30 days', now(), now(), now() + interval '90 days'
     FROM generate_series(1, $1::int) i JOIN numbered u ON u.number = 1 + i % 10000`,
    [rows],
  );
  await db.query('VACUUM ANALYZE');

  const idOf = (n: number) => createHash('sha256').update(String(n)).digest('hex');
  await db.query(`PREPARE find AS ${FIND_WITH_USER.text}`);
  const plan = await db.query<{ 'QUERY PLAN': string }[]>(`EXPLAIN (ANALYZE, BUFFERS) EXECUTE find('${idOf(7)}')`);
  const lines = plan.map((line) => line['QUERY PLAN']);
  console.log(`${rows.toLocaleString('en')} sessions, 10,000 users\n`);
  console.log(lines.join('\n'));

  const pool = (db.driver as unknown as { master: { query(query: object): Promise<unknown> } }).master;
  const times: number[] = [];
  for (let i = 0; i < 5_000; i++) {
    const start = performance.now();
    await pool.query({ ...FIND_WITH_USER, values: [idOf(1 + Math.floor(Math.random() * rows))] });
    times.push(performance.now() - start);
  }
  times.sort((a, b) => a - b);
  const percentile = (p: number) => `${Math.round(times[Math.floor(times.length * p)]! * 1000)} us`;
  console.log(`\nprepared lookup, one connection: p50 ${percentile(0.5)}, p99 ${percentile(0.99)}`);

  await db.destroy();
  if (!lines.some((line) => line.includes('sessions_pkey')) || lines.some((line) => line.includes('Seq Scan'))) {
    throw new Error('The lookup does not use the primary key.');
  }
} finally {
  await postgres.stop();
}
