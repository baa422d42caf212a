import { afterAll, beforeAll, describe } from '@jest/globals';
import { seconds } from 'nestjs-latchkey';
import { itExplainsEveryAnswer } from '../contract/history.contract.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

// Longer ones, with caches and negative controls, are in `test/long`.
describe('two processes, 200 sessions, everything at once, for a second or 2,000 operations', () => {
  let db: TestDatabase;
  beforeAll(async () => {
    db = await createTestDatabase();
  });
  afterAll(() => db?.drop());

  itExplainsEveryAnswer(() => ({ databaseUrl: db.url }), {
    duration: seconds(1),
    operations: 2_000,
    processes: 2,
    sessions: 200,
    users: 40,
  });
});
