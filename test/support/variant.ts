import type { AuthOptions } from 'nestjs-latchkey';

/** What `jest.config.js` runs the same tests on once more: `startTestApp` starts every application with it. */
export const VARIANT: 'plain' | 'cached' = (globalThis as { LATCHKEY_VARIANT?: 'cached' }).LATCHKEY_VARIANT ?? 'plain';

export const VARIANT_OPTIONS: Partial<AuthOptions> = VARIANT === 'cached' ? { cache: { enabled: true } } : {};
