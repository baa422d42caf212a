import { afterAll, afterEach, beforeAll, beforeEach, describe } from '@jest/globals';
import { historyContract } from '../contract/history.contract.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { startPgBouncer, type PgBouncer } from '../support/pgbouncer.js';

describe('H21: three processes, 2,000 sessions through PgBouncer in transaction mode, everything at once', () => {
  let bouncer: PgBouncer;
  let db: TestDatabase;
  beforeAll(async () => {
    bouncer = await startPgBouncer(process.env['LATCHKEY_TEST_SERVER']!, { mode: 'transaction', poolSize: 8 });
  });
  afterAll(() => bouncer?.stop());
  beforeEach(async () => {
    db = await createTestDatabase();
  });
  afterEach(() => db?.drop());

  historyContract(() => ({ databaseUrl: bouncer.url(db.url), cacheUrl: db.url }));
});
