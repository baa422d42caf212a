import { Column, Entity, ForeignKey, PrimaryColumn } from 'typeorm';
import type { UserIdType } from '../user-id-type.js';
import { UserEntity } from './user.entity.js';

/** Every column of `auth_email_factors` except `user_id`, whose type is that of the user table. */
export abstract class EmailFactorColumns {
  abstract userId: string | number;

  /** When a mailed code has proved that the mailbox is the user's. */
  @Column({ name: 'enabled_at', type: 'timestamptz' })
  enabledAt!: Date;

  /** Wrong codes in a row, with those that are being compared. */
  @Column({ type: 'integer', default: 0 })
  failures!: number;
}

const KEY = { primaryKeyConstraintName: 'auth_email_factors_pkey' };

/** Users who are mailed a code as their second step. The statements are in `PostgresEmailFactorStore`. */
@Entity('auth_email_factors')
export class EmailFactorEntity extends EmailFactorColumns {
  @PrimaryColumn({ name: 'user_id', type: 'uuid', ...KEY })
  @ForeignKey(() => UserEntity, { name: 'auth_email_factors_user_id_fkey', onDelete: 'CASCADE' })
  override userId!: string;
}

/** The same table for an application with users of its own: no foreign key, and their type for `user_id`. */
export function emailFactorEntityFor(userId: UserIdType): new () => EmailFactorColumns {
  @Entity('auth_email_factors')
  class HostEmailFactorEntity extends EmailFactorColumns {
    @PrimaryColumn({ name: 'user_id', type: userId, ...KEY })
    override userId!: string | number;
  }
  return HostEmailFactorEntity;
}
