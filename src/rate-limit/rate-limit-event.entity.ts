import { Column, Entity, Index, PrimaryGeneratedColumn } from 'typeorm';

/** `auth_rate_limit_events` of seed 003, column for column. Events of other programs may lie beside ours. */
@Entity('auth_rate_limit_events')
@Index('auth_rate_limit_events_window_idx', ['username', 'eventType', 'occurredAt'])
export class RateLimitEventEntity {
  @PrimaryGeneratedColumn('identity', {
    type: 'integer',
    generatedIdentity: 'BY DEFAULT',
    primaryKeyConstraintName: 'auth_rate_limit_events_pkey',
  })
  id!: number;

  /** The subject: a login name in the spelling of `normalizeLogin`, a client's address, or a hash of a longer one. */
  @Column({ type: 'varchar', length: 150 })
  username!: string;

  @Column({ name: 'event_type', type: 'varchar', length: 20 })
  eventType!: string;

  @Column({ name: 'occurred_at', type: 'timestamptz', default: () => 'now()' })
  occurredAt!: Date;
}
