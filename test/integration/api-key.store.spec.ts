import { Injectable } from '@nestjs/common';
import { AuthTransaction, PostgresUserDirectory, type AuthUser } from 'nestjs-latchkey';
import { ApiKeyStore } from '../../src/api-key/api-key.store.js';
import { CachedApiKeyStore } from '../../src/api-key/cached-api-key.store.js';
import { apiKeyStoreContract } from '../contract/api-key-store.contract.js';
import { createUser, startTestApp, type TestAppOptions } from '../support/app.js';

/** One that no store can join with its own table. */
@Injectable()
class ApartDirectory extends PostgresUserDirectory {
  override async findById(id: string): Promise<AuthUser | null> {
    return super.findById(id);
  }
}

const subject = (auth: TestAppOptions['auth'], isCached: boolean) => async () => {
  const t = await startTestApp({ auth: { flows: { apiKeys: { scopes: ['notes:read'] } }, ...auth } });
  const store = t.app.get(ApiKeyStore);
  if (store instanceof CachedApiKeyStore !== isCached) throw new Error('The application has another store.');
  const users = t.app.get(PostgresUserDirectory);
  return {
    store,
    createOwner: async () => (await createUser(t.app)).id,
    disable: (id: string) => users.disable(id),
    deleteOwner: (id: string) => users.delete(id),
    within: <T>(work: () => Promise<T>) => t.app.get(AuthTransaction).run(work),
    clear: async () => void (await t.db.query('DELETE FROM auth_api_keys')),
    close: () => t.close(),
  };
};

apiKeyStoreContract('PostgreSQL', subject({ cache: { enabled: false } }, false));
apiKeyStoreContract('PostgreSQL, users apart', subject({ cache: { enabled: false }, users: ApartDirectory }, false));
apiKeyStoreContract('cached', subject({ cache: { enabled: true } }, true));
apiKeyStoreContract('cached, users apart', subject({ cache: { enabled: true }, users: ApartDirectory }, true));
