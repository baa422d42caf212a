import { RevokedTokenEntity } from '../jwt/revoked-token.entity.js';
import { SessionEntity } from '../session/session.entity.js';
import { UserEntity } from '../user/user.entity.js';

/** The entities of this module, for `TypeOrmModule.forRoot({ entities: [...authEntities, …] })`. */
export const authEntities = [UserEntity, SessionEntity, RevokedTokenEntity];
