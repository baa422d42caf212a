import { afterEach, beforeEach, describe } from '@jest/globals';
import { historyContract } from '../contract/history.contract.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

describe('three processes, 2,000 sessions, everything at once', () => {
  let db: TestDatabase;
  beforeEach(async () => {
    db = await createTestDatabase();
  });
  afterEach(() => db?.drop());

  historyContract(() => ({ databaseUrl: db.url }));
});
