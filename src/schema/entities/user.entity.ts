import { Column, Entity, PrimaryGeneratedColumn, Unique } from 'typeorm';

/**
 * `users`: the five columns of xtablo, and then our own, which are nullable or have a default. Another program that knows only those five
 * can go on reading and writing the table.
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

  /** Everything authenticated or issued up to and including this instant is revoked. Null: nothing ever was. */
  @Column({ name: 'tokens_invalidated_after', type: 'timestamptz', nullable: true })
  tokensInvalidatedAfter!: Date | null;

  /**
   * When a session was last opened. No cutoff is set before it, so that one opened by a clock that is ahead ends too.
   */
  @Column({ name: 'last_login_at', type: 'timestamptz', nullable: true })
  lastLoginAt!: Date | null;

  /** While it is set, the account cannot log in and has no valid session. */
  @Column({ name: 'disabled_at', type: 'timestamptz', nullable: true })
  disabledAt!: Date | null;

  /** Since when the mailbox is known to be the owner's. Null in a row of another program, and if nobody has asked. */
  @Column({ name: 'email_verified_at', type: 'timestamptz', nullable: true })
  emailVerifiedAt!: Date | null;

  /** What the account may do; see `PostgresUserDirectory.setRoles`. */
  @Column({ type: 'text', array: true, default: () => "'{}'" })
  roles!: string[];
}
