import { Check, Column, Entity, ForeignKey, Index, PrimaryGeneratedColumn } from 'typeorm';
import type { UserIdType } from '../user-id-type.js';
import { UserEntity } from './user.entity.js';

/** Every column of `auth_api_keys` except `user_id`, whose type is that of the user table. */
@Check('auth_api_keys_expires_at_check', "expires_at <= created_at + '8784:00:00'::interval")
export abstract class ApiKeyColumns {
  /** Public name. */
  @PrimaryGeneratedColumn('uuid', { primaryKeyConstraintName: 'auth_api_keys_pkey' })
  id!: string;

  abstract userId: string | number;

  /** What its owner calls it. */
  @Column({ type: 'varchar', length: 100 })
  name!: string;

  /** The first characters of the key, for lists. */
  @Column({ type: 'varchar', length: 16 })
  prefix!: string;

  /** Lower-case hex SHA-256 of the 32 bytes; the key itself is never stored. */
  @Column({ name: 'key_hash', type: 'varchar', length: 64 })
  @Index('auth_api_keys_key_hash_idx', { unique: true })
  keyHash!: string;

  @Column({ type: 'text', array: true })
  scopes!: string[];

  @Column({ name: 'created_at', type: 'timestamptz' })
  createdAt!: Date;

  /** 366 days after `created_at` at most. */
  @Column({ name: 'expires_at', type: 'timestamptz' })
  @Index('auth_api_keys_expires_at_idx')
  expiresAt!: Date;

  /** As coarse as a minute. Null if it never was. */
  @Column({ name: 'last_used_at', type: 'timestamptz', nullable: true })
  lastUsedAt!: Date | null;

  @Column({ name: 'revoked_at', type: 'timestamptz', nullable: true })
  @Index('auth_api_keys_revoked_at_idx', { where: 'revoked_at IS NOT NULL' })
  revokedAt!: Date | null;
}

/** The API keys of `flows.apiKeys`. A key that ended with everything of its account has no `revoked_at`. */
@Entity('auth_api_keys')
export class ApiKeyEntity extends ApiKeyColumns {
  @Column({ name: 'user_id', type: 'uuid' })
  @Index('auth_api_keys_user_id_idx')
  @ForeignKey(() => UserEntity, { name: 'auth_api_keys_user_id_fkey', onDelete: 'CASCADE' })
  override userId!: string;
}

/** The same table for an application with users of its own: no foreign key, and their type for `user_id`. */
export function apiKeyEntityFor(userId: UserIdType): new () => ApiKeyColumns {
  @Entity('auth_api_keys')
  class HostApiKeyEntity extends ApiKeyColumns {
    @Column({ name: 'user_id', type: userId })
    @Index('auth_api_keys_user_id_idx')
    override userId!: string | number;
  }
  return HostApiKeyEntity;
}
