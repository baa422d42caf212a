import type { AuthModuleExtras, AuthOptions } from 'nestjs-latchkey';
import { engineFor } from './redis-engine.js';

/** What `jest.config.js` runs the same tests on once more: `startTestApp` starts every application with it. */
export const VARIANT: 'plain' | 'cached' | 'redis' =
  (globalThis as { LATCHKEY_VARIANT?: 'cached' | 'redis' }).LATCHKEY_VARIANT ?? 'plain';

export function variantOptions(databaseUrl: string): Partial<AuthOptions> & AuthModuleExtras {
  if (VARIANT === 'cached') return { cache: { enabled: true } };
  if (VARIANT === 'redis') return { engine: engineFor(databaseUrl, [process.env['LATCHKEY_TEST_REDIS']!]) };
  return {};
}
