import { afterEach } from '@jest/globals';

/** What a test adds is done after it, the last first, also where it fails. */
export function cleanupsAfterEach(): (() => Promise<unknown>)[] {
  const cleanups: (() => Promise<unknown>)[] = [];
  afterEach(async () => {
    for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
  });
  return cleanups;
}
