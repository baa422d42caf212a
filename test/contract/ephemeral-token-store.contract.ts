import { randomBytes } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { minutes } from '../../src/common/duration.js';
import type { EphemeralTokenKey, EphemeralTokenStore } from '../../src/ephemeral-token/ephemeral-token.store.js';
import type { EphemeralTokenRow } from '../../src/ephemeral-token/ephemeral-token.types.js';
import { startedOnce } from './started-once.js';

export interface EphemeralTokenStoreSubject {
  store: EphemeralTokenStore;
  /** How many tokens are stored, dead ones too. */
  count(): Promise<number>;
  clear(): Promise<void>;
  close(): Promise<void>;
}

const NOW = Date.UTC(2025, 0, 1) + 0.125;
const newHash = () => randomBytes(32).toString('hex');

/** The contract of `EphemeralTokenStore`, run against every implementation. */
export function ephemeralTokenStoreContract(name: string, start: () => Promise<EphemeralTokenStoreSubject>): void {
  describe(`EphemeralTokenStore contract: ${name}`, () => {
    const current = startedOnce(start);

    const row = (overrides: Partial<EphemeralTokenRow> = {}): EphemeralTokenRow => ({
      type: 'password_reset',
      hash: newHash(),
      username: 'ada@example.com',
      providerId: null,
      nonce: null,
      codeVerifier: null,
      challengeId: null,
      userId: '1',
      payload: null,
      createdAt: NOW,
      expiresAt: NOW + minutes(5),
      ...overrides,
    });
    const inserted = async (overrides: Partial<EphemeralTokenRow> = {}, voidsEarlier = false) => {
      const stored = row(overrides);
      await current().store.insert(stored, { voidsEarlier });
      return stored;
    };
    const anyone = { column: 'challengeId', value: null, optional: true } as const;
    const keyOf = (
      { type, hash }: EphemeralTokenRow,
      binding: EphemeralTokenKey['binding'] = anyone,
      now = NOW,
    ): EphemeralTokenKey => ({ type, hash, binding, now });
    const ALONE = { voidsRest: false };
    const ALL = { voidsRest: true };

    it('keeps every field, to the microsecond', async () => {
      const stored = await inserted({
        providerId: -7,
        nonce: 'n'.repeat(128),
        codeVerifier: 'v'.repeat(128),
        challengeId: 'c'.repeat(128),
        payload: { deep: [1, { a: null }], text: '…' },
      });
      const bound = { column: 'challengeId', value: 'c'.repeat(128), optional: true } as const;
      expect(await current().store.find(keyOf(stored, bound))).toEqual(stored);
      expect(await current().store.take(keyOf(stored, bound), ALONE)).toEqual(stored);
      expect(await current().count()).toBe(0);
    });

    it('finds as often as asked, gives once', async () => {
      const stored = await inserted();
      expect(await current().store.find(keyOf(stored))).toEqual(stored);
      expect(await current().store.find(keyOf(stored))).toEqual(stored);
      expect(await current().store.take(keyOf(stored), ALONE)).toEqual(stored);
      expect(await current().store.take(keyOf(stored), ALONE)).toBeNull();
      expect(await current().store.find(keyOf(stored))).toBeNull();
    });

    it('F15: the same token once more: the later row counts, and is there', async () => {
      const earlier = await inserted({ payload: { code: 1 } }, true);
      const later = await inserted({ hash: earlier.hash, payload: { code: 2 } }, true);
      expect(await current().store.find(keyOf(later))).toEqual(later);
      expect(await current().store.take(keyOf(later), ALONE)).toEqual(later);
      expect(await current().count()).toBe(0);
    });

    describe.each([
      ['take', ALONE],
      ['take and void the rest', ALL],
    ])('%s', (_, options) => {
      it('R8: of 50 at once one gets it', async () => {
        const stored = await inserted();
        const got = await Promise.all(Array.from({ length: 50 }, () => current().store.take(keyOf(stored), options)));
        expect(got.filter((taken) => taken !== null)).toEqual([stored]);
      });

      it('gets a token of no account', async () => {
        const stored = await inserted({ username: null, userId: null });
        const other = await inserted({ username: null, userId: null });
        expect(await current().store.take(keyOf(stored), options)).toEqual(stored);
        expect(await current().store.find(keyOf(other))).toEqual(other);
      });

      it.each<[string, (stored: EphemeralTokenRow) => EphemeralTokenKey]>([
        ['unknown', () => keyOf(row())],
        ['another type', ({ hash }) => ({ ...keyOf(row({ hash })), type: 'pre_auth' })],
        ['its exact expiry', (stored) => keyOf(stored, undefined, stored.expiresAt)],
        ['another challenge', (stored) => keyOf(stored, { column: 'challengeId', value: 'other', optional: true })],
        ['no challenge', (stored) => keyOf(stored)],
        ['another nonce', (stored) => keyOf(stored, { column: 'nonce', value: 'other', optional: false })],
        ['no nonce', (stored) => keyOf(stored, { column: 'nonce', value: null, optional: false })],
      ])('%s is null and changes nothing', async (_name, key) => {
        const stored = await inserted({ challengeId: 'mine', nonce: 'archive:5' });
        const second = await inserted();
        expect(await current().store.take(key(stored), options)).toBeNull();
        expect(await current().store.find(key(stored))).toBeNull();
        expect(await current().store.take(keyOf(second), ALONE)).toEqual(second);
        expect(await current().count()).toBe(1);
      });
    });

    it('a row bound to nothing is for anybody where that is optional, else for nobody', async () => {
      const stored = await inserted();
      const presented = { column: 'challengeId', value: 'some cookie' } as const;
      expect(await current().store.find(keyOf(stored, { ...presented, optional: false }))).toBeNull();
      expect(await current().store.find(keyOf(stored, { ...presented, optional: true }))).toEqual(stored);
    });

    it('R39: takes the rest of this user and type along, and no other', async () => {
      const [mine] = [await inserted(), await inserted(), await inserted()];
      const others = [await inserted({ type: 'pre_auth' }), await inserted({ username: 'bob@example.com' })];
      expect(await current().store.take(keyOf(mine), ALL)).toEqual(mine);
      expect(await current().count()).toBe(2);
      for (const other of others) expect(await current().store.find(keyOf(other))).toEqual(other);
    });

    it('R39: of 20 different ones taken at once one is got', async () => {
      const all = await Promise.all(Array.from({ length: 20 }, () => inserted()));
      const got = await Promise.all(all.map((stored) => current().store.take(keyOf(stored), ALL)));
      expect(got.filter((taken) => taken !== null)).toHaveLength(1);
      expect(await current().count()).toBe(0);
    });

    it('of 20 that void the earlier, inserted at once, one is left', async () => {
      await Promise.all(Array.from({ length: 20 }, () => inserted({}, true)));
      expect(await current().count()).toBe(1);
    });

    it('inserting and taking at once leave at most the one inserted last', async () => {
      for (let round = 0; round < 10; round++) {
        const stored = await inserted({}, true);
        const [taken] = await Promise.all([current().store.take(keyOf(stored), ALL), inserted({}, true)]);
        expect(taken === null || taken.hash === stored.hash).toBe(true);
        expect(await current().count()).toBe(1);
      }
    });

    it('deletes what belongs to a user, of every type', async () => {
      await inserted();
      await inserted({ type: 'pre_auth' });
      const other = await inserted({ username: 'bob@example.com' });
      expect(await current().store.deleteByLogin('ada@example.com')).toBe(2);
      expect(await current().store.deleteByLogin('ada@example.com')).toBe(0);
      expect(await current().store.find(keyOf(other))).toEqual(other);
    });

    it('deletes what belongs to a user since an instant, inclusive', async () => {
      const earlier = await inserted({ createdAt: NOW - 0.01 });
      await inserted({ createdAt: NOW });
      await inserted({ createdAt: NOW + 1, type: 'pre_auth' });
      expect(await current().store.deleteByLogin('ada@example.com', NOW)).toBe(2);
      expect(await current().store.find(keyOf(earlier))).toEqual(earlier);
    });

    it('deletes and counts what belongs to a user, of one type', async () => {
      await inserted();
      await inserted({ createdAt: NOW + 1, expiresAt: NOW + minutes(6) });
      const others = [await inserted({ type: 'pre_auth' }), await inserted({ username: 'bob@example.com' })];
      const count = (now: number, cutoff: number | null = null) =>
        current().store.countOfType('ada@example.com', 'password_reset', now, cutoff);
      expect(await count(NOW)).toBe(2);
      expect(await count(NOW + minutes(5))).toBe(1);
      expect(await count(NOW, NOW)).toBe(1);
      expect(await count(NOW, NOW - 1)).toBe(2);
      expect(await current().store.deleteOfType('ada@example.com', 'password_reset')).toBe(2);
      expect(await current().store.deleteOfType('ada@example.com', 'password_reset')).toBe(0);
      expect(await count(NOW)).toBe(0);
      for (const other of others) expect(await current().store.find(keyOf(other))).toEqual(other);
    });

    it('deletes what is over, the oldest first, no more than asked', async () => {
      for (const age of [3, 1, 2]) await inserted({ expiresAt: NOW - age });
      const exact = await inserted({ expiresAt: NOW });
      const live = await inserted({ expiresAt: NOW + 0.01 });
      expect(await current().store.deleteExpired(NOW, 3)).toBe(3);
      expect(await current().store.find(keyOf(exact, undefined, NOW - 1))).toEqual(exact);
      expect(await current().store.deleteExpired(NOW, 3)).toBe(1);
      expect(await current().store.find(keyOf(live))).toEqual(live);
    });
  });
}
