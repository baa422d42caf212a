import { Column, Entity, ForeignKey, Index, PrimaryColumn } from 'typeorm';
import type { UserIdType } from '../user-id-type.js';
import { UserEntity } from './user.entity.js';

/** Every column of `auth_identities` except `user_id`, whose type is that of the user table. */
@Index('auth_identities_subject_key', ['issuer', 'subject'], { unique: true })
// TypeORM knows no GIN index: it neither makes this one nor drops it.
@Index('auth_identities_provider_sessions_idx', { synchronize: false })
export abstract class IdentityColumns {
  /** Public name, for the list and for `DELETE identities/:id`. It authenticates nobody. */
  @PrimaryColumn({ type: 'uuid', primaryKeyConstraintName: 'auth_identities_pkey' })
  id!: string;

  abstract userId: string | number;

  /** The id of the provider in `flows.oidc.providers`. */
  @Column({ type: 'varchar', length: 32 })
  provider!: string;

  /** Who says so, and whom they mean: together the identity (OpenID Connect Core 1.0, section 5.7). */
  @Column({ type: 'varchar', length: 255 })
  issuer!: string;

  @Column({ type: 'varchar', length: 255 })
  subject!: string;

  /** The address at the provider when it was last used, for its user to recognise. It decides nothing. */
  @Column({ type: 'varchar', length: 320, nullable: true })
  email!: string | null;

  @Column({ name: 'linked_at', type: 'timestamptz' })
  linkedAt!: Date;

  @Column({ name: 'last_used_at', type: 'timestamptz', nullable: true })
  lastUsedAt!: Date | null;

  /** The sessions here that were begun by a session at the provider, and the names of both: see `ProviderSessionEntry`. */
  @Column({ name: 'provider_sessions', type: 'jsonb', nullable: true })
  providerSessions!: object[] | null;
}

/** With `flows.oidc`: the accounts at providers by which users log in. No tokens of a provider are stored. */
@Entity('auth_identities')
@Index('auth_identities_provider_key', ['userId', 'provider'], { unique: true })
export class IdentityEntity extends IdentityColumns {
  @Column({ name: 'user_id', type: 'uuid' })
  @ForeignKey(() => UserEntity, { name: 'auth_identities_user_id_fkey', onDelete: 'CASCADE' })
  override userId!: string;
}

/** The same table for an application with users of its own: no foreign key, and their type for `user_id`. */
export function identityEntityFor(userId: UserIdType): new () => IdentityColumns {
  @Entity('auth_identities')
  @Index('auth_identities_provider_key', ['userId', 'provider'], { unique: true })
  class HostIdentityEntity extends IdentityColumns {
    @Column({ name: 'user_id', type: userId })
    override userId!: string | number;
  }
  return HostIdentityEntity;
}
