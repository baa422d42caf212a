import { randomBytes, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import {
  JwtCodecService,
  PostgresUserDirectory,
  SessionService,
  TokenRevocationService,
  type AuthUser,
} from 'nestjs-latchkey';
import { InvalidationChannel, SessionCache } from 'nestjs-latchkey/engine';
import { Client } from 'pg';
import { RevokedTokenStore } from '../../src/revocation/revoked-token.store.js';
import { createUser, startTestApp, type TestApp } from '../support/app.js';
import { heard, until } from '../support/heard.js';

const CHANNEL = 'nestjs_latchkey_public';

describe('H10: a role of the same database that has no privileges', () => {
  const role = `latchkey_nobody_${randomBytes(4).toString('hex')}`;
  let t: TestApp;
  let nobody: Client;
  let ada: AuthUser;
  const seen: string[] = [];

  beforeAll(async () => {
    t = await startTestApp({ auth: { cache: { enabled: true }, jwt: { sessions: true } } });
    await t.db.query(`CREATE ROLE ${role} LOGIN PASSWORD 'x'`);
    nobody = new Client({ connectionString: Object.assign(new URL(t.db.url), { username: role, password: 'x' }).href });
    await nobody.connect();
    nobody.on('notification', ({ payload = '' }) => seen.push(payload));
    await nobody.query(`LISTEN ${CHANNEL}`);
  });
  afterAll(async () => {
    await nobody?.end();
    await t?.db.query(`DROP ROLE ${role}`);
    await t?.close();
  });
  beforeEach(async () => {
    seen.length = 0;
    ada = await createUser(t.app);
  });

  const notify = (payload: string) => nobody.query('SELECT pg_notify($1, $2)', [CHANNEL, payload]);
  const sessions = () => t.app.get(SessionService);
  const revocation = () => t.app.get(TokenRevocationService);
  /** Looked up until memory answers it. */
  const cached = async () => {
    const issued = await sessions().create(ada.id);
    await until(
      async () => (await sessions().lookup(issued.token)) !== null && !!t.app.get(SessionCache).get(issued.session.id),
    );
    return issued;
  };
  const known = async (payload: Parameters<TokenRevocationService['userOf']>[0]) =>
    until(async () => {
      t.queries.reset();
      await revocation().userOf(payload);
      return t.queries.statements.length === 0;
    });

  it('H10: can end neither a session nor a JWT: a message makes the process read again, and no more', async () => {
    const { token, session } = await cached();
    const { payload } = t.app.get(JwtCodecService).encode(ada.id);
    await known(payload);
    const channel = t.app.get(InvalidationChannel);
    const hostile = [
      JSON.stringify({ tokens: [[payload.jti, payload.exp]] }),
      JSON.stringify({ tokens: [payload.jti], users: [ada.id], sessions: [session.id] }),
      // What it could only know by having the key, too.
      JSON.stringify({ tokens: [channel.digest('tokens', payload.jti)] }),
      JSON.stringify({ sessions: [channel.digest('sessions', session.id)], users: [channel.digest('users', ada.id)] }),
      JSON.stringify({ sessions: '*', users: '*', tokens: '*' }),
    ];
    for (const message of hostile) {
      const news = heard(t.app);
      await notify(message);
      await news;
      t.queries.reset();
      expect(await revocation().userOf(payload)).toMatchObject({ id: ada.id });
      expect(await sessions().lookup(token)).not.toBeNull();
      expect(t.queries.statements.length).toBeGreaterThan(0);
    }
  });

  it('H10: what it hears names no row: no id, no handle, no jti, and no hash of them', async () => {
    const { session } = await cached();
    const { payload } = t.app.get(JwtCodecService).encode(ada.id);
    const heardAll = heard(t.app, ({ users }) => users?.[0] === t.app.get(InvalidationChannel).digest('users', 'last'));
    await revocation().revoke(payload.jti, payload.exp);
    await sessions().revoke(session.id);
    await t.app.get(PostgresUserDirectory).disable(ada.id);
    await t.app.get(InvalidationChannel).publish({ users: ['last'] });
    await heardAll;
    await until(async () => (await nobody.query('SELECT'), seen.length >= 4));
    const facts = [session.id, session.handle, ada.id, ada.email, payload.jti, 'last'];
    const hashes = facts.flatMap((fact) => [fact, `users:${fact}`, `sessions:${fact}`, `tokens:${fact}`]);
    const digests = await t.db.query<{ digest: string }>(
      `SELECT encode(f.digest, 'hex') AS digest FROM unnest($1::text[]) AS fact
         CROSS JOIN LATERAL (VALUES (sha256(fact::bytea)), (decode(md5(fact), 'hex'))) AS f (digest)`,
      [hashes],
    );
    const telling = [...facts, ...facts.map((fact) => fact.replaceAll('-', '')), ...digests.map((row) => row.digest)];
    for (const message of seen) {
      expect(Object.values(JSON.parse(message) as object).flat()).toEqual([expect.stringMatching(/^[0-9a-f]{32}$/)]);
      for (const fact of telling) expect(message).not.toContain(fact.slice(0, 16));
    }
  });

  it('H10: cannot read the key, nor have a trigger of ours tell the digest of an id', async () => {
    await expect(nobody.query('SELECT key FROM public.latchkey_invalidation_key')).rejects.toMatchObject({
      code: '42501',
    });
    await nobody.query('CREATE TEMP TABLE ids (id uuid)');
    for (const name of ['users_delete', 'sessions_delete', 'revoked_tokens_insert']) {
      await expect(
        nobody.query(`CREATE TRIGGER spy AFTER DELETE ON ids REFERENCING OLD TABLE AS before
          FOR EACH STATEMENT EXECUTE FUNCTION public.latchkey_publish_${name}()`),
      ).rejects.toMatchObject({ code: '42501' });
    }
  });

  it('H10: without the key the application does not start, and says what to do; a change is "everything" meanwhile', async () => {
    const news = heard(t.app, ({ users }) => users === '*');
    await t.db.query('CREATE TABLE kept AS TABLE latchkey_invalidation_key; DELETE FROM latchkey_invalidation_key');
    await t.app.get(PostgresUserDirectory).disable(ada.id);
    await news;
    const started = startTestApp({ url: t.db.url, auth: { cache: { enabled: true } } });
    await expect(started).rejects.toMatchObject({
      code: 'SCHEMA_MISSING',
      message: expect.stringMatching(/Delete the row/),
    });
    await t.db.query("DELETE FROM migrations WHERE name LIKE 'CreateInvalidationKey%'");
    const again = await startTestApp({ url: t.db.url, auth: { cache: { enabled: true } } });
    expect(await t.db.query('SELECT length(key) AS bytes FROM latchkey_invalidation_key')).toEqual([{ bytes: 32 }]);
    await again.close();
    await t.db.query(
      'DELETE FROM latchkey_invalidation_key; INSERT INTO latchkey_invalidation_key SELECT * FROM kept; DROP TABLE kept',
    );
  });

  it('H10: a flood of 20,000 messages: the list of ended tokens is read once a second, and everyone is served', async () => {
    const { token } = await cached();
    const { payload } = t.app.get(JwtCodecService).encode(ada.id);
    await known(payload);
    let reads = 0;
    const store = t.app.get(RevokedTokenStore);
    const list = store.list.bind(store);
    store.list = (...given) => (reads++, list(...given));
    const started = performance.now();
    const flooding = { over: false };
    const digests = () => Array.from({ length: 100 }, () => randomUUID().replaceAll('-', ''));
    const last = t.app.get(InvalidationChannel).digest('users', 'last of the flood');
    const over = heard(t.app, ({ users }) => users?.[0] === last).then(() => (flooding.over = true));
    const flood = (async () => {
      for (let i = 0; i < 20; i++) {
        const many = JSON.stringify({ sessions: digests(), users: digests().slice(0, 50) });
        await nobody.query(`SELECT pg_notify($1, x) FROM unnest($2::text[]) x`, [
          CHANNEL,
          Array.from({ length: 1_000 }, (_, n) => [many, '{"tokens":"*"}', `garbage`][n % 3]!.padEnd(600 + n)),
        ]);
      }
      await notify(JSON.stringify({ users: [last] }));
    })();
    let requests = 0;
    t.queries.reset();
    while (!flooding.over) {
      expect(await revocation().userOf(payload)).toMatchObject({ id: ada.id });
      expect(await sessions().lookup(token)).not.toBeNull();
      requests++;
      await new Promise((next) => setImmediate(next));
    }
    await Promise.all([flood, over]);
    store.list = list;
    expect(reads).toBeLessThanOrEqual(2 + (performance.now() - started) / 1_000);
    // At most what a process without a cache asks.
    expect(t.queries.statements.length).toBeLessThanOrEqual(2 * requests + reads);
    expect(requests).toBeGreaterThan(0);
  });
});
