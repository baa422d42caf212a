import { AuditEventEntity } from '../audit/audit-event.entity.js';
import { RevokedTokenEntity } from '../jwt/revoked-token.entity.js';
import { EphemeralTokenEntity } from '../ephemeral-token/ephemeral-token.entity.js';
import { RateLimitEventEntity } from '../rate-limit/rate-limit-event.entity.js';
import { SessionEntity } from '../session/session.entity.js';
import { UserEntity } from '../user/user.entity.js';

/** The entities of this module, for `TypeOrmModule.forRoot({ entities: [...authEntities, …] })`. */
export const authEntities = [
  UserEntity,
  SessionEntity,
  EphemeralTokenEntity,
  RateLimitEventEntity,
  RevokedTokenEntity,
  AuditEventEntity,
];
