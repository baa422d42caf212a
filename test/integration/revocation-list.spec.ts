import { Logger } from '@nestjs/common';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import {
  AuthTransaction,
  JwtCodecService,
  minutes,
  TokenRevocationService,
  PostgresUserDirectory,
  type AuthUser,
  type TokenPayload,
} from 'nestjs-latchkey';
import { InvalidationChannel } from 'nestjs-latchkey/engine';
import { RevocationList } from '../../src/revocation/revocation-list.js';
import { TokenStates } from '../../src/revocation/token-states.js';
import { RevokedTokenStore } from '../../src/revocation/revoked-token.store.js';
import { closeAll, createUser, startTestApp, type TestApp } from '../support/app.js';
import { heard, until } from '../support/heard.js';

const CODES = { revoked: 'TOKEN_REVOKED', inactive: 'ACCOUNT_INACTIVE', invalidated: 'TOKENS_INVALIDATED' };

describe('ended tokens in memory', () => {
  let t: TestApp;
  let other: TestApp;
  let ada: AuthUser;

  beforeAll(async () => {
    t = await startTestApp({ auth: { cache: { enabled: true } } });
    other = await start();
  });
  afterAll(() => closeAll(other, t));
  beforeEach(async () => {
    ada = await createUser(t.app);
  });
  afterEach(() => void jest.restoreAllMocks());

  const start = (cache = {}) => startTestApp({ url: t.db.url, auth: { cache: { enabled: true, ...cache } } });
  const revocation = (app = t) => app.app.get(TokenRevocationService);
  const encode = () => t.app.get(JwtCodecService).encode(ada.id).payload;
  const check = (payload: TokenPayload, app = t) =>
    revocation(app)
      .userOf(payload)
      .then(
        ({ id }) => id,
        (error: { code: string }) => error.code,
      );
  /** Checked until nothing of it is asked of the database any more. */
  const known = async (payload: TokenPayload, app = t) => {
    const { memory } = app.app.get<{ memory: { revoked: object } }>(TokenStates);
    await until(async () => {
      // It would be read again a second after the last time.
      Object.assign(memory.revoked, { nextAttempt: 0 });
      app.queries.reset();
      return (await check(payload, app)) === payload.sub && app.queries.statements.length === 0;
    });
  };

  it('a token of a user who was seen lately costs no query, the first one does', async () => {
    const payload = encode();
    t.queries.reset();
    expect(await check(payload)).toBe(ada.id);
    expect(t.queries.names).toEqual(['latchkey_user_by_id']);
    for (let i = 0; i < 10; i++) expect(await check(encode())).toBe(ada.id);
    expect(t.queries.statements).toHaveLength(1);
  });

  it('a handler that writes to its user writes into no cache', async () => {
    Object.assign(await revocation().userOf(encode()), { id: 'mallory' });
    expect(await check(encode())).toBe(ada.id);
  });

  const endings: Record<keyof typeof CODES, (app: TestApp, payload: TokenPayload) => Promise<unknown>> = {
    revoked: (app, { jti, exp }) => revocation(app).revoke(jti, exp),
    inactive: (app) => app.app.get(PostgresUserDirectory).disable(ada.id),
    invalidated: (app) => revocation(app).revokeAllForUser(ada.id),
  };
  describe.each(Object.keys(endings) as (keyof typeof CODES)[])('%s', (ending) => {
    it('is seen here at once', async () => {
      const payload = encode();
      await known(payload);
      await endings[ending](t, payload);
      expect(await check(payload)).toBe(CODES[ending]);
    });

    it('is seen by every other instance as soon as it hears of it', async () => {
      const payload = encode();
      await known(payload);
      const news = heard(t.app);
      await endings[ending](other, payload);
      await news;
      expect(await check(payload)).toBe(CODES[ending]);
    });

    it('is seen by an instance that starts afterwards', async () => {
      const payload = encode();
      await endings[ending](other, payload);
      const late = await start();
      expect(await check(payload, late)).toBe(CODES[ending]);
      await late.close();
    });

    it('is seen while nothing is heard', async () => {
      const payload = encode();
      await known(payload);
      await deafen();
      await endings[ending](other, payload);
      expect(await check(payload)).toBe(CODES[ending]);
      await until(() => t.app.get(InvalidationChannel).isCurrent);
      expect(await check(payload)).toBe(CODES[ending]);
    });
  });

  const deafen = async () => {
    await t.db.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE application_name = 'nestjs-latchkey listener' AND datname = current_database()`);
    await until(() => !t.app.get(InvalidationChannel).isCurrent);
  };

  it('the end of one token costs no other a query', async () => {
    const [one, two] = [encode(), encode()];
    await known(two);
    await revocation().revoke(one.jti, one.exp);
    t.queries.reset();
    expect(await check(two)).toBe(ada.id);
    expect(await check(one)).toBe('TOKEN_REVOKED');
    expect(t.queries.statements).toEqual([]);
  });

  it('an end that is undone with its transaction leaves no trace', async () => {
    const payload = encode();
    await known(payload);
    await expect(
      t.app.get(AuthTransaction).run(async () => {
        await revocation().revoke(payload.jti, payload.exp);
        expect(await check(payload)).toBe('TOKEN_REVOKED');
        throw new Error('undone');
      }),
    ).rejects.toThrow('undone');
    expect(await check(payload)).toBe(ada.id);
    await known(payload);
  });

  it('an end inside a transaction is seen outside as soon as it is done', async () => {
    const payload = encode();
    await known(payload);
    await t.app.get(AuthTransaction).run(() => revocation().revoke(payload.jti, payload.exp));
    expect(await check(payload)).toBe('TOKEN_REVOKED');
  });

  it('what ends while the list is being read is on it', async () => {
    const payload = encode();
    const store = t.app.get(RevokedTokenStore);
    const list = store.list.bind(store);
    jest.spyOn(store, 'list').mockImplementationOnce(async (now, most) => {
      const listed = await list(now, most);
      await revocation().revoke(payload.jti, payload.exp);
      return listed;
    });
    t.app.get(InvalidationChannel).deliver({ tokens: '*' });
    await known(encode());
    t.queries.reset();
    expect(await check(payload)).toBe('TOKEN_REVOKED');
    expect(t.queries.statements).toEqual([]);
  });

  it('a list that cannot be read: the database is asked, and the list read later', async () => {
    const payload = encode();
    await known(payload);
    jest.spyOn(t.app.get(RevokedTokenStore), 'list').mockRejectedValueOnce(new Error('away'));
    t.app.get(InvalidationChannel).deliver({ tokens: '*' });
    expect(await check(payload)).toBe(ada.id);
    await revocation().revoke(payload.jti, payload.exp);
    expect(await check(payload)).toBe('TOKEN_REVOKED');
    await known(encode());
  });

  it('more than fit: the database is asked, and the log says what to raise', async () => {
    const warn = jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
    const [ended, live] = [encode(), encode()];
    for (const payload of [ended, encode(), encode(), encode()]) await revocation().revoke(payload.jti, payload.exp);
    const small = await start({ maxRevokedTokens: 3 });
    small.queries.reset();
    expect(await check(ended, small)).toBe('TOKEN_REVOKED');
    expect(await check(live, small)).toBe(ada.id);
    expect(small.queries.names).toEqual(['latchkey_revoked_token_state', 'latchkey_revoked_token_state']);
    expect(warn.mock.calls.map(String).join()).toContain('Raise cache.maxRevokedTokens');
    await small.close();
  });

  it('outgrown while it runs: the same', async () => {
    jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
    await t.db.query('DELETE FROM revoked_tokens');
    const small = await start({ maxRevokedTokens: 3 });
    const ended = Array.from({ length: 5 }, encode);
    for (const { jti, exp } of ended) await revocation(small).revoke(jti, exp);
    for (const payload of ended) expect(await check(payload, small)).toBe('TOKEN_REVOKED');
    expect(await check(encode(), small)).toBe(ada.id);
    await small.close();
  });

  it('R34: those that have expired by themselves do not pile up', async () => {
    await t.db.query('DELETE FROM revoked_tokens');
    const small = await start({ maxRevokedTokens: 2_000 });
    const list = new RevocationList(
      small.app.get(RevokedTokenStore),
      small.app.get(InvalidationChannel),
      small.clock,
      2_000,
    );
    await list.load();
    for (let i = 0; i < 5; i++) {
      for (let n = 0; n < 1_000; n++) list.add([`${i}-${n}`, small.clock.now() + minutes(1)]);
      small.clock.advance(minutes(2));
    }
    expect(list.has('unknown')).toBe(false); // the list is whole
    await small.close();
  });
});
