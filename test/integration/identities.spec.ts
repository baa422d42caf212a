import { randomUUID } from 'node:crypto';
import { beforeEach, describe, expect, it } from '@jest/globals';
import { AuthEvents, AuthTransaction, days, SessionService, type AuthEvent, type AuthUser } from 'nestjs-latchkey';
import { IdentityStore, PasskeyStore } from 'nestjs-latchkey/engine';
import { EmailChangeService, IdentityService, PasskeyService } from 'nestjs-latchkey/flows';
import { createUser } from '../support/app.js';
import { movedAccount, newMails } from '../support/flows.js';
import { until } from '../support/heard.js';
import { identityOf, OIDC } from '../support/identities.js';
import { sharedPairOfApps } from '../support/shared-app.js';

const LATER = 1_800_000_000_000;

describe('identities over two pools', () => {
  const apps = sharedPairOfApps({ auth: OIDC });
  let ada: AuthUser;
  let bob: AuthUser;
  beforeEach(async () => {
    [ada, bob] = [await createUser(apps[0].app), await createUser(apps[0].app)];
  });
  const store = (i = 0) => apps[i % 2]!.app.get(IdentityStore);
  /** 50 calls at once, by turns over two pools. */
  const race = <T>(work: (i: number) => Promise<T>) => Promise.all(Array.from({ length: 50 }, (_, i) => work(i)));
  const count = (outcomes: readonly unknown[], outcome: unknown) => outcomes.filter((one) => one === outcome).length;

  it('stores an identity and finds it by issuer and subject, letter by letter', async () => {
    const identity = identityOf(ada);
    expect(await store().add(identity)).toBe('added');
    const { issuer, subject } = identity;
    expect(await store().find(issuer, subject)).toEqual({ ...identity, lastUsedAt: null });
    expect(await store().find(`${issuer}/`, subject)).toBeNull();
    expect(await store().find(issuer, subject.toUpperCase())).toBeNull();
    expect(await store().find(issuer, `${subject} `)).toBeNull();
    expect(await store().hasAny(ada.id)).toBe(true);
    expect(await store().hasAny(bob.id)).toBe(false);
  });

  it('F61: of 50 parallel links of one identity to two users one is stored, and the others are told that it is taken', async () => {
    const identity = identityOf(ada);
    const outcomes = await race((i) =>
      store(i).add({ ...identity, id: randomUUID(), userId: i % 3 ? bob.id : ada.id }),
    );
    expect([count(outcomes, 'added'), count(outcomes, 'taken')]).toEqual([1, 49]);
    const all = [...(await store().listByUser(ada.id)), ...(await store().listByUser(bob.id))];
    expect(all).toHaveLength(1);
  });

  it('F61: of 50 parallel links of one user at one provider one is stored, and the others are told that there is one', async () => {
    const outcomes = await race((i) => store(i).add(identityOf(ada)));
    expect([count(outcomes, 'added'), count(outcomes, 'full')]).toEqual([1, 49]);
    expect(await store().add(identityOf(ada, { provider: 'other' }))).toBe('added');
  });

  it('F61: the subject of another issuer is another identity', async () => {
    const identity = identityOf(ada);
    await store().add(identity);
    expect(await store().add({ ...identityOf(bob), subject: identity.subject, issuer: 'https://b.example' })).toBe(
      'added',
    );
    expect(await store().find('https://b.example', identity.subject)).toMatchObject({ userId: bob.id });
    expect(await store().find(identity.issuer, identity.subject)).toMatchObject({ userId: ada.id });
  });

  it('a user of another account keeps it; one that does not exist gets none', async () => {
    await expect(store().add(identityOf({ id: randomUUID() }))).rejects.toMatchObject({ code: 'USER_NOT_FOUND' });
    await expect(store().add(identityOf({ id: 'nobody' }))).rejects.toMatchObject({ code: 'USER_NOT_FOUND' });
    expect(await store().listByUser('nobody')).toEqual([]);
    expect(await store().removeSince({ id: 'nobody', email: ada.email }, { since: 0, foreignSince: 0 })).toEqual([]);
    expect(await store().delete('nobody', randomUUID())).toBe(false);
    expect(await store().delete(ada.id, 'no id')).toBe(false);
    expect(await store().use('no id', { email: null, now: LATER })).toBe(false);
  });

  it('records the latest use and the address of it; of one that was unlinked it records none', async () => {
    const identity = identityOf(ada);
    await store().add(identity);
    await race((i) => store(i).use(identity.id, { email: 'new@example.com', now: LATER + i }));
    expect(await store().listByUser(ada.id)).toMatchObject([{ email: 'new@example.com', lastUsedAt: LATER + 49 }]);
    expect(await store().use(identity.id, { email: null, now: LATER })).toBe(true);
    expect(await store().listByUser(ada.id)).toMatchObject([{ email: null, lastUsedAt: LATER + 49 }]);
    expect(await store().delete(bob.id, identity.id)).toBe(false);
    const gone = await race((i) => store(i).delete(ada.id, identity.id));
    expect(count(gone, true)).toBe(1);
    expect(await store().use(identity.id, { email: null, now: LATER })).toBe(false);
  });

  it('removes those that were linked since, of this user alone', async () => {
    const at = (linkedAt: number, provider: string) => identityOf(ada, { linkedAt, provider });
    for (const identity of [at(1_000, 'before'), at(2_000, 'then'), at(3_000, 'after'), identityOf(bob)]) {
      await store().add(identity);
    }
    const since = { since: 2_000, foreignSince: 2_000 };
    expect((await store().removeSince(ada, since)).toSorted()).toEqual(['after', 'then']);
    expect((await store().listByUser(ada.id)).map(({ provider }) => provider)).toEqual(['before']);
    expect(await store().hasAny(bob.id)).toBe(true);
    expect(await store().removeSince(ada, since)).toEqual([]);
  });

  it('removes those of another address that were linked a while before, too', async () => {
    const at = (linkedAt: number, provider: string, email: string | null) =>
      identityOf(ada, { linkedAt, provider, email });
    const own = ada.email.toUpperCase();
    for (const identity of [
      at(999, 'long before', 'thief@example.com'),
      at(1_000, 'foreign', 'thief@example.com'),
      at(1_500, 'unknown', null),
      at(1_500, 'own', own),
      at(2_000, 'own, since', own),
    ]) {
      await store().add(identity);
    }
    const removed = await store().removeSince(ada, { since: 2_000, foreignSince: 1_000 });
    expect(removed.toSorted()).toEqual(['foreign', 'own, since', 'unknown']);
    expect((await store().listByUser(ada.id)).map(({ provider }) => provider)).toEqual(['long before', 'own']);
  });

  it('F46: a link that is under way is seen by what removes it, or waits for it', async () => {
    const { app } = apps[0];
    let removed: Promise<string[]> | undefined;
    await app.get(AuthTransaction).run(async () => {
      await store().add(identityOf(ada));
      // Of another process, and begun before this one ends.
      removed = apps[1].app.get(AuthTransaction).run(async () => {
        await store(1).lockWaysIn(ada.id);
        return store(1).removeSince(ada, { since: 0, foreignSince: 0 });
      });
      await until(async () => {
        const waiting = `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`;
        return (await apps[0].db.query(waiting)).length === 1;
      });
    });
    expect(await removed).toEqual(['idp']);
    expect(await store().hasAny(ada.id)).toBe(false);
  });

  it('goes with its account', async () => {
    const identity = identityOf(ada);
    await store().add(identity);
    await apps[0].db.query('DELETE FROM users WHERE id = $1', [ada.id]);
    expect(await store().find(identity.issuer, identity.subject)).toBeNull();
  });

  describe('unlinking', () => {
    const sessionOf = async ({ id }: AuthUser, age = 0) => {
      const authenticatedAt = apps[0].clock.now() - age;
      return (await apps[0].app.get(SessionService).create(id, { aal: 2, amr: ['passkey'], authenticatedAt })).session;
    };
    const linked = async (user: AuthUser, provider = 'idp') => {
      const identity = identityOf(user, { provider });
      await store().add(identity);
      return identity.id;
    };
    const passkeyOf = async ({ id: userId }: AuthUser) => {
      const id = randomUUID();
      const of = { id, userId, userHandle: 'h', credentialId: id, publicKey: new Uint8Array(1), signCount: 0 };
      const more = {
        aaguid: null,
        transports: [],
        multiDevice: false,
        backedUp: false,
        name: 'Phone',
        createdAt: 1_000,
      };
      await apps[0].app.get(PasskeyStore).add({ ...of, ...more }, 20);
      return id;
    };
    const withoutPassword = ({ id }: AuthUser) =>
      apps[0].db.query(`UPDATE users SET password_hash = '!' WHERE id = $1`, [id]);
    const codes = (results: readonly PromiseSettledResult<unknown>[]) =>
      results.map((one) => (one.status === 'fulfilled' ? 'done' : (one.reason as { code: string }).code)).toSorted();
    const service = (i = 0) => apps[i % 2]!.app.get(IdentityService);

    it('lists what its owner knows of it, and no subject', async () => {
      const id = await linked(ada);
      expect(await service().list(ada.id)).toEqual([
        {
          id,
          provider: 'idp',
          label: 'Example ID',
          email: 'ada@idp.example',
          linkedAt: 1_700_000_000_000,
          lastUsedAt: null,
        },
      ]);
      await linked(ada, 'gone');
      expect((await service().list(ada.id)).map(({ label }) => label).toSorted()).toEqual(['Example ID', 'gone']);
    });

    it('F26: tells its owner, ends the other sessions, and can be done once', async () => {
      const [session, other] = [await sessionOf(ada), await sessionOf(ada)];
      const id = await linked(ada);
      await newMails(apps[0].app);
      const events: AuthEvent[] = [];
      const stop = apps.map(({ app }) => app.get(AuthEvents).on((event) => void events.push(event)));
      const results = await Promise.allSettled([0, 1, 0, 1].map((i) => service(i).unlink({ user: ada, session }, id)));
      expect(codes(results)).toEqual(['IDENTITY_NOT_FOUND', 'IDENTITY_NOT_FOUND', 'IDENTITY_NOT_FOUND', 'done']);
      stop.forEach((end) => end());
      const told = events.filter(({ type }) => type === 'identity.unlinked');
      expect(told).toMatchObject([{ userId: ada.id, provider: 'idp', ip: null }]);
      const mails = [...(await newMails(apps[0].app)), ...(await newMails(apps[1].app))];
      expect(mails).toMatchObject([{ kind: 'identity_unlinked', to: { address: ada.email }, provider: 'Example ID' }]);
      const live = (await apps[0].app.get(SessionService).listForUser(ada.id)).map(({ handle }) => handle);
      expect(live).toEqual([session.handle]);
      expect(live).not.toContain(other.handle);
    });

    it('F64: the last way in stays, also of two removals at once, of an identity and of a passkey', async () => {
      const session = await sessionOf(ada);
      const [one, two] = [await linked(ada), await passkeyOf(ada)];
      await withoutPassword(ada);
      const results = await Promise.allSettled([
        service(0).unlink({ user: ada, session }, one),
        apps[1].app.get(PasskeyService).remove({ user: ada, session }, two),
      ]);
      expect(codes(results)).toEqual(['LAST_LOGIN_METHOD', 'done']);
      const left = [...(await store().listByUser(ada.id)), ...(await apps[0].app.get(PasskeyStore).listByUser(ada.id))];
      expect(left).toHaveLength(1);
    });

    it('F64: one whose provider is no longer configured is no way in', async () => {
      const session = await sessionOf(ada);
      const [kept] = [await linked(ada), await linked(ada, 'gone')];
      await withoutPassword(ada);
      await expect(service().unlink({ user: ada, session }, kept)).rejects.toMatchObject({ code: 'LAST_LOGIN_METHOD' });
      expect(await store().listByUser(ada.id)).toHaveLength(2);
    });

    it("needs a fresh session, and finds no identity of another user's", async () => {
      const id = await linked(ada);
      const stale = { user: ada, session: await sessionOf(ada, 3_600_000) };
      await expect(service().unlink(stale, id)).rejects.toMatchObject({ code: 'STEP_UP_REQUIRED' });
      const another = { user: bob, session: await sessionOf(bob) };
      await expect(service().unlink(another, id)).rejects.toMatchObject({ code: 'IDENTITY_NOT_FOUND' });
      expect(await store().hasAny(ada.id)).toBe(true);
    });

    it('F46: a revert of a change of address unlinks what was linked since, and tells the owner', async () => {
      const { app, clock } = apps[0];
      const earlier = await createUser(app);
      await store().add(identityOf(earlier));
      const { user, undo } = await movedAccount(app);
      await store().add(identityOf(user, { provider: 'before', linkedAt: 1_000 }));
      await store().add(identityOf(user, { linkedAt: clock.now() + 1 }));
      // A thief may have linked one first; the owner's has the address of the account, or has been there for longer.
      const soon = clock.now() - days(6);
      await store().add(identityOf(user, { provider: 'thief', linkedAt: soon, email: 'thief@example.com' }));
      await newMails(app);
      await app.get(EmailChangeService).revert(undo);
      expect((await store().listByUser(user.id)).map(({ provider }) => provider)).toEqual(['before']);
      const mails = await newMails(app);
      expect(mails).toContainEqual(expect.objectContaining({ kind: 'identity_unlinked', provider: 'Example ID' }));
      expect(await store().hasAny(earlier.id)).toBe(true);
    });
  });
});
