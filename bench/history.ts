/* oxlint-disable no-console */
import { setTimeout } from 'node:timers/promises';
import { seconds, type AuthOptions } from 'nestjs-latchkey';
import { startEmbeddedPostgres } from 'nestjs-latchkey/testing';
import { DataSource } from 'typeorm';
import { migrate } from '../test/support/database.js';
import { CACHED_PROMISE, cachedAuth, GRACE, GRACEFUL_PROMISE, PLAIN_PROMISE } from '../test/support/history/cached.js';
import { runHistory } from '../test/support/history/run-history.js';
import { violationsOf, type Promised } from '../test/support/history/violations.js';
import { startTcpProxy, type TcpProxy } from '../test/support/tcp-proxy.js';

// Three processes on one database do everything at once to 2,000 sessions; then every answer is checked:
// `node --import ./test/support/register.js bench/history.ts [seconds] [variant …]`. Exit code 1 when a variant is not
// as expected. The negative controls must be caught.

interface Variant {
  auth: Partial<AuthOptions>;
  promised: Promised;
  naiveCache?: number;
  /** The network of one of the processes is cut again and again. */
  cuts?: boolean;
  /** It breaks the promise, and the checker must say so. */
  control?: boolean;
}

const VARIANTS: Record<string, Variant> = {
  plain: { auth: {}, promised: PLAIN_PROMISE },
  'network-cut': { auth: {}, promised: { ...PLAIN_PROMISE, faults: true }, cuts: true },
  'naive-cache': { auth: {}, promised: CACHED_PROMISE, naiveCache: seconds(10), control: true },
  grace: { auth: { session: { rotationGrace: GRACE } }, promised: { bound: 0, grace: GRACE } },
  cached: { auth: cachedAuth('postgres'), promised: CACHED_PROMISE },
  'cached-grace': { auth: cachedAuth('postgres', { grace: GRACE }), promised: GRACEFUL_PROMISE },
  'cached-network-cut': {
    auth: cachedAuth('postgres'),
    promised: { ...CACHED_PROMISE, faults: true },
    cuts: true,
  },
  'cached-local': { auth: cachedAuth('local'), promised: CACHED_PROMISE, control: true },
};

const [duration = '60', ...named] = process.argv.slice(2);
const postgres = await startEmbeddedPostgres({ settings: { max_connections: '200', fsync: 'off' } });
try {
  for (const name of named.length > 0 ? named : Object.keys(VARIANTS)) await check(name, VARIANTS[name]!);
} finally {
  await postgres.stop();
}

async function check(
  name: string,
  { auth, promised, naiveCache, cuts = false, control = false }: Variant,
): Promise<void> {
  const databaseUrl = await createDatabase(`history_${name.replaceAll('-', '_')}`);
  const proxy = await startTcpProxy(postgres.port);
  const { history, counts } = await runHistory({
    databaseUrl: [databaseUrl, databaseUrl, proxy.url(databaseUrl)],
    duration: seconds(Number(duration)),
    auth,
    naiveCache,
    faults: cuts ? () => cutAndHeal(proxy) : undefined,
  });
  await proxy.close();
  const began = performance.now();
  const violations = violationsOf(history, promised);
  const took = ((performance.now() - began) / 1000).toFixed(1);

  console.log(`\n${name}: ${history.length.toLocaleString('en')} operations in ${duration} s, checked in ${took} s`);
  for (const [kind, { answered, none, threw }] of Object.entries(counts)) {
    console.log(`  ${kind.padEnd(10)} ${answered} answered with a session, ${none} without, ${threw} threw`);
  }
  const rules = new Map<string, number>();
  for (const { rule } of violations) rules.set(rule, (rules.get(rule) ?? 0) + 1);
  console.log(`  violations: ${[...rules].map(([rule, count]) => `${count} ${rule}`).join(', ') || 'none'}`);
  if (violations.length > 0 === control) return;
  console.log(
    control ? '  MISSED: the negative control was not caught' : JSON.stringify(violations.slice(0, 5), null, 2),
  );
  process.exitCode = 1;
}

/** Cut for a second or more, well again for a second; at last well. */
async function cutAndHeal(proxy: TcpProxy): Promise<void> {
  const until = performance.now() + seconds(Number(duration)) - seconds(3);
  for (let length = 1; performance.now() < until; length = (length % 3) + 1) {
    await setTimeout(seconds(1));
    proxy.cut();
    await setTimeout(seconds(length));
    proxy.heal();
  }
}

async function createDatabase(name: string): Promise<string> {
  const admin = await new DataSource({ type: 'postgres', url: postgres.url }).initialize();
  await admin.query(`CREATE DATABASE ${name}`);
  await admin.destroy();
  const url = postgres.urlOf(name);
  await migrate(url);
  return url;
}
