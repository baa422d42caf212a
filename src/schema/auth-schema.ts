import { AuditEventEntity } from './entities/audit-event.entity.js';
import { RevokedTokenEntity } from './entities/revoked-token.entity.js';
import { EphemeralTokenEntity } from './entities/ephemeral-token.entity.js';
import { RateLimitEventEntity } from './entities/rate-limit-event.entity.js';
import { sessionEntityFor, type UserIdType } from './entities/session.entity.js';
import { CreateRevokedTokens1763683200005 } from './migrations/1763683200005-create-revoked-tokens.js';
import { publishChangesFor } from './migrations/1763683200006-publish-changes.js';
import { Cleanup1763683200007 } from './migrations/1763683200007-cleanup.js';
import { CreateAuditEvents1763683200008 } from './migrations/1763683200008-create-audit-events.js';
import { LighterRateLimits1763683200009 } from './migrations/1763683200009-lighter-rate-limits.js';
import { openUnderTheCapFor } from './migrations/1763683200010-open-under-the-cap.js';
import { createSessionsFor } from './migrations/1763683200002-create-sessions.js';
import { CreateEphemeralTokens1763683200003 } from './migrations/1763683200003-create-ephemeral-tokens.js';
import { CreateRateLimits1763683200004 } from './migrations/1763683200004-create-rate-limits.js';

/**
 * Entities and migrations for a host that keeps users in a table or service of its own: no table `users`, no foreign
 * key, and `user_id` columns of the host's type. Use them in place of `authEntities` and `authMigrations`.
 */
export function authSchemaFor({ userId }: { userId: UserIdType }) {
  return {
    entities: [
      sessionEntityFor(userId),
      EphemeralTokenEntity,
      RateLimitEventEntity,
      RevokedTokenEntity,
      AuditEventEntity,
    ],
    migrations: [
      createSessionsFor(userId, { referencesUsers: false }),
      CreateEphemeralTokens1763683200003,
      CreateRateLimits1763683200004,
      CreateRevokedTokens1763683200005,
      publishChangesFor({ referencesUsers: false }),
      Cleanup1763683200007,
      CreateAuditEvents1763683200008,
      LighterRateLimits1763683200009,
      openUnderTheCapFor(userId, { referencesUsers: false }),
    ],
  };
}
