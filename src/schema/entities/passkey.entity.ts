import { Column, Entity, ForeignKey, Index, PrimaryColumn } from 'typeorm';
import type { UserIdType } from '../user-id-type.js';
import { UserEntity } from './user.entity.js';

/** Every column of `auth_passkeys` except `user_id`, whose type is that of the user table. */
export abstract class PasskeyColumns {
  /** Public name, for the list and for `DELETE passkeys/:id`. It authenticates nobody. */
  @PrimaryColumn({ type: 'uuid', primaryKeyConstraintName: 'auth_passkeys_pkey' })
  id!: string;

  abstract userId: string | number;

  /** 64 random bytes as base64url, the same for all passkeys of a user: what an authenticator calls the account. */
  @Column({ name: 'user_handle', type: 'varchar', length: 86 })
  userHandle!: string;

  /** The authenticator's name of the key, as base64url. */
  @Column({ name: 'credential_id', type: 'varchar', length: 1364 })
  @Index('auth_passkeys_credential_id_key', { unique: true })
  credentialId!: string;

  /** A COSE key (RFC 9052) of at most 2,048 bytes. */
  @Column({ name: 'public_key', type: 'bytea' })
  publicKey!: Buffer;

  /** How often the authenticator says that it was used; 0 for one that does not count, as those that are synced. */
  @Column({ name: 'sign_count', type: 'bigint', default: 0 })
  signCount!: string;

  /** The model of the authenticator; null if it does not say. */
  @Column({ type: 'uuid', nullable: true })
  aaguid!: string | null;

  /** How the browser reaches it, such as `internal` or `usb`. */
  @Column({ type: 'text', array: true, default: '{}' })
  transports!: string[];

  /** Whether it can be synced to other devices, and whether it has been. */
  @Column({ name: 'multi_device', type: 'boolean', default: false })
  multiDevice!: boolean;

  @Column({ name: 'backed_up', type: 'boolean', default: false })
  backedUp!: boolean;

  /** What its user calls it. */
  @Column({ type: 'varchar', length: 100 })
  name!: string;

  @Column({ name: 'created_at', type: 'timestamptz' })
  createdAt!: Date;

  @Column({ name: 'last_used_at', type: 'timestamptz', nullable: true })
  lastUsedAt!: Date | null;

  /** When its counter was last found where it cannot be: there may be a copy of it. */
  @Column({ name: 'clone_suspected_at', type: 'timestamptz', nullable: true })
  cloneSuspectedAt!: Date | null;
}

/** With `flows.passkeys`: the public keys of the passkeys. */
@Entity('auth_passkeys')
export class PasskeyEntity extends PasskeyColumns {
  @Column({ name: 'user_id', type: 'uuid' })
  @Index('auth_passkeys_user_id_idx')
  @ForeignKey(() => UserEntity, { name: 'auth_passkeys_user_id_fkey', onDelete: 'CASCADE' })
  override userId!: string;
}

/** The same table for an application with users of its own: no foreign key, and their type for `user_id`. */
export function passkeyEntityFor(userId: UserIdType): new () => PasskeyColumns {
  @Entity('auth_passkeys')
  class HostPasskeyEntity extends PasskeyColumns {
    @Column({ name: 'user_id', type: userId })
    @Index('auth_passkeys_user_id_idx')
    override userId!: string | number;
  }
  return HostPasskeyEntity;
}
