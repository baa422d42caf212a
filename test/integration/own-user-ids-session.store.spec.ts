import type { UserIdType } from 'nestjs-latchkey';
import { describe } from '@jest/globals';
import { sessionStoreContract } from '../contract/session-store.contract.js';
import { sessionStoreOnAccounts } from '../support/session-stores.js';

// By integer: beside the store of our own users.
describe.each<[UserIdType, string, string]>([
  ['bigint', '9007199254740993', '2'],
  ['text', 'user:ada', 'user:bob'],
  ['uuid', '00000000-0000-4000-8000-000000000001', '00000000-0000-4000-8000-000000000002'],
])('a host with a user table of its own, keyed by %s', (userId, ada, bob) => {
  sessionStoreContract(`TypeORM, ${userId} user ids`, () => sessionStoreOnAccounts(userId, ada, bob));
});
