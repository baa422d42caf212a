import { CreateUsers1763683200001 } from './migrations/1763683200001-create-users.js';
import { CreateRevokedTokens1763683200005 } from './migrations/1763683200005-create-revoked-tokens.js';
import { createSessionsFor } from './migrations/1763683200002-create-sessions.js';

/** The migrations of this module, for `TypeOrmModule.forRoot({ migrations: [...authMigrations, …] })`. */
export const authMigrations = [
  CreateUsers1763683200001,
  createSessionsFor('uuid', { referencesUsers: true }),
  CreateRevokedTokens1763683200005,
];
