import type { AuthModuleExtras, AuthOptions } from 'nestjs-latchkey';

type Variant = 'plain' | 'cached' | 'redis' | 'redis-cluster';

/** What `jest.config.js` runs the same tests on once more: `startTestApp` starts every application with it. */
export const VARIANT: Variant = (globalThis as { LATCHKEY_VARIANT?: Variant }).LATCHKEY_VARIANT ?? 'plain';

/** Where the applications of this run keep sessions, tokens and limits: the one server, the nodes of a cluster, or `null`. */
export function redisUrls(): string[] | null {
  if (VARIANT === 'redis') return [process.env['LATCHKEY_TEST_REDIS']!];
  return VARIANT === 'redis-cluster' ? process.env['LATCHKEY_TEST_REDIS_CLUSTER']!.split(',') : null;
}

export async function variantOptions(databaseUrl: string): Promise<Partial<AuthOptions> & AuthModuleExtras> {
  const urls = redisUrls();
  // The other variants need not load node-redis, half a second for each test file.
  if (urls) return { engine: (await import('./redis-engine.js')).engineFor(databaseUrl, urls) };
  return VARIANT === 'cached' ? { cache: { enabled: true } } : {};
}
