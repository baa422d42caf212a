import { RevokedTokenEntity } from '../jwt/revoked-token.entity.js';
import { sessionEntityFor, type UserIdType } from '../session/session.entity.js';
import { CreateRevokedTokens1763683200005 } from './migrations/1763683200005-create-revoked-tokens.js';
import { createSessionsFor } from './migrations/1763683200002-create-sessions.js';

/**
 * Entities and migrations for a host that keeps users in a table or service of its own: no table `users`, no foreign
 * key, and `user_id` columns of the host's type. Use them in place of `authEntities` and `authMigrations`.
 */
export function authSchemaFor({ userId }: { userId: UserIdType }) {
  return {
    entities: [sessionEntityFor(userId), RevokedTokenEntity],
    migrations: [createSessionsFor(userId, { referencesUsers: false }), CreateRevokedTokens1763683200005],
  };
}
