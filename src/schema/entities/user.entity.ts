import { Column, Entity, PrimaryGeneratedColumn, Unique } from 'typeorm';

/**
 * `users`: five columns that a source system may have already, and three nullable ones of our own after them. Another
 * program that knows only the first five can go on reading and writing the table.
 */
@Entity('users')
@Unique('users_email_key', ['email'])
export class UserEntity {
  @PrimaryGeneratedColumn('uuid', { primaryKeyConstraintName: 'users_pkey' })
  id!: string;

  /** Case-insensitive; written in the spelling of `normalizeLogin`. */
  @Column({ type: 'citext' })
  email!: string;

  /** PHC string of argon2id, e.g. `$argon2id$v=19$m=19456,t=2,p=1$…`. */
  @Column({ name: 'password_hash', type: 'text' })
  passwordHash!: string;

  @Column({ name: 'created_at', type: 'timestamptz', default: () => 'now()' })
  createdAt!: Date;

  @Column({ name: 'updated_at', type: 'timestamptz', default: () => 'now()' })
  updatedAt!: Date;

  /** Whatever was authenticated or issued up to this instant is revoked. Null: nothing ever was. */
  @Column({ name: 'tokens_invalidated_after', type: 'timestamptz', nullable: true })
  tokensInvalidatedAfter!: Date | null;

  /** When a session last began; no cutoff is set before it, so that one from a clock that is ahead ends too. */
  @Column({ name: 'last_login_at', type: 'timestamptz', nullable: true })
  lastLoginAt!: Date | null;

  /** Set: the account cannot log in and has no valid session. */
  @Column({ name: 'disabled_at', type: 'timestamptz', nullable: true })
  disabledAt!: Date | null;
}
