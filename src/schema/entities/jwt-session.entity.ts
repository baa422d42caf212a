import { Column, Entity, ForeignKey, Index, PrimaryColumn } from 'typeorm';
import type { UserIdType } from '../user-id-type.js';
import { UserEntity } from './user.entity.js';

/** Every column of `auth_jwt_sessions` except `user_id`, whose type is that of the user table. */
export abstract class JwtSessionColumns {
  /** What the list of revoked tokens calls it. It authenticates nobody, but is not shown. */
  @PrimaryColumn({ type: 'varchar', length: 64, primaryKeyConstraintName: 'auth_jwt_sessions_pkey' })
  jti!: string;

  abstract userId: string | number;

  /** Public name, from the `jti`. Looked up through `user_id`, so it needs no index of its own. */
  @Column({ type: 'uuid' })
  handle!: string;

  @Column({ name: 'issued_at', type: 'timestamptz' })
  issuedAt!: Date;

  @Column({ name: 'expires_at', type: 'timestamptz' })
  @Index('auth_jwt_sessions_expires_at_idx')
  expiresAt!: Date;

  @Column({ type: 'text', nullable: true })
  ip!: string | null;

  @Column({ name: 'user_agent', type: 'text', nullable: true })
  userAgent!: string | null;

  /** The assurance of its proofs. Null: 1, as in a row of the version before. */
  @Column({ type: 'smallint', nullable: true })
  aal!: number | null;

  /** The methods of its proofs. Null in a row of the version before. */
  @Column({ type: 'text', array: true, nullable: true })
  amr!: string[] | null;
}

/** With `jwt.registry`: the session JWTs that were handed out. What has ended goes with the user's next one. */
@Entity('auth_jwt_sessions')
export class JwtSessionEntity extends JwtSessionColumns {
  @Column({ name: 'user_id', type: 'uuid' })
  @Index('auth_jwt_sessions_user_id_idx')
  @ForeignKey(() => UserEntity, { name: 'auth_jwt_sessions_user_id_fkey', onDelete: 'CASCADE' })
  override userId!: string;
}

/** The same table for an application with users of its own: no foreign key, and their type for `user_id`. */
export function jwtSessionEntityFor(userId: UserIdType): new () => JwtSessionColumns {
  @Entity('auth_jwt_sessions')
  class HostJwtSessionEntity extends JwtSessionColumns {
    @Column({ name: 'user_id', type: userId })
    @Index('auth_jwt_sessions_user_id_idx')
    override userId!: string | number;
  }
  return HostJwtSessionEntity;
}
