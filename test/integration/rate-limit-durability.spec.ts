import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { INestApplication } from '@nestjs/common';
import { AuthTransaction, EphemeralTokenService, PostgresUserDirectory, RateLimitService } from 'nestjs-latchkey';
import { signInAs } from 'nestjs-latchkey/testing';
import { startTestApp, type TestApp } from '../support/app.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

const TABLES = ['auth_rate_limit_events', 'auth_ephemeral_tokens', 'sessions'];
const SUBJECT = 'ada@example.com';
const LIMITED = ['auth_rate_limit_events'];

/** A deferred trigger runs as the last thing before the commit, so it sees what the commit will do. */
const WITNESS = `
  CREATE TABLE commits (relation text, synchronous_commit text);
  CREATE FUNCTION witness() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    INSERT INTO public.commits VALUES (TG_TABLE_NAME, current_setting('synchronous_commit'));
    RETURN NULL;
  END $$;
  ${TABLES.map(
    (table) => `CREATE CONSTRAINT TRIGGER witness AFTER INSERT ON ${table} DEFERRABLE INITIALLY DEFERRED
      FOR EACH ROW EXECUTE FUNCTION witness();`,
  ).join('\n')}`;

describe('which commits wait for the disk', () => {
  let db: TestDatabase;
  let t: TestApp;
  let durable: TestApp;
  beforeAll(async () => {
    db = await createTestDatabase();
    // The server of the tests has it off.
    await db.query(`ALTER DATABASE ${new URL(db.url).pathname.slice(1)} SET synchronous_commit = on`);
    await db.query(WITNESS);
    t = await startTestApp({ url: db.url });
    durable = await startTestApp({ url: db.url, auth: { rateLimits: { durable: true } } });
  });
  afterAll(async () => {
    await durable?.close();
    await t?.close();
    await db?.drop();
  });
  beforeEach(() => db.query('TRUNCATE commits, auth_rate_limit_events'));

  const commits = (relations: readonly string[] = TABLES) =>
    db.query('SELECT DISTINCT relation, synchronous_commit FROM commits WHERE relation = ANY ($1) ORDER BY 1', [
      relations,
    ]);
  const waits = (relation: string) => ({ relation, synchronous_commit: 'on' });
  const waitsNot = (relation: string) => ({ relation, synchronous_commit: 'off' });

  const RECORDS: [string, (app: INestApplication) => Promise<unknown>][] = [
    ['consume', (app) => app.get(RateLimitService).consume('login_ip', SUBJECT)],
    [
      'consumeAll',
      (app) =>
        app.get(RateLimitService).consumeAll([
          { event: 'login_ip', subject: SUBJECT },
          { event: 'mail_ip', subject: SUBJECT },
        ]),
    ],
    ['record', (app) => app.get(RateLimitService).record('login_ip', SUBJECT)],
  ];

  it.each(RECORDS)('%s: an event does not wait', async (_, recordOn) => {
    await recordOn(t.app);
    expect(await commits()).toEqual(LIMITED.map(waitsNot));
  });

  it.each(RECORDS)('%s: with rateLimits.durable it does', async (_, recordOn) => {
    await recordOn(durable.app);
    expect(await commits()).toEqual(LIMITED.map(waits));
  });

  it('tokens and sessions wait, also after an event on the same connection', async () => {
    await t.app.get(RateLimitService).consume('login_ip', SUBJECT);
    const ada = await t.app.get(PostgresUserDirectory).create(SUBJECT, 'correct horse battery staple');
    await signInAs(t.app, ada.id);
    await t.app.get(EphemeralTokenService).issue('password_reset', { username: SUBJECT });
    expect(await commits(['auth_ephemeral_tokens', 'sessions'])).toEqual(
      ['auth_ephemeral_tokens', 'sessions'].map(waits),
    );
  });

  it('an event inside a transaction commits alone, and the transaction waits', async () => {
    await t.app.get(AuthTransaction).run(async () => {
      await t.app.get(EphemeralTokenService).issue('password_reset', { username: SUBJECT });
      for (const [, recordOn] of RECORDS) await recordOn(t.app);
    });
    expect(await commits()).toEqual([waits('auth_ephemeral_tokens'), ...LIMITED.map(waitsNot)]);
  });
});
