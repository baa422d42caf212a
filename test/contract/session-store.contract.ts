import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { days, hours, minutes, seconds } from '../../src/common/duration.js';
import { OpaqueTokens } from '../../src/session/opaque-tokens.js';
import { checkedChange, MAX_SESSION_DATA } from '../../src/session/session-data.js';
import type { Session } from '../../src/session/session.js';
import type { NewSession, SessionStore } from '../../src/session/session.store.js';
import { RACES } from '../support/long.js';

/** What a store's own spec gives the suite: the store, two users it knows, and another program's hand on the data. */
export interface SessionStoreSubject {
  store: SessionStore;
  ada: string;
  bob: string;
  /** An id that no user has, or `null` where the storage cannot tell (text ids without a foreign key). */
  unknownUser: string | null;
  /** How many sessions are stored for a user, dead ones too, rotated ones not. */
  count(userId: string): Promise<number>;
  /** How many rotated sessions are kept of a user. */
  countRotated(userId: string): Promise<number>;
  close(): Promise<void>;
}

const NOW = Date.UTC(2025, 0, 1) + 0.125;
const tokens = new OpaqueTokens();
const newId = () => tokens.idOf(tokens.issue())!;
const nameOf = ({ userId, handle }: Session) => ({ userId, handle });

/** The contract of `SessionStore`, run against every implementation. */
export function sessionStoreContract(name: string, start: () => Promise<SessionStoreSubject>): void {
  describe(`SessionStore contract: ${name}`, () => {
    let subject: SessionStoreSubject;
    let store: SessionStore;
    beforeAll(async () => {
      subject = await start();
      store = subject.store;
    });
    afterAll(() => subject?.close());
    beforeEach(async () => {
      await store.deleteByUser(subject.ada);
      await store.deleteByUser(subject.bob);
    });

    const opening = (overrides: Partial<NewSession> = {}): NewSession => ({
      id: newId(),
      userId: subject.ada,
      now: NOW,
      ttl: days(30),
      absoluteLifetime: days(90),
      authenticatedAt: NOW - 5,
      replaces: null,
      successor: null,
      rotationGrace: seconds(30),
      maxPerUser: 25,
      ip: '203.0.113.7',
      userAgent: 'test',
      ...overrides,
    });
    const open = async (overrides: Partial<NewSession> = {}): Promise<Session> =>
      (await store.open(opening(overrides)))!.session;
    const rotating = (old: Session, overrides: Partial<NewSession> = {}): NewSession =>
      opening({ replaces: old.id, authenticatedAt: null, successor: `sealed for ${old.id}`, ...overrides });
    const rotate = async (old: Session, overrides: Partial<NewSession> = {}): Promise<Session> =>
      (await store.open(rotating(old, overrides)))!.session;

    it('keeps what was opened, to the microsecond, and finds it with its user', async () => {
      const session = await open();
      expect(session).toEqual({
        id: session.id,
        handle: expect.stringMatching(/^[0-9a-f-]{36}$/),
        userId: subject.ada,
        createdAt: NOW,
        expiresAt: NOW + days(30),
        absoluteExpiresAt: NOW - 5 + days(90),
        authenticatedAt: NOW - 5,
        lastSeenAt: NOW,
        ip: '203.0.113.7',
        userAgent: 'test',
        aal: 1,
        amr: [],
        data: {},
      });
      const found = await store.find(session.id);
      expect(found?.session).toEqual(session);
      expect(found?.rotated).toBeNull();
      expect(found?.user).toMatchObject({ id: subject.ada });
    });

    it('answers a missing session with null', async () => {
      expect(await store.find(newId())).toBeNull();
    });

    it('refuses to open a session for a user that there is not', async () => {
      if (subject.unknownUser === null) return;
      await expect(open({ userId: subject.unknownUser })).rejects.toMatchObject({ code: 'USER_NOT_FOUND' });
    });

    it('never lets the idle timeout run past the absolute lifetime', async () => {
      const session = await open({ ttl: days(30), absoluteLifetime: days(10) });
      expect(session.expiresAt).toBe(NOW - 5 + days(10));
    });

    describe('answers what ended for a new session', () => {
      it('nothing, where nothing had to', async () => {
        await open();
        expect((await store.open(opening()))!.ended).toEqual([]);
        expect((await store.open(opening({ replaces: newId() })))!.ended).toEqual([]);
      });

      it('what a login replaced, once, whichever of its family was named, and of whichever user', async () => {
        for (const userId of [subject.ada, subject.bob]) {
          for (const named of ['first', 'second'] as const) {
            const first = await open({ userId });
            const second = await rotate(first, { userId });
            const { ended } = (await store.open(opening({ replaces: { first, second }[named].id })))!;
            expect(ended).toEqual([{ session: nameOf(second), because: 'replaced_by_login' }]);
          }
        }
      });

      it('what was over the cap, and apart from it what was replaced', async () => {
        const [oldest, replaced] = [await open(), await open({ now: NOW + 1 })];
        await open({ now: NOW + 2 });
        const { ended } = (await store.open(opening({ now: NOW + 3, replaces: replaced.id, maxPerUser: 1 })))!;
        expect(ended).toHaveLength(3);
        expect(ended).toContainEqual({ session: nameOf(replaced), because: 'replaced_by_login' });
        expect(ended).toContainEqual({ session: nameOf(oldest), because: 'cap' });
      });

      it('a mere rotation ends nothing but what is over the cap', async () => {
        const [other, old] = [await open(), await open({ now: NOW + 1 })];
        expect((await store.open(rotating(old, { now: NOW + 2 })))!.ended).toEqual([]);
        const last = (await store.listByUser(subject.ada))[0]!.session;
        const { ended } = (await store.open(rotating(last, { now: NOW + 3, maxPerUser: 1 })))!;
        expect(ended).toEqual([{ session: nameOf(other), because: 'cap' }]);
      });

      it('nothing of what was over already', async () => {
        const over = await open({ ttl: seconds(1) });
        const { ended } = (await store.open(opening({ now: NOW + seconds(1), replaces: over.id })))!;
        expect(ended).toEqual([]);
      });
    });

    describe('replaces', () => {
      it('ends the old session and opens the new one', async () => {
        const old = await open();
        const session = await open({ replaces: old.id });
        expect(await store.find(old.id)).toBeNull();
        expect(await store.find(session.id)).not.toBeNull();
        expect(session.handle).not.toBe(old.handle);
      });

      it('after an authentication: also when the old session is gone', async () => {
        expect(await store.open(opening({ replaces: newId() }))).not.toBeNull();
      });

      it('R1: after an authentication ends the whole family of the old session, and keeps nothing of it', async () => {
        const first = await open();
        const second = await rotate(first);
        const other = await open();
        await open({ replaces: second.id });
        expect([await store.find(first.id), await store.find(second.id)]).toEqual([null, null]);
        expect(await store.find(other.id)).not.toBeNull();
      });

      it('R1: after an authentication ends what a rotated session led to, also of another user', async () => {
        for (const userId of [subject.ada, subject.bob]) {
          const first = await open({ userId });
          const second = await rotate(first, { userId });
          await open({ replaces: first.id });
          expect([await store.find(first.id), await store.find(second.id)]).toEqual([null, null]);
        }
      });

      it("R1: logins over another user's session that is being rotated leave nothing of it alive", async () => {
        for (let i = 0; i < RACES; i++) {
          const bobs = await open({ userId: subject.bob });
          const next = rotating(bobs, { userId: subject.bob });
          const both = [() => store.open(next), () => open({ replaces: bobs.id, maxPerUser: 2 })];
          await Promise.all((i % 2 ? both : both.toReversed()).map((call) => call()));
          expect([await store.find(bobs.id), await store.find(next.id)]).toEqual([null, null]);
        }
      });

      it('two users who log in over the session of the other do not wait for each other', async () => {
        for (let i = 0; i < 20; i++) {
          const [adas, bobs] = [await open(), await open({ userId: subject.bob })];
          await Promise.all([open({ replaces: bobs.id }), open({ userId: subject.bob, replaces: adas.id })]);
        }
      });

      it("after an authentication: ends another user's session that the browser still had", async () => {
        const bobs = await open({ userId: subject.bob });
        await open({ replaces: bobs.id });
        expect(await store.find(bobs.id)).toBeNull();
      });

      it('stores nothing when the new one cannot be stored', async () => {
        if (subject.unknownUser === null) return;
        const old = await open();
        await expect(open({ replaces: old.id, userId: subject.unknownUser })).rejects.toMatchObject({
          code: 'USER_NOT_FOUND',
        });
        expect(await store.find(old.id)).not.toBeNull();
      });

      it('a mere rotation carries the authentication and the absolute lifetime', async () => {
        const old = await open();
        const session = await open({ replaces: old.id, authenticatedAt: null, now: NOW + days(20) });
        expect(session).toMatchObject({
          authenticatedAt: old.authenticatedAt,
          absoluteExpiresAt: old.absoluteExpiresAt,
          handle: old.handle,
          createdAt: NOW + days(20),
          expiresAt: NOW + days(50),
        });
      });

      it('a mere rotation keeps what the login chose, and its idle timeout; an extension too', async () => {
        const choices = [
          [true, days(30)],
          [false, hours(12)],
          [undefined, hours(12)],
        ] as const;
        // By both ways to open a session: one that has nothing to replace, and one that may have.
        for (const replaces of [null, newId()]) {
          for (const [remembered, ttl] of choices) {
            const first = await open({ ttl, remembered, replaces });
            expect(first.remembered).toBe(remembered);
            expect((await store.find(first.id))!.session).toEqual(first);
            const second = await rotate(first, { now: NOW + 1, ttl: hours(12), rememberedTtl: days(30) });
            expect(second).toMatchObject({ expiresAt: NOW + 1 + ttl });
            expect(second.remembered).toBe(remembered);
            const extended = { id: second.id, now: NOW + hours(2), expiresAt: NOW + hours(2) + ttl, extendBelow: ttl };
            expect(await store.extend(extended)).toBe(extended.expiresAt);
            expect((await store.find(second.id))!.session.remembered).toBe(remembered);
          }
        }
      });

      it('a mere rotation cannot outlive the absolute lifetime, however often', async () => {
        let session = await open();
        for (let i = 1; i <= 5; i++) {
          session = await open({ replaces: session.id, authenticatedAt: null, now: NOW + days(i * 17) });
        }
        expect(session.expiresAt).toBe(NOW - 5 + days(90));
        const last = await store.open(opening({ replaces: session.id, authenticatedAt: null, now: NOW + days(90) }));
        expect(last).toBeNull();
      });

      it.each<[string, () => Promise<Partial<NewSession>>]>([
        ['gone', async () => ({ replaces: newId() })],
        ['over at this instant', async () => ({ replaces: (await open()).id, now: NOW + days(30) })],
        [
          'rotated already, by a process whose clock is ahead',
          async () => {
            const old = await open();
            await rotate(old, { now: NOW + days(1) });
            return { replaces: old.id };
          },
        ],
        ["somebody else's", async () => ({ replaces: (await open({ userId: subject.bob })).id })],
        ['not given', async () => ({ replaces: null })],
      ])('a mere rotation of a session that is %s opens none and changes nothing', async (_, make) => {
        const overrides = await make();
        const before = [await subject.count(subject.ada), await subject.count(subject.bob)];
        expect(await store.open(opening({ ...overrides, authenticatedAt: null }))).toBeNull();
        expect([await subject.count(subject.ada), await subject.count(subject.bob)]).toEqual(before);
      });

      it('R14: of 50 parallel mere rotations of one session exactly one wins', async () => {
        const old = await open();
        const results = await Promise.all(
          Array.from({ length: 50 }, (_, i) => store.open(rotating(old, { successor: `sealed ${i}` }))),
        );
        const winners = results.flatMap((opened, i) =>
          opened ? [{ session: opened.session, successor: `sealed ${i}` }] : [],
        );
        expect(winners).toHaveLength(1);
        expect(await subject.count(subject.ada)).toBe(1);
        expect((await store.find(winners[0]!.session.id))!.session).toEqual(winners[0]!.session);
        expect((await store.find(old.id))!.rotated!.successor).toBe(winners[0]!.successor);
      });
    });

    describe('assurance', () => {
      const proved = { aal: 2, amr: ['password', 'totp'] } as const;

      it('is kept as the login gave it, by both ways to open a session, and when the session is extended or rotated', async () => {
        for (const replaces of [null, newId()]) {
          const first = await open({ ...proved, replaces });
          expect(first).toMatchObject(proved);
          expect((await store.find(first.id))!.session).toEqual(first);
          const now = NOW + days(24);
          await store.extend({ id: first.id, now, expiresAt: now + days(30), extendBelow: days(7) });
          const second = await rotate(first, { now, userAgent: ',2,["passkey"]]' });
          expect(second).toMatchObject({ ...proved, authenticatedAt: NOW - 5 });
          const third = await rotate(second, { now, aal: 1, amr: ['oidc'], userAgent: null });
          expect((await store.find(third.id))!.session).toMatchObject(proved);
          expect((await store.listByUser(subject.ada))[0]!.session).toMatchObject(proved);
          await store.deleteByUser(subject.ada);
        }
      });

      it('is not known of a session whose opener named none: 1, and no method; rotated too', async () => {
        const first = await open({ userAgent: ',2,["passkey"]]' });
        expect(first).toMatchObject({ aal: 1, amr: [] });
        expect((await store.find((await rotate(first)).id))!.session).toMatchObject({ aal: 1, amr: [] });
      });
    });

    describe('an elevation', () => {
      const at = NOW + days(20);
      const elevating = (old: Session, overrides: Partial<NewSession> = {}): NewSession =>
        opening({
          replaces: old.id,
          elevates: true,
          now: at,
          authenticatedAt: at,
          aal: 2,
          amr: ['password', 'totp'],
          remembered: old.remembered,
          ...overrides,
        });

      it('keeps handle, data and choice; authentication and lifetimes are new, and the old session is rotated without a successor', async () => {
        const old = await open({ aal: 1, amr: ['password'], remembered: true });
        await store.updateData({ id: old.id, now: NOW, change: checkedChange({ tenant: 'acme' }) });
        const { session, ended } = (await store.open(elevating(old)))!;
        expect(ended).toEqual([]);
        expect(session).toEqual({
          ...old,
          id: session.id,
          createdAt: at,
          lastSeenAt: at,
          authenticatedAt: at,
          expiresAt: at + days(30),
          absoluteExpiresAt: at + days(90),
          aal: 2,
          amr: ['password', 'totp'],
          data: { tenant: 'acme' },
        });
        expect((await store.find(session.id))!.session).toEqual(session);
        expect((await store.find(old.id))!.rotated).toEqual({ at, successor: null });
        expect(await subject.count(subject.ada)).toBe(1);
      });

      it.each<[string, (session: Session) => Promise<unknown>, Partial<NewSession>]>([
        ['gone', (session) => store.delete([session.id]), {}],
        ['over at this instant', async () => {}, { now: NOW + days(30), authenticatedAt: NOW + days(30) }],
        ['rotated', (session) => rotate(session), {}],
        ['elevated already', (session) => store.open(elevating(session)), {}],
      ])('opens nothing when the old session is %s', async (_, end, overrides) => {
        const old = await open();
        await end(old);
        const before = await subject.count(subject.ada);
        expect(await store.open(elevating(old, overrides))).toBeNull();
        expect(await subject.count(subject.ada)).toBe(before);
      });

      it('opens nothing, and ends nothing, over the session of another user', async () => {
        const old = await open({ userId: subject.bob });
        expect(await store.open(elevating(old))).toBeNull();
        expect([await subject.count(subject.ada), await subject.count(subject.bob)]).toEqual([0, 1]);
      });

      it('F84: of 50 parallel elevations of one session exactly one wins', async () => {
        const old = await open();
        const opened = await Promise.all(Array.from({ length: 50 }, () => store.open(elevating(old))));
        const winners = opened.filter((one) => one !== null);
        expect(winners).toHaveLength(1);
        expect((await store.find(winners[0]!.session.id))!.session).toEqual(winners[0]!.session);
        expect(await subject.count(subject.ada)).toBe(1);
      });

      it('F84: races with a logout leave nothing alive, whichever is first', async () => {
        for (let i = 0; i < RACES; i++) {
          const old = await open();
          const both = [() => store.open(elevating(old)), () => store.delete([old.id])];
          await Promise.all((i % 2 ? both : both.toReversed()).map((call) => call()));
          expect(await subject.count(subject.ada)).toBe(0);
        }
      });
    });

    describe('a rotated session', () => {
      it('is found with when it was rotated, to the microsecond, and what was left in its place', async () => {
        const old = await open();
        await rotate(old, { now: NOW + 5.125, successor: 'sealed' });
        const found = await store.find(old.id);
        expect(found).toMatchObject({
          session: { id: old.id, handle: old.handle, userId: subject.ada, absoluteExpiresAt: old.absoluteExpiresAt },
          user: { id: subject.ada },
          rotated: { at: NOW + 5.125, successor: 'sealed' },
        });
        expect(found!.session.expiresAt).toBe(NOW + 5.125);
      });

      it('is kept also when nothing is left in its place', async () => {
        const old = await open();
        await rotate(old, { successor: null });
        expect((await store.find(old.id))!.rotated).toEqual({ at: NOW, successor: null });
      });

      it('is over for a reader that knows only of the expiry, and never lives longer than it had', async () => {
        const old = await open({ ttl: seconds(10) });
        await rotate(old, { now: NOW + seconds(5) });
        expect((await store.find(old.id))!.session.expiresAt).toBe(NOW + seconds(5));
      });

      it('is not listed, not extended, not rotated again, and counts for nothing', async () => {
        const old = await open();
        const session = await rotate(old, { now: NOW + days(25) });
        const before = await store.find(old.id);
        // A process whose clock is behind still sees it as unexpired.
        const now = NOW + days(24);
        expect(await store.extend({ id: old.id, now, expiresAt: now + days(30), extendBelow: days(7) })).toBeNull();
        expect(await store.open(rotating(old, { now }))).toBeNull();
        expect(await store.find(old.id)).toEqual(before);
        expect((await store.listByUser(subject.ada)).map((listed) => listed.session.id)).toEqual([session.id]);
        expect(await store.deleteByUser(subject.ada)).toBe(1);
        expect(await subject.countRotated(subject.ada)).toBe(0);
      });

      it('is known to be its user’s, and one that is gone nobody’s', async () => {
        const old = await open();
        const bobs = await open({ userId: subject.bob });
        const successor = await rotate(old);
        const owners = await store.ownersOf([old.id, successor.id, bobs.id, newId()]);
        expect([...owners].toSorted()).toEqual([subject.ada, subject.bob].toSorted());
        expect(await store.ownersOf([newId()])).toEqual([]);
      });

      it('R38: takes no place under the cap, and survives it: also of the only session there may be', async () => {
        const other = await open();
        let session = await open();
        const old = session;
        for (let i = 0; i < 3; i++) session = await rotate(session, { maxPerUser: 2 });
        expect(await store.find(other.id)).not.toBeNull();
        session = await rotate(session, { maxPerUser: 1 });
        expect(await store.find(other.id)).toBeNull();
        expect((await store.find(old.id))!.rotated).not.toBeNull();
        expect(await subject.count(subject.ada)).toBe(1);
      });

      it('at most 25 of a user are kept, or as many as sessions: the most recent ones', async () => {
        for (const [maxPerUser, kept] of [
          [1, 25],
          [30, 30],
        ] as const) {
          const first = await open({ maxPerUser });
          let session = first;
          for (let i = 1; i <= 35; i++) session = await rotate(session, { now: NOW + i, maxPerUser });
          expect(await subject.countRotated(subject.ada)).toBe(kept);
          expect(await store.find(first.id)).toBeNull();
          expect((await store.find(session.id))!.rotated).toBeNull();
          await store.deleteByUser(subject.ada);
        }
      });
    });

    describe('R14: reuse', () => {
      it('ends the whole family and no other session, and says so once', async () => {
        const first = await open();
        const second = await rotate(first);
        const third = await rotate(second);
        const other = await open();
        expect(await store.deleteReused(first.id)).toBe(true);
        for (const { id } of [first, second, third]) expect(await store.find(id)).toBeNull();
        expect(await store.find(other.id)).not.toBeNull();
        for (const { id } of [first, second]) expect(await store.deleteReused(id)).toBe(false);
        expect(await store.deleteReused(newId())).toBe(false);
      });

      it('of 20 that notice it at once one is told', async () => {
        const first = await open();
        await rotate(first);
        const results = await Promise.all(Array.from({ length: 20 }, () => store.deleteReused(first.id)));
        expect(results.filter(Boolean)).toHaveLength(1);
        expect(await subject.count(subject.ada)).toBe(0);
      });
    });

    describe('R18: a family ends as a whole', () => {
      const ends: [string, (old: Session) => Promise<unknown>][] = [
        ['delete', (old) => store.delete([old.id])],
        ['deleteByHandle', (old) => store.deleteByHandle(old.userId, old.handle)],
        ['deleteByUser', (old) => store.deleteByUser(old.userId)],
        ['deleteReused', (old) => store.deleteReused(old.id)],
      ];

      it.each(ends)('%s of what was rotated ends what it led to', async (_, end) => {
        const old = await open();
        const session = await rotate(old);
        await end(old);
        expect([await store.find(old.id), await store.find(session.id)]).toEqual([null, null]);
        expect(await subject.countRotated(subject.ada)).toBe(0);
      });

      it.each(ends.slice(0, 3))('races of %s and a rotation leave nothing alive', async (_, end) => {
        for (let i = 0; i < RACES; i++) {
          const old = await open();
          const next = rotating(old);
          const both = [() => store.open(next), () => end(old)];
          await Promise.all((i % 2 ? both : both.toReversed()).map((call) => call()));
          expect([await store.find(old.id), await store.find(next.id)]).toEqual([null, null]);
        }
      });

      it('races of a reuse and the next rotation leave nothing alive', async () => {
        for (let i = 0; i < RACES; i++) {
          const first = await open();
          const second = await rotate(first);
          const next = rotating(second);
          const both = [() => store.open(next), () => store.deleteReused(first.id)];
          await Promise.all((i % 2 ? both : both.toReversed()).map((call) => call()));
          for (const { id } of [first, second, next]) expect(await store.find(id)).toBeNull();
        }
      });

      it('delete by either end, idempotently, and answers the session, not what it was rotated from', async () => {
        const first = await open();
        const second = await rotate(first);
        const bobs = await open({ userId: subject.bob });
        const ended = await store.delete([first.id, second.id, bobs.id]);
        expect(ended).toHaveLength(2);
        expect(ended).toEqual(expect.arrayContaining([nameOf(second), nameOf(bobs)]));
        expect(await store.delete([first.id, second.id])).toEqual([]);
      });

      it('calls for several users in any order do not wait for each other', async () => {
        for (let i = 0; i < 20; i++) {
          const [adas, bobs] = [await open(), await open({ userId: subject.bob })];
          const results = await Promise.all([store.delete([adas.id, bobs.id]), store.delete([bobs.id, adas.id])]);
          expect(results.flat()).toHaveLength(2);
          expect(results.flat()).toEqual(expect.arrayContaining([nameOf(adas), nameOf(bobs)]));
        }
      });

      it('R16: deleteByHandle of a foreign family has no effect', async () => {
        const old = await open();
        const session = await rotate(old);
        expect(await store.deleteByHandle(subject.bob, session.handle)).toBe(false);
        expect(await store.find(old.id)).not.toBeNull();
        expect(await store.deleteByHandle(subject.ada, session.handle)).toBe(true);
      });

      it('deleteByUser keeps the family of the exception, whichever end of it is named', async () => {
        const first = await open();
        const second = await rotate(first);
        await open();
        expect(await store.deleteByUser(subject.ada, second.id)).toBe(1);
        expect(await store.deleteByUser(subject.ada, first.id)).toBe(0);
        expect(await store.find(first.id)).not.toBeNull();
        expect(await store.find(second.id)).not.toBeNull();
        expect(await store.deleteByUser(subject.bob, second.id)).toBe(0);
        expect(await store.deleteByUser(subject.ada)).toBe(1);
      });
    });

    describe('R38: the cap', () => {
      it('ends the least recently used', async () => {
        const sessions: Session[] = [];
        for (let i = 0; i < 3; i++) sessions.push(await open({ now: NOW + minutes(i), maxPerUser: 3 }));
        await store.extend({
          id: sessions[0]!.id,
          now: NOW + days(25),
          expiresAt: NOW + days(55),
          extendBelow: days(7),
        });
        const last = await open({ now: NOW + days(26), maxPerUser: 3 });
        const left = (await store.listByUser(subject.ada)).map(({ session }) => session.id);
        expect(left).toEqual([last.id, sessions[0]!.id, sessions[2]!.id]);
      });

      it('counts each user alone', async () => {
        const bobs = await open({ userId: subject.bob, maxPerUser: 1 });
        await open({ maxPerUser: 1 });
        await open({ maxPerUser: 1 });
        expect(await store.find(bobs.id)).not.toBeNull();
        expect(await subject.count(subject.ada)).toBe(1);
      });

      it('ends an expired session before a live one', async () => {
        const live = await open({ now: NOW - days(2), ttl: days(30) });
        await open({ now: NOW - days(1), ttl: seconds(1) });
        await open({ maxPerUser: 2 });
        expect(await store.find(live.id)).not.toBeNull();
      });

      it('holds while 60 logins happen at once', async () => {
        await Promise.all(Array.from({ length: 60 }, () => open({ maxPerUser: 5 })));
        expect(await subject.count(subject.ada)).toBe(5);
      });
    });

    describe('extend', () => {
      const extension = (id: string, now: number, expiresAt = now + days(30)) => ({
        id,
        now,
        expiresAt,
        extendBelow: days(7),
      });

      it('moves the expiry and the last use, and answers the new expiry', async () => {
        const { id } = await open();
        const now = NOW + days(24);
        expect(await store.extend(extension(id, now))).toBe(now + days(30));
        expect((await store.find(id))!.session).toMatchObject({ expiresAt: now + days(30), lastSeenAt: now });
      });

      it('R35: never moves the authentication', async () => {
        const { id, authenticatedAt } = await open();
        await store.extend(extension(id, NOW + days(24)));
        expect((await store.find(id))!.session.authenticatedAt).toBe(authenticatedAt);
      });

      it('never sets an expiry past the absolute lifetime', async () => {
        const { id } = await open({ absoluteLifetime: days(40) });
        expect(await store.extend(extension(id, NOW + days(24)))).toBe(NOW - 5 + days(40));
      });

      it.each<[string, number]>([
        ['exactly the threshold is left', days(23)],
        ['it is over at this very instant', days(30)],
        ['it was over yesterday', days(31)],
      ])('writes nothing when %s', async (_, later) => {
        const session = await open();
        expect(await store.extend(extension(session.id, NOW + later))).toBeNull();
        expect((await store.find(session.id))!.session).toEqual(session);
      });

      it('R18: never brings a deleted session back', async () => {
        const { id } = await open();
        await store.delete([id]);
        expect(await store.extend(extension(id, NOW + days(24)))).toBeNull();
        expect(await store.find(id)).toBeNull();
      });

      it('of 20 concurrent extensions one writes', async () => {
        const { id } = await open();
        const results = await Promise.all(
          Array.from({ length: 20 }, (_, i) => store.extend(extension(id, NOW + days(24) + i))),
        );
        expect(results.filter((expiresAt) => expiresAt !== null)).toHaveLength(1);
      });
    });

    describe('data', () => {
      const update = (id: string, patch: object, now = NOW) =>
        store.updateData({ id, now, change: checkedChange(patch) });
      const dataOf = async ({ id }: Session) => (await store.find(id))!.session.data;

      it('is set and deleted field by field, and read back as it was given', async () => {
        const session = await open();
        const other = await open();
        const values = {
          'a key\t"\n = \\ ü': 'text\twith\n"all" \\ sorts, ü and 🦆: {}',
          '': '',
          empty: { list: [], object: {}, nothing: null },
          numbers: [0, -1.5, 1e21, 2 ** 53 + 2, 5e-7, 0.1],
          constructor: { prototype: [[false]] },
        };
        expect(await update(session.id, values)).toEqual(values);
        expect(await dataOf(session)).toEqual(values);
        const left = { ...values, '': ['new'], numbers: true };
        delete (left as Partial<typeof left>).constructor;
        expect(await update(session.id, { '': ['new'], numbers: true, constructor: null, unknown: undefined })).toEqual(
          left,
        );
        const [listed] = (await store.listByUser(subject.ada)).filter((one) => one.session.id === session.id);
        expect(listed!.session.data).toEqual(left);
        expect(await dataOf(other)).toEqual({});
        const none = Object.fromEntries(Object.keys(values).map((key) => [key, null]));
        expect(await update(session.id, none)).toEqual({});
        expect(await update(session.id, {})).toEqual({});
        expect(await dataOf(session)).toEqual({});
      });

      it('keeps every one of 30 fields that are changed at once', async () => {
        const session = await open();
        const fields = Array.from({ length: 30 }, (_, i) => [`field${i}`, { i }] as const);
        const answers = await Promise.all(fields.map(([name, value]) => update(session.id, { [name]: value })));
        fields.forEach(([name, value], i) => expect(answers[i]).toHaveProperty(name, value));
        expect(await dataOf(session)).toEqual(Object.fromEntries(fields));
      });

      it('may have exactly so many bytes with what is there, and one more changes nothing', async () => {
        const session = await open();
        await update(session.id, { ü: 'kept', gone: 'x'.repeat(2000) });
        const room = MAX_SESSION_DATA - Buffer.byteLength('{"ü": "kept", "f": ""}');
        const before = await dataOf(session);
        expect(await update(session.id, { f: 'x'.repeat(2100) })).toBeNull();
        expect(await update(session.id, { gone: null, f: 'x'.repeat(room + 1) })).toBeNull();
        expect(await dataOf(session)).toEqual(before);
        const full = { ü: 'kept', f: 'x'.repeat(room) };
        expect(await update(session.id, { gone: null, f: full.f })).toEqual(full);
        expect(await dataOf(session)).toEqual(full);
      });

      it('stays when the session is extended, goes along when it is rotated, and a login starts without', async () => {
        const first = await open();
        await update(first.id, { tenant: 'acme', basket: [1] });
        const now = NOW + days(24);
        await store.extend({ id: first.id, now, expiresAt: now + days(30), extendBelow: days(7) });
        expect(await dataOf(first)).toEqual({ tenant: 'acme', basket: [1] });
        const second = await rotate(first, { now });
        expect(second.data).toEqual({ tenant: 'acme', basket: [1] });
        await update(second.id, { basket: null }, now);
        const third = await rotate(second, { now });
        expect(await dataOf(third)).toEqual({ tenant: 'acme' });
        const login = await open({ replaces: third.id, now });
        expect([login.data, await dataOf(login)]).toEqual([{}, {}]);
      });

      it.each<[string, number, (session: Session) => Promise<unknown>]>([
        ['gone', 0, (session) => store.delete([session.id])],
        ['over at this instant', days(30), async () => {}],
        ['rotated', 0, (session) => rotate(session)],
      ])('is not changed, and nothing comes back, when the session is %s', async (_, later, end) => {
        const session = await open();
        await end(session);
        const before = await store.find(session.id);
        expect(await update(session.id, { tenant: 'acme' }, NOW + later)).toBeNull();
        expect(await store.find(session.id)).toEqual(before);
        expect(await update(newId(), { tenant: 'acme' })).toBeNull();
      });

      it('races with a rotation: either the change was first and went along, or it is refused', async () => {
        for (let i = 0; i < RACES; i++) {
          const session = await open();
          const both = [() => rotate(session), () => update(session.id, { i })];
          const results = await Promise.all((i % 2 ? both : both.toReversed()).map((call) => call()));
          const [rotated, changed] = i % 2 ? results : results.toReversed();
          expect(await dataOf(rotated as Session)).toEqual(changed ?? {});
          await store.deleteByUser(subject.ada);
        }
      });
    });

    it('deletes by id, idempotently, and answers what has ended', async () => {
      const [a, b] = [await open(), await open()];
      const ended = await store.delete([a.id, b.id, newId()]);
      expect(ended).toHaveLength(2);
      expect(ended).toEqual(expect.arrayContaining([nameOf(a), nameOf(b)]));
      expect(await store.delete([a.id])).toEqual([]);
      expect(await store.delete([])).toEqual([]);
    });

    it('R16: deletes by handle for the owner only', async () => {
      const session = await open();
      expect(await store.deleteByHandle(subject.bob, session.handle)).toBe(false);
      expect(await store.find(session.id)).not.toBeNull();
      expect(await store.deleteByHandle(subject.ada, session.handle)).toBe(true);
      expect(await store.find(session.id)).toBeNull();
    });

    it("deletes all of a user's sessions but one, and nobody else's", async () => {
      const [kept, , bobs] = [await open(), await open(), await open({ userId: subject.bob })];
      expect(await store.deleteByUser(subject.ada, kept.id)).toBe(1);
      expect(await store.find(kept.id)).not.toBeNull();
      expect(await store.deleteByUser(subject.ada)).toBe(1);
      expect(await store.find(bobs.id)).not.toBeNull();
    });

    it('lists the most recently used first, with the user', async () => {
      const ids = [];
      for (let i = 0; i < 3; i++) ids.push((await open({ now: NOW + i })).id);
      const listed = await store.listByUser(subject.ada);
      expect(listed.map(({ session }) => session.id)).toEqual(ids.toReversed());
      expect(listed[0]!.user.id).toBe(subject.ada);
    });
  });
}
