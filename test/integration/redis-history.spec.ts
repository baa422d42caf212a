import { afterEach, beforeEach, describe } from '@jest/globals';
import { historyContract } from '../contract/history.contract.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

describe.each([
  ['one Redis', 'LATCHKEY_TEST_REDIS'],
  ['a cluster of three', 'LATCHKEY_TEST_REDIS_CLUSTER'],
])('three processes, 2,000 sessions on %s, everything at once', (_, servers) => {
  let db: TestDatabase;
  beforeEach(async () => {
    db = await createTestDatabase();
  });
  afterEach(() => db?.drop());

  historyContract(() => ({ databaseUrl: db.url, redisUrls: process.env[servers]!.split(',') }));
});
