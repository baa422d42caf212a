/* oxlint-disable no-console */
import { randomBytes } from 'node:crypto';
import { createRequire } from 'node:module';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { TypeOrmModule } from '@nestjs/typeorm';
import {
  authEntities,
  authMigrations,
  AuthModule,
  EphemeralTokenService,
  minutes,
  RateLimitService,
  type RateLimitEvent,
} from 'nestjs-latchkey';
import { startEmbeddedPostgres } from 'nestjs-latchkey/testing';
import { Client, Pool } from 'pg';

// npm install --prefix bench, then: node --import ./test/support/register.js bench/limits.ts [stored events …]
// Durable commits, everything on this machine; medians of alternating rounds, so that a slow minute hits all alike.

const CONCURRENCY = 16;
const ROUNDS = Number(process.env['ROUNDS'] ?? 5);
const ROUND_MS = Number(process.env['ROUND_MS'] ?? 2000);
const SUBJECTS = 100_000;
const STORED = process.argv.length > 2 ? process.argv.slice(2).map(Number) : [10_000, 5_000_000];

interface Peer {
  consume(key: string): Promise<unknown>;
}
const { RateLimiterPostgres } = createRequire(import.meta.url)('rate-limiter-flexible') as {
  RateLimiterPostgres: new (options: object, ready: (error?: Error) => void) => Peer;
};

const postgres = await startEmbeddedPostgres({ settings: { shared_buffers: '512MB', max_wal_size: '4GB' } });
try {
  for (const stored of STORED) await measure(stored);
} finally {
  await postgres.stop();
}

async function measure(stored: number): Promise<void> {
  const database = `bench_${stored}`;
  const admin = new Client({ connectionString: postgres.url });
  await admin.connect();
  await admin.query(`CREATE DATABASE ${database}`);
  await admin.end();
  const url = postgres.urlOf(database);

  const remembering = await start(url, 10_000);
  const asking = await start(url, 0);
  const pool = new Pool({ connectionString: url, max: CONCURRENCY });
  pool.on('error', () => undefined);
  await pool.query(
    `INSERT INTO auth_rate_limit_events (username, event_type, occurred_at)
     SELECT 'stored ' || n % 500000, 'login_ip', now() - random() * interval '15 minutes' FROM generate_series(1, $1::int) n`,
    [stored],
  );
  const peer = await new Promise<Peer>((resolve, reject) => {
    const limiter = new RateLimiterPostgres(
      { storeClient: pool, points: 5, duration: 900, tableName: 'peer', clearExpiredByTimeout: false },
      (error) => (error ? reject(error) : resolve(limiter)),
    );
  });
  await pool.query(
    `INSERT INTO peer (key, points, expire)
     SELECT 'rlflx:stored ' || n, 1, 9999999999999 FROM generate_series(1, $1::int) n`,
    [Math.min(stored, 500_000)],
  );
  await pool.query('VACUUM ANALYZE');

  const event: RateLimitEvent = '2fa_attempt';
  const anybody = () => `subject ${Math.floor(Math.random() * SUBJECTS)}`;
  const ours = asking.get(RateLimitService);
  const shortcut = remembering.get(RateLimitService);
  for (let i = 0; i < 6; i++) {
    await ours.consume(event, 'blocked');
    await peer.consume('blocked').catch(() => undefined);
  }
  console.log(`\n${stored.toLocaleString('en')} stored events, concurrency ${CONCURRENCY}, decisions a second`);
  const limiter = await alternate({
    'rate-limiter-flexible, spread': () => peer.consume(anybody()).catch(() => undefined),
    'ours, spread': () => ours.consume(event, anybody()),
    'rate-limiter-flexible, blocked': () => peer.consume('blocked').catch(() => undefined),
    'ours, blocked, asking the database': () => ours.consume(event, 'blocked'),
    'ours, blocked, remembered': () => shortcut.consume(event, 'blocked'),
  });
  ratio(limiter, 'ours, spread', 'rate-limiter-flexible, spread', 0.85);
  ratio(limiter, 'ours, blocked, asking the database', 'rate-limiter-flexible, blocked', 4);
  ratio(limiter, 'ours, blocked, remembered', 'rate-limiter-flexible, blocked', 4);

  // Issued at once by SQL; the hash of 24 zero-padded counters.
  const tokens = asking.get(EphemeralTokenService);
  await pool.query('CREATE TABLE bare (token varchar(128) PRIMARY KEY, expires_at timestamptz NOT NULL)');
  const perRound = 8_000;
  const consumed: Record<string, number[]> = { 'bare DELETE … RETURNING through pg': [], 'ours, consume': [] };
  for (let round = 0; round < 2 * ROUNDS; round++) {
    const raw = Array.from({ length: perRound }, () => randomBytes(24));
    const spelt = raw.map((bytes) => bytes.toString('base64url'));
    const hashes = raw.map((bytes) => bytes.toString('hex'));
    const insert = (columns: string, values: string) =>
      `INSERT INTO auth_ephemeral_tokens (${columns}) SELECT ${values} FROM unnest($1::text[]) h`;
    await pool.query(
      insert(
        'token, token_type, nonce, expires_at',
        "encode(sha256(decode(h, 'hex')), 'hex'), 'slicer_download', 'archive:5', now() + interval '5 minutes'",
      ),
      [hashes],
    );
    const bare = hashes.map((hash) => `bare ${hash}`);
    await pool.query(
      insert('token, token_type, nonce, expires_at', "h, 'slicer_download', 'archive:5', now() + interval '5 minutes'"),
      [bare],
    );
    const remove = {
      name: 'bare',
      text: `DELETE FROM auth_ephemeral_tokens WHERE token = $1 AND token_type = $2 AND nonce = $3
        AND expires_at > to_timestamp($4) RETURNING nonce`,
    };
    const timed = async (name: string, work: (i: number) => Promise<unknown>) => {
      let next = 0;
      const began = performance.now();
      await Promise.all(
        Array.from({ length: CONCURRENCY }, async () => {
          while (next < perRound) if (!(await work(next++))) throw new Error('A token was not there.');
        }),
      );
      consumed[name]!.push(perRound / ((performance.now() - began) / 1000));
    };
    const turns = [
      () =>
        timed('bare DELETE … RETURNING through pg', async (i) => {
          const values = [bare[i], 'slicer_download', 'archive:5', Date.now() / 1000];
          return (await pool.query({ ...remove, values })).rows[0];
        }),
      () => timed('ours, consume', (i) => tokens.consume('slicer_download', spelt[i]!, 'archive:5')),
    ];
    for (const turn of round % 2 ? turns.toReversed() : turns) await turn();
  }
  const medians = Object.fromEntries(Object.entries(consumed).map(([name, rates]) => [name, median(rates)]));
  for (const [name, rate] of Object.entries(medians)) print(name, rate);
  ratio(medians, 'ours, consume', 'bare DELETE … RETURNING through pg', 0.9);

  await remembering.close();
  await asking.close();
  await pool.end();
}

