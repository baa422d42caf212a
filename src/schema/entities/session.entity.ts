import { Column, Entity, ForeignKey, Generated, Index, PrimaryColumn } from 'typeorm';
import type { UserIdType } from '../user-id-type.js';
import { UserEntity } from './user.entity.js';

/** Every column of `sessions` except `user_id`, whose type is that of the user table. */
export abstract class SessionColumns {
  /** Lower-case hex SHA-256 of the token's raw bytes; the token itself is never stored. */
  @PrimaryColumn({ type: 'text', primaryKeyConstraintName: 'sessions_pkey' })
  id!: string;

  abstract userId: string | number;

  @Column({ name: 'created_at', type: 'timestamptz', default: () => 'now()' })
  createdAt!: Date;

  @Column({ name: 'expires_at', type: 'timestamptz' })
  @Index('sessions_expired_idx', { where: 'rotated_at IS NULL' })
  expiresAt!: Date;

  /**
   * Public name of the session, the same for every row it was rotated through. Looked up through `user_id`, so it needs
   * no index of its own.
   */
  @Column({ type: 'uuid' })
  @Generated('uuid')
  handle!: string;

  /** Null in a row of another program; `created_at` takes its place. */
  @Column({ name: 'last_seen_at', type: 'timestamptz', nullable: true })
  lastSeenAt!: Date | null;

  /** Null in a row of another program; `created_at` takes its place. */
  @Column({ name: 'authenticated_at', type: 'timestamptz', nullable: true })
  authenticatedAt!: Date | null;

  /** Null in a row of another program; `created_at` plus the configured absolute lifetime is used instead. */
  @Column({ name: 'absolute_expires_at', type: 'timestamptz', nullable: true })
  @Index('sessions_rotated_idx', { where: 'rotated_at IS NOT NULL' })
  absoluteExpiresAt!: Date | null;

  @Column({ type: 'text', nullable: true })
  ip!: string | null;

  @Column({ name: 'user_agent', type: 'text', nullable: true })
  userAgent!: string | null;

  /**
   * When another token replaced this one. Such a row is no longer a session: it is kept so that the old token leads to
   * the new one for a while, and is recognised as stolen after that. Its `expires_at` is in the past, for other readers
   * of the table.
   */
  @Column({ name: 'rotated_at', type: 'timestamptz', nullable: true })
  @Index('sessions_successor_idx', { where: 'successor IS NOT NULL' })
  rotatedAt!: Date | null;

  /** The token that replaced it, encrypted. */
  @Column({ type: 'text', nullable: true })
  successor!: string | null;

  /** What the login chose, with `session.remembered`. Null: it could not choose, or the row is another program's. */
  @Column({ type: 'boolean', nullable: true })
  remembered!: boolean | null;

  /** What the application keeps in the session; null if it never did. */
  @Column({ type: 'jsonb', nullable: true })
  data!: Record<string, unknown> | null;

  /** The assurance of its proofs. Null: 1, as in a row of another program. */
  @Column({ type: 'smallint', nullable: true })
  aal!: number | null;

  /** The methods of its proofs. Null in a row of another program. */
  @Column({ type: 'text', array: true, nullable: true })
  amr!: string[] | null;
}

/**
 * `sessions`: id, user_id, created_at and expires_at as in xtablo, and additional columns of our own. A row that
 * another program inserts with only those four is a valid session.
 */
@Entity('sessions')
export class SessionEntity extends SessionColumns {
  @Column({ name: 'user_id', type: 'uuid' })
  @Index('sessions_user_id_idx')
  @ForeignKey(() => UserEntity, { name: 'sessions_user_id_fkey', onDelete: 'CASCADE' })
  override userId!: string;
}

/** The same table for an application with users of its own: no foreign key, and their type for `user_id`. */
export function sessionEntityFor(userId: UserIdType): new () => SessionColumns {
  @Entity('sessions')
  class HostSessionEntity extends SessionColumns {
    @Column({ name: 'user_id', type: userId })
    @Index('sessions_user_id_idx')
    override userId!: string | number;
  }
  return HostSessionEntity;
}
