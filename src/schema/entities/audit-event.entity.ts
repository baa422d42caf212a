import { Column, Entity, Index, PrimaryGeneratedColumn } from 'typeorm';

/**
 * The events that `AuthEvents` emitted while `audit.enabled` was on, one row each. A row contains no token, hash or
 * password; `login` and `ip` are personal data, kept for `audit.retention`.
 */
@Entity('auth_audit_events')
@Index('auth_audit_events_user_id_idx', ['userId', 'at'])
export class AuditEventEntity {
  /**
   * In the order of writing, which may differ from the order of `at`. A string, since it may exceed a JavaScript
   * number.
   */
  @PrimaryGeneratedColumn('identity', {
    type: 'bigint',
    generatedIdentity: 'BY DEFAULT',
    primaryKeyConstraintName: 'auth_audit_events_pkey',
  })
  id!: string;

  /** `AuthEvent['type']`. */
  @Column({ type: 'text' })
  type!: string;

  @Column({ type: 'timestamptz' })
  @Index('auth_audit_events_at_idx')
  at!: Date;

  @Column({ name: 'user_id', type: 'text', nullable: true })
  userId!: string | null;

  /** In the spelling of `normalizeLogin`. */
  @Column({ type: 'text', nullable: true })
  login!: string | null;

  @Column({ type: 'text', nullable: true })
  ip!: string | null;

  /** Public name of the session. */
  @Column({ type: 'text', nullable: true })
  handle!: string | null;

  /** The event's other fields. */
  @Column({ type: 'jsonb' })
  facts!: Record<string, unknown>;
}
