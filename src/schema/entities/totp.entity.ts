import { Column, Entity, ForeignKey, PrimaryColumn } from 'typeorm';
import type { UserIdType } from '../user-id-type.js';
import { UserEntity } from './user.entity.js';

/** Every column of `auth_totp` except `user_id`, whose type is that of the user table. */
export abstract class TotpColumns {
  abstract userId: string | number;

  /** Sealed for this user: in the row of another it cannot be opened. */
  @Column({ type: 'varchar', length: 512 })
  secret!: string;

  /** The last time step whose code was used. */
  @Column({ name: 'last_step', type: 'bigint', nullable: true })
  lastStep!: string | null;

  /** Wrong codes in a row. */
  @Column({ type: 'integer', default: 0 })
  failures!: number;

  /** Since when too many of them have disabled it. */
  @Column({ name: 'disabled_at', type: 'timestamptz', nullable: true })
  disabledAt!: Date | null;

  /** When a code has proved that the user has the secret; what was not proved is no row. */
  @Column({ name: 'confirmed_at', type: 'timestamptz' })
  confirmedAt!: Date;

  @Column({ name: 'created_at', type: 'timestamptz' })
  createdAt!: Date;
}

/** One secret of an authenticator app a user. The statements are in `PostgresTotpStore`. */
@Entity('auth_totp')
export class TotpEntity extends TotpColumns {
  @PrimaryColumn({ name: 'user_id', type: 'uuid', primaryKeyConstraintName: 'auth_totp_pkey' })
  @ForeignKey(() => UserEntity, { name: 'auth_totp_user_id_fkey', onDelete: 'CASCADE' })
  override userId!: string;
}

/** The same table for an application with users of its own: no foreign key, and their type for `user_id`. */
export function totpEntityFor(userId: UserIdType): new () => TotpColumns {
  @Entity('auth_totp')
  class HostTotpEntity extends TotpColumns {
    @PrimaryColumn({ name: 'user_id', type: userId, primaryKeyConstraintName: 'auth_totp_pkey' })
    override userId!: string | number;
  }
  return HostTotpEntity;
}
