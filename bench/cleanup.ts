/* oxlint-disable no-console */
import { availableParallelism, cpus } from 'node:os';
import { setTimeout as wait } from 'node:timers/promises';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { getDataSourceToken, TypeOrmModule } from '@nestjs/typeorm';
import { authEntities, authMigrations, AuthModule, CleanupService, SessionService } from 'nestjs-latchkey';
import { startEmbeddedPostgres } from 'nestjs-latchkey/testing';
import type { DataSource } from 'typeorm';
import { CleanupTurn } from '../src/cleanup/cleanup-turn.js';

// What lookups, and logins and "log out everywhere" of the same users, feel of a cleanup:
// `node --import ./test/support/register.js bench/cleanup.ts [expired sessions] [live sessions] [users]`
// Durable commits, everything on this machine.

const [expired = 1_000_000, live = expired, users = 50_000] = process.argv.slice(2).map(Number);
const LOOKUPS = 4;
const WRITERS = 2;
const IDLE_MS = 15_000;
/** Between two of one client: a server that is busy, not one that is drowned. */
const PAUSE_MS = 2;

interface Load {
  lookups: number[];
  writes: number[];
  /** The same of users who have nothing that is over: what the machine alone does to them. */
  control: number[];
}

const postgres = await startEmbeddedPostgres({ settings: { shared_buffers: '512MB', max_wal_size: '4GB' } });
try {
  @Module({
    imports: [
      TypeOrmModule.forRoot({
        type: 'postgres',
        url: postgres.url,
        entities: authEntities,
        migrations: authMigrations,
        migrationsRun: true,
        poolSize: 16,
      }),
      AuthModule.forRoot({
        secrets: ['the benchmark protects nothing: 0123456789'],
        session: { maxPerUser: 10_000 },
        cleanup: { enabled: false },
      }),
    ],
  })
  class BenchModule {}
  const app = await NestFactory.createApplicationContext(BenchModule, { logger: ['error'] });
  const db = app.get<DataSource>(getDataSourceToken());
  const sessions = app.get(SessionService);

  const count = (n: number) => n.toLocaleString('en');
  console.log(`${count(expired)} expired of ${count(expired + live)} sessions, ${count(users)} users`);
  console.log(`Node ${process.version}, ${availableParallelism()} cores, ${cpus()[0]?.model}`);
  await db.query(
    `INSERT INTO users (email, password_hash) SELECT 'user' || n || '@example.com', 'x' FROM generate_series(1, $1::int) n`,
    [users],
  );
  const fill = (rows: number, name: string, expiry: string) =>
    db.query(
      `WITH numbered AS (SELECT id, row_number() OVER () AS number FROM users)
       INSERT INTO sessions (id, user_id, created_at, expires_at, authenticated_at, last_seen_at, absolute_expires_at)
       SELECT encode(sha256(($3 || i)::bytea), 'hex'), u.id, now() - interval '40 days', ${expiry},
         now() - interval '40 days', now() - interval '40 days', now() + interval '50 days'
       FROM generate_series(1, $1::int) i JOIN numbered u ON u.number = 1 + i % $2`,
      [rows, users, name],
    );
  await fill(expired, 'expired', "now() - interval '1 hour' - random() * interval '10 days'");
  await fill(live, 'live', "now() + interval '1 hour' + random() * interval '10 days'");
  const accounts = (await db.query<{ id: string }[]>('SELECT id FROM users ORDER BY id')).map(({ id }) => id);
  const others = (
    await db.query<{ id: string }[]>(
      `INSERT INTO users (email, password_hash)
       SELECT 'other' || n || '@example.com', 'x' FROM generate_series(1, 5000) n RETURNING id`,
    )
  ).map(({ id }) => id);
  const tokens: string[] = [];
  for (let i = 0; i < 2_000; i++) tokens.push((await sessions.create(accounts[i]!)).token);
  await db.query('VACUUM ANALYZE');
  await db.query('CHECKPOINT');

  const one = <T>(list: readonly T[]) => list[Math.floor(Math.random() * list.length)]!;
  const timed = async (into: number[], work: () => Promise<unknown>) => {
    const began = performance.now();
    await work();
    into.push(performance.now() - began);
  };
  const withExpired = accounts.slice(2_000);
  const during = async (finished: () => boolean): Promise<Load> => {
    const load: Load = { lookups: [], writes: [], control: [] };
    const look = async () => {
      while (!finished()) {
        await timed(load.lookups, () => sessions.lookup(one(tokens)));
        await wait(PAUSE_MS);
      }
    };
    // Their expired rows are among those that the cleanup is deleting.
    const write = async (into: number[], userIds: readonly string[]) => {
      while (!finished()) {
        const userId = one(userIds);
        await timed(into, () => sessions.create(userId));
        await timed(into, () => sessions.revokeAllForUser(userId));
        await wait(PAUSE_MS);
      }
    };
    await Promise.all([
      ...Array.from({ length: LOOKUPS }, look),
      ...Array.from({ length: WRITERS }, () => write(load.writes, withExpired)),
      ...Array.from({ length: WRITERS }, () => write(load.control, others)),
    ]);
    return load;
  };
  const until = performance.now() + 3_000;
  await during(() => performance.now() > until);

  const idleUntil = performance.now() + IDLE_MS;
  const idle = await during(() => performance.now() > idleUntil);
  const holds: number[] = [];
  const turn = app.get(CleanupTurn);
  const take = turn.take.bind(turn);
  turn.take = async (batch) => {
    let began = 0;
    const result = await take(() => {
      began = performance.now();
      return batch();
    });
    holds.push(performance.now() - began);
    return result;
  };
  let done = false;
  const cleaning = app
    .get(CleanupService)
    .runOnce()
    .finally(() => (done = true));
  const busy = await during(() => done);
  const report = await cleaning;
  const rate = count(Math.round(report.sessions / (report.tookMs / 1000)));
  console.log(`removed ${count(report.sessions)} in ${(report.tookMs / 1000).toFixed(1)} s (${rate}/s)`);
  print('lookup', idle.lookups, busy.lookups);
  print('login, log out everywhere', idle.writes, busy.writes);
  print('the same, of others', idle.control, busy.control);
  const hold = (share: number) => `${at(holds, share).toFixed(1)} ms`;
  console.log(`  a batch holds its rows: p50 ${hold(0.5)}, p99 ${hold(0.99)}, worst ${hold(1)} (${holds.length})`);
  const ratio = at(busy.lookups, 0.99) / at(idle.lookups, 0.99);
  verdict(`lookup p99 ${ratio.toFixed(2)} x of idle (goal 2)`, ratio <= 2);
  const longest = at(holds, 1);
  verdict(`longest hold ${longest.toFixed(0)} ms (goal 150)`, longest <= 150);

  const [left] = await db.query<{ dead: string }[]>(
    "SELECT count(*) AS dead FROM sessions WHERE expires_at < now() - interval '10 minutes'",
  );
  verdict(`${left!.dead} expired sessions left`, Number(left!.dead) === 0);
  await app.close();
} finally {
  await postgres.stop();
}

function at(times: number[], share: number): number {
  const sorted = times.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!;
}

function print(name: string, idle: number[], busy: number[]): void {
  for (const [when, times] of Object.entries({ idle, cleaning: busy })) {
    const [p50, p99, worst] = [0.5, 0.99, 1].map((share) => `${at(times, share).toFixed(2)} ms`);
    console.log(`  ${name}, ${when}: p50 ${p50}, p99 ${p99}, worst ${worst} (${times.length})`);
  }
}

function verdict(what: string, holds: boolean): void {
  console.log(`  ${what}: ${holds ? 'ok' : 'MISSED'}`);
}
