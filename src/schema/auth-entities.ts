import { AuditEventEntity } from './entities/audit-event.entity.js';
import { RevokedTokenEntity } from './entities/revoked-token.entity.js';
import { EphemeralTokenEntity } from './entities/ephemeral-token.entity.js';
import { RateLimitEventEntity } from './entities/rate-limit-event.entity.js';
import { SessionEntity } from './entities/session.entity.js';
import { UserEntity } from './entities/user.entity.js';

/** The entities of this module, for `TypeOrmModule.forRoot({ entities: [...authEntities, …] })`. */
export const authEntities = [
  UserEntity,
  SessionEntity,
  EphemeralTokenEntity,
  RateLimitEventEntity,
  RevokedTokenEntity,
  AuditEventEntity,
];
