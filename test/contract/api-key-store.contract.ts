import { describe, expect, it } from '@jest/globals';
import { days, minutes } from 'nestjs-latchkey';
import { newApiKey } from '../../src/api-key/api-key.js';
import type { ApiKeyStore, NewApiKey } from '../../src/api-key/api-key.store.js';
import { startedOnce } from './started-once.js';

export interface ApiKeyStoreSubject {
  store: ApiKeyStore;
  /** An account of this directory, and what an operator does to it. */
  createOwner(): Promise<string>;
  disable(userId: string): Promise<unknown>;
  deleteOwner(userId: string): Promise<unknown>;
  /** In a transaction, as `insert` is to be called. */
  within<T>(work: () => Promise<T>): Promise<T>;
  clear(): Promise<void>;
  close(): Promise<void>;
}

const NOW = Date.UTC(2025, 0, 1) + 0.125;
const NOBODY = '00000000-0000-4000-8000-000000000000';

/** The contract of `ApiKeyStore`, run against every implementation. */
export function apiKeyStoreContract(name: string, start: () => Promise<ApiKeyStoreSubject>): void {
  describe(`ApiKeyStore contract: ${name}`, () => {
    const current = startedOnce(start);

    async function add(userId: string, more: Partial<NewApiKey> & { max?: number; cutoff?: number } = {}) {
      const { max = 5, cutoff = null, ...rest } = more;
      const { hash, prefix } = newApiKey();
      const key = {
        userId,
        name: 'Backup',
        prefix,
        hash,
        scopes: ['notes:read', 'notes:write'],
        createdAt: NOW,
        lifetime: days(1),
        ...rest,
      };
      const subject = current();
      return { hash, apiKey: await subject.within(() => subject.store.insert(key, { now: NOW, cutoff, max })) };
    }

    it('finds what was stored, to the microsecond, with its owner', async () => {
      const userId = await current().createOwner();
      const { hash, apiKey } = await add(userId);
      expect(apiKey).toEqual({
        id: expect.stringMatching(/^[0-9a-f-]{36}$/),
        userId,
        name: 'Backup',
        prefix: expect.stringMatching(/^lk_/),
        scopes: ['notes:read', 'notes:write'],
        createdAt: NOW,
        expiresAt: NOW + days(1),
        lastUsedAt: null,
      });
      for (let i = 0; i < 2; i++) {
        expect(await current().store.find(hash)).toMatchObject({ apiKey, user: { id: userId }, revokedAt: null });
      }
    });

    it('an unknown hash, and the key of an owner who is gone, are null; one who is disabled is told', async () => {
      const userId = await current().createOwner();
      const { hash } = await add(userId);
      expect(await current().store.find('0'.repeat(64))).toBeNull();
      expect(await current().store.find(hash)).not.toBeNull();
      await current().disable(userId);
      expect((await current().store.find(hash))?.user.disabledAt).toEqual(expect.any(Number));
      await current().deleteOwner(userId);
      expect(await current().store.find(hash)).toBeNull();
    });

    it('what a caller writes into the answer is not the next answer', async () => {
      const userId = await current().createOwner();
      const { hash } = await add(userId);
      const first = (await current().store.find(hash))!;
      first.user.email = 'eve@example.com';
      expect((await current().store.find(hash))?.user.email).not.toBe('eve@example.com');
    });

    it('no more live keys than there may be: those that are over, or before the cutoff, do not count', async () => {
      const userId = await current().createOwner();
      const first = await add(userId, { max: 2 });
      await add(userId, { max: 2, createdAt: NOW - days(2), lifetime: days(1) });
      expect((await add(userId, { max: 2 })).apiKey).not.toBeNull();
      const refused = await add(userId, { max: 2 });
      expect([refused.apiKey, await current().store.find(refused.hash)]).toEqual([null, null]);
      expect((await add(userId, { max: 2, cutoff: NOW, createdAt: NOW + 0.001 })).apiKey).not.toBeNull();
      await current().store.revoke(userId, first.apiKey!.id, NOW);
      expect((await add(userId, { max: 3 })).apiKey).not.toBeNull();
    });

    it('20 at once: no more than there may be', async () => {
      const userId = await current().createOwner();
      const made = await Promise.all(Array.from({ length: 20 }, () => add(userId, { max: 3 })));
      expect(made.filter(({ apiKey }) => apiKey !== null)).toHaveLength(3);
    });

    it('lists the live ones of the user, the latest first; nobody has none', async () => {
      const [userId, other] = [await current().createOwner(), await current().createOwner()];
      const old = await add(userId, { createdAt: NOW - minutes(1) });
      const late = await add(userId);
      await add(userId, { createdAt: NOW - days(2) });
      await add(other);
      const list = async (cutoff: number | null, now = NOW) =>
        (await current().store.listByUser(userId, { now, cutoff })).map(({ id }) => id);
      expect(await list(null)).toEqual([late.apiKey!.id, old.apiKey!.id]);
      expect(await list(NOW - minutes(1))).toEqual([late.apiKey!.id]);
      // At the exact instant it is over.
      expect(await list(null, NOW + days(1) - 0.001)).toEqual([late.apiKey!.id]);
      expect(await list(null, NOW + days(1))).toEqual([]);
      for (const nobody of [NOBODY, 'nobody']) {
        expect(await current().store.listByUser(nobody, { now: NOW, cutoff: null })).toEqual([]);
      }
    });

    it('ends one of the user’s own: once, and what was found before is not found as live after', async () => {
      const [userId, other] = [await current().createOwner(), await current().createOwner()];
      const { hash, apiKey } = await add(userId);
      await current().store.find(hash);
      const { id } = apiKey!;
      expect(await current().store.revoke(other, id, NOW)).toBeNull();
      expect(await current().store.revoke(userId, NOBODY, NOW)).toBeNull();
      expect((await current().store.find(hash))?.revokedAt).toBeNull();
      const ended = await Promise.all(Array.from({ length: 10 }, () => current().store.revoke(userId, id, NOW)));
      const outcomes = ended.map((one) => `${one?.outcome} ${one?.name}`).toSorted((a, b) => a.localeCompare(b));
      expect(outcomes).toEqual([...Array<string>(9).fill('before Backup'), 'revoked Backup']);
      expect((await current().store.find(hash))?.revokedAt).toBe(NOW);
    });

    it('ends all of a user, and says which had not ended before', async () => {
      const [userId, other] = [await current().createOwner(), await current().createOwner()];
      const [one, two, theirs] = [await add(userId), await add(userId), await add(other)];
      for (const { hash } of [one, two, theirs]) await current().store.find(hash);
      await current().store.revoke(userId, one.apiKey!.id, NOW);
      expect(await current().store.revokeByUser(userId, NOW)).toEqual([two.apiKey!.id]);
      expect(await current().store.revokeByUser(userId, NOW)).toEqual([]);
      const revoked = [];
      for (const { hash } of [one, two, theirs]) revoked.push((await current().store.find(hash))?.revokedAt);
      expect(revoked).toEqual([NOW, NOW, null]);
      expect(await current().store.revokeByUser('nobody', NOW)).toEqual([]);
    });

    it('records a use, but not twice within the grain', async () => {
      const { hash } = await add(await current().createOwner());
      const usedAt = async (now: number) => {
        await current().store.touch(hash, now, minutes(1));
        return (await current().store.find(hash))?.apiKey.lastUsedAt;
      };
      expect(await usedAt(NOW)).toBe(NOW);
      expect(await usedAt(NOW + minutes(1))).toBe(NOW + minutes(1));
      await current().store.touch('0'.repeat(64), NOW, minutes(1));
    });

    it('deletes what is over, up to the limit, and nothing else', async () => {
      const userId = await current().createOwner();
      const live = await add(userId);
      for (let i = 0; i < 2; i++) await add(userId, { createdAt: NOW - days(2) });
      const { apiKey } = await add(userId);
      await current().store.revoke(userId, apiKey!.id, NOW);
      expect(await current().store.deleteOver(NOW - days(1) - 0.001, 10)).toBe(0);
      expect(await current().store.deleteOver(NOW, 1)).toBe(1);
      expect(await current().store.deleteOver(NOW, 10)).toBe(2);
      expect(await current().store.deleteOver(NOW, 10)).toBe(0);
      expect(await current().store.find(live.hash)).not.toBeNull();
    });
  });
}
