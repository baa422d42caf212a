import { describe, expect, it } from '@jest/globals';
import type { Bucket } from '../../src/rate-limit/rate-limit.policy.js';
import { MOST_LOOKED_AT, type RateLimitStore } from '../../src/rate-limit/rate-limit.store.js';
import { startedOnce } from './started-once.js';

export interface RateLimitStoreSubject {
  store: RateLimitStore;
  clear(): Promise<void>;
  close(): Promise<void>;
}

const NOW = Date.UTC(2025, 0, 1) + 0.125;
const WINDOW = 10_000;

/** The contract of `RateLimitStore`, run against every implementation. */
export function rateLimitStoreContract(name: string, start: () => Promise<RateLimitStoreSubject>): void {
  describe(`RateLimitStore contract: ${name}`, () => {
    const current = startedOnce(start);

    const bucket = (overrides: Partial<Bucket> = {}): Bucket => ({
      event: 'login_ip',
      subject: 'ada',
      limit: 3,
      window: WINDOW,
      ...overrides,
    });
    const policyOf = ({ event, limit, window }: Bucket) => ({ event, limit, window });
    const used = async (of: Bucket, now = NOW) => (await current().store.read(of, now)).used;

    it('an empty bucket', async () => {
      expect(await current().store.read(bucket(), NOW)).toEqual({ used: 0, oldest: null, newest: null });
    });

    it('records up to the limit, answers the usage of before, and then records nothing', async () => {
      const answers = [];
      for (let i = 0; i < 4; i++) answers.push(await current().store.consume([bucket()], NOW + i));
      expect(answers).toEqual([
        { recorded: true, usage: [{ used: 0, oldest: null }] },
        { recorded: true, usage: [{ used: 1, oldest: NOW }] },
        { recorded: true, usage: [{ used: 2, oldest: NOW }] },
        { recorded: false, usage: [{ used: 3, oldest: NOW }] },
      ]);
      expect(await used(bucket({ limit: 100 }))).toBe(3);
    });

    it('finds the buckets that are full, by their policies, up to the exact instant', async () => {
      const mail = bucket({ event: 'mail_ip', limit: 1, window: 2 * WINDOW });
      const full = [bucket({ subject: '2001:db8::1' }), { ...mail, subject: 'a:b' }];
      for (const of of [...full, bucket({ subject: 'less', limit: 2 })]) {
        for (let i = 0; i < of.limit; i++) await current().store.record(of, NOW + i);
      }
      // Over its limit, of which the newest count; and one that no policy has.
      await current().store.record(full[0]!, NOW + 3);
      await current().store.record(bucket({ event: 'other' }), NOW);
      const policies = [bucket(), mail].map(policyOf);
      const found = async (now: number, limit = 10) =>
        [...(await current().store.full(policies, now, limit)).buckets].toSorted((a, b) =>
          a.event < b.event ? -1 : 1,
        );
      expect(await found(NOW + 4)).toEqual([
        { ...full[0], oldest: NOW + 1 },
        { ...full[1], oldest: NOW },
      ]);
      expect(await found(NOW + 1 + WINDOW - 0.01)).toHaveLength(2);
      expect(await found(NOW + 1 + WINDOW)).toEqual([{ ...full[1], oldest: NOW }]);
      expect(await found(NOW + 2 * WINDOW)).toEqual([]);
      expect(await found(NOW + 4, 1)).toHaveLength(1);
      const isComplete = async (limit: number) => (await current().store.full(policies, NOW + 4, limit)).isComplete;
      expect([await isComplete(3), await isComplete(1)]).toEqual([true, false]);
    });

    it('looks at a bounded number of buckets for those that are full, and says so', async () => {
      const subjects = Array.from({ length: MOST_LOOKED_AT + 1_500 }, (_, i) => `subject-${i}`);
      while (subjects.length > 0) {
        const some = subjects.splice(0, 500);
        await Promise.all(some.map((subject) => current().store.record(bucket({ subject }), NOW)));
      }
      expect(await current().store.full([policyOf(bucket())], NOW, 10)).toEqual({ buckets: [], isComplete: false });
    });

    it('an event counts until it has the exact age of the window', async () => {
      await current().store.record(bucket(), NOW);
      expect(await used(bucket(), NOW + WINDOW - 0.01)).toBe(1);
      expect(await used(bucket(), NOW + WINDOW)).toBe(0);
    });

    it('an event of a clock that is ahead counts too', async () => {
      for (let i = 0; i < 3; i++) await current().store.record(bucket(), NOW + 50);
      expect(await current().store.consume([bucket()], NOW)).toMatchObject({ recorded: false });
    });

    it('of more than the limit, the newest count: they say when there is room again', async () => {
      for (let i = 0; i < 5; i++) await current().store.record(bucket(), NOW + i);
      expect(await current().store.read(bucket(), NOW + 5)).toEqual({ used: 3, oldest: NOW + 2, newest: NOW + 4 });
    });

    it('of 100 at once exactly the limit', async () => {
      const answers = await Promise.all(Array.from({ length: 100 }, () => current().store.consume([bucket()], NOW)));
      expect(answers.filter(({ recorded }) => recorded)).toHaveLength(3);
      expect(await used(bucket({ limit: 100 }))).toBe(3);
    });

    it('several at once in any order: all or none, and no deadlock', async () => {
      const several = ['a', 'b', 'c', 'd'].map((name_, i) => bucket({ subject: name_, limit: 3 + i }));
      const answers = await Promise.all(
        Array.from({ length: 60 }, (_, i) => current().store.consume(i % 2 ? several : several.toReversed(), NOW)),
      );
      expect(answers.filter(({ recorded }) => recorded)).toHaveLength(3);
      for (const one of several) expect(await used({ ...one, limit: 100 })).toBe(3);
    });

    it('answers the usage in the order asked', async () => {
      await current().store.record(bucket({ subject: 'z' }), NOW);
      const { usage } = await current().store.consume([bucket({ subject: 'z' }), bucket({ subject: 'a' })], NOW);
      expect(usage.map((one) => one.used)).toEqual([1, 0]);
    });

    it('buckets are of one event and one subject', async () => {
      await current().store.record(bucket(), NOW);
      expect(await used(bucket({ event: 'email_send' }))).toBe(0);
      expect(await used(bucket({ subject: 'bob' }))).toBe(0);
      await current().store.record(bucket({ event: 'email_send' }), NOW);
      expect(await current().store.clear({ event: 'login_ip', subject: 'ada' })).toBe(1);
      expect(await current().store.clear({ event: 'login_ip', subject: 'ada' })).toBe(0);
      expect(await used(bucket({ event: 'email_send' }))).toBe(1);
    });

    it('takes back one event of that instant', async () => {
      for (const at of [NOW, NOW, NOW + 1]) await current().store.record(bucket(), at);
      expect(await current().store.refund(bucket(), NOW)).toBe(true);
      expect(await used(bucket())).toBe(2);
      expect(await current().store.refund(bucket(), NOW)).toBe(true);
      expect(await current().store.refund(bucket(), NOW)).toBe(false);
      expect(await used(bucket())).toBe(1);
    });

    it('deletes what is old, no more than asked, and nothing else', async () => {
      for (const at of [NOW - 2, NOW - 1, NOW, NOW + 0.01]) await current().store.record(bucket(), at);
      expect(await current().store.deleteOlderThan(NOW, 2)).toBe(2);
      expect(await current().store.deleteOlderThan(NOW, 2)).toBe(1);
      expect(await current().store.deleteOlderThan(NOW, 2)).toBe(0);
      expect(await used(bucket())).toBe(1);
    });
  });
}
