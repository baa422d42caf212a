import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, it } from '@jest/globals';
import { AuthConfig } from '../../src/config/auth-config.js';
import { AuthEvents } from '../../src/events/auth-events.js';
import { FrozenClock } from '../../src/testing/frozen-clock.js';
import type { Bucket } from '../../src/rate-limit/rate-limit.policy.js';
import { RateLimitService } from '../../src/rate-limit/rate-limit.service.js';
import type { RateLimitStore } from '../../src/rate-limit/rate-limit.store.js';

setFlagsFromString('--expose_gc');
const collectGarbage = runInNewContext('gc') as () => void;

it('R34: 1,000,000 distinct blocked subjects keep memory under a cap', async () => {
  const clock = new FrozenClock();
  const usage = { used: 1e6, oldest: clock.now(), newest: clock.now() };
  const refusing = {
    consume: (buckets: readonly Bucket[]) => Promise.resolve({ recorded: false, usage: buckets.map(() => usage) }),
  } as unknown as RateLimitStore;
  const config = AuthConfig.from({ secrets: ['a test secret that is long enough: 0123456789'] });
  const limits = new RateLimitService(refusing, clock, config, new AuthEvents());
  const heap = () => {
    collectGarbage();
    return process.memoryUsage().heapUsed / 2 ** 20;
  };

  // A first round fills the memory to its cap; from then on it may not grow.
  for (let i = 0; i < 20_000; i++) await limits.consume('login_ip', `subject ${i}`);
  const before = heap();
  let highest = before;
  for (let i = 0; i < 1_000_000; i++) {
    await limits.consume('login_ip', `another ${i}`);
    if (i % 250_000 === 0) highest = Math.max(highest, heap());
  }
  const remembered = (limits as unknown as { blocked: { size: number } }).blocked.size;
  expect(remembered).toBe(config.rateLimits.rememberedBlocks);
  expect(highest - before).toBeLessThan(20);
}, 60_000);