function start(url: string, rememberedBlocks: number) {
  @Module({
    imports: [
      TypeOrmModule.forRoot({
        type: 'postgres',
        url,
        entities: authEntities,
        migrations: authMigrations,
        migrationsRun: true,
        poolSize: CONCURRENCY,
      }),
      AuthModule.forRoot({
        secrets: ['the benchmark protects nothing: 0123456789'],
        rateLimits: { rememberedBlocks, policies: { '2fa_attempt': { limit: 5, window: minutes(15) } } },
      }),
    ],
  })
  class BenchModule {}
  return NestFactory.createApplicationContext(BenchModule, { logger: ['error'] });
}

async function alternate(contenders: Record<string, () => Promise<unknown>>): Promise<Record<string, number>> {
  const rates: Record<string, number[]> = {};
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [name, work] of Object.entries(contenders)) {
      let done = 0;
      const began = performance.now();
      const until = began + (round === 0 ? 500 : ROUND_MS);
      await Promise.all(
        Array.from({ length: CONCURRENCY }, async () => {
          while (performance.now() < until) {
            // What needs no round trip must still let the clock and the others have their turn.
            for (let i = 0; i < 10; i++, done++) await work();
            await new Promise(setImmediate);
          }
        }),
      );
      if (round > 0) (rates[name] ??= []).push(done / ((performance.now() - began) / 1000));
    }
  }
  const medians = Object.fromEntries(Object.entries(rates).map(([name, all]) => [name, median(all)]));
  for (const [name, rate] of Object.entries(medians)) print(name, rate);
  return medians;
}

function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}

function print(name: string, rate: number): void {
  console.log(`  ${name.padEnd(42)} ${Math.round(rate).toLocaleString('en').padStart(10)}`);
}

function ratio(rates: Record<string, number>, ours: string, peer: string, goal: number): void {
  const value = rates[ours]! / rates[peer]!;
  console.log(`    ${ours} / ${peer}: ${value.toFixed(2)} (goal ${goal}) ${value >= goal ? 'ok' : 'MISSED'}`);
}
