import { Column, Entity, ForeignKey, PrimaryColumn } from 'typeorm';
import type { UserIdType } from '../user-id-type.js';
import { UserEntity } from './user.entity.js';

/** Every column of `auth_backup_codes` except `user_id`, whose type is that of the user table. */
export abstract class BackupCodeColumns {
  abstract userId: string | number;

  /** The part of the code by which it is found. */
  @PrimaryColumn({ type: 'varchar', length: 4, primaryKeyConstraintName: 'auth_backup_codes_pkey' })
  selector!: string;

  /** Of the rest of the code: argon2id. */
  @Column({ name: 'code_hash', type: 'varchar', length: 255 })
  codeHash!: string;

  @Column({ name: 'used_at', type: 'timestamptz', nullable: true })
  usedAt!: Date | null;

  @Column({ name: 'created_at', type: 'timestamptz' })
  createdAt!: Date;
}

/** The backup codes of users. The statements are in `PostgresBackupCodeStore`. */
@Entity('auth_backup_codes')
export class BackupCodeEntity extends BackupCodeColumns {
  @PrimaryColumn({ name: 'user_id', type: 'uuid', primaryKeyConstraintName: 'auth_backup_codes_pkey' })
  @ForeignKey(() => UserEntity, { name: 'auth_backup_codes_user_id_fkey', onDelete: 'CASCADE' })
  override userId!: string;
}

/** The same table for an application with users of its own: no foreign key, and their type for `user_id`. */
export function backupCodeEntityFor(userId: UserIdType): new () => BackupCodeColumns {
  @Entity('auth_backup_codes')
  class HostBackupCodeEntity extends BackupCodeColumns {
    @PrimaryColumn({ name: 'user_id', type: userId, primaryKeyConstraintName: 'auth_backup_codes_pkey' })
    override userId!: string | number;
  }
  return HostBackupCodeEntity;
}
