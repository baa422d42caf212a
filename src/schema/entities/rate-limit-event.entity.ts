import { Entity, PrimaryColumn, PrimaryGeneratedColumn } from 'typeorm';

const KEY = 'auth_rate_limit_events_pkey';

/**
 * `auth_rate_limit_events`, with the columns of bambuddy. Events of other programs may be in the same table. The
 * primary key is the index by which a window is read, `id` last: a second index for `id` alone would make every event a
 * fifth more expensive.
 */
@Entity('auth_rate_limit_events')
export class RateLimitEventEntity {
  /** The subject: a login name in the spelling of `normalizeLogin`, a client's address, or a hash of a longer one. */
  @PrimaryColumn({ type: 'varchar', length: 150, primaryKeyConstraintName: KEY })
  username!: string;

  @PrimaryColumn({ name: 'event_type', type: 'varchar', length: 20, primaryKeyConstraintName: KEY })
  eventType!: string;

  @PrimaryColumn({ name: 'occurred_at', type: 'timestamptz', default: () => 'now()', primaryKeyConstraintName: KEY })
  occurredAt!: Date;

  @PrimaryGeneratedColumn('identity', {
    type: 'integer',
    generatedIdentity: 'BY DEFAULT',
    primaryKeyConstraintName: KEY,
  })
  id!: number;
}
