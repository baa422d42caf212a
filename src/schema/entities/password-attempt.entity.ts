import { Column, Entity, PrimaryColumn } from 'typeorm';

/**
 * One row for each account whose password was tried, and up to 64 that stand for all logins without an account. The
 * statements are in `PostgresPasswordAttemptStore`.
 */
@Entity('auth_password_attempts')
export class PasswordAttemptEntity {
  /** The account's id, whatever its type, or `(unknown login 0)` to `(unknown login 63)`. */
  @PrimaryColumn({ name: 'user_id', type: 'text', primaryKeyConstraintName: 'auth_password_attempts_pkey' })
  userId!: string;

  /** Wrong passwords in a row, with those that are being compared. */
  @Column({ type: 'integer', default: 0 })
  failures!: number;

  /** Whether the last attempt was within the limit: what the statement that counts it answers. */
  @Column({ name: 'is_judged', type: 'boolean', default: true })
  isJudged!: boolean;

  /** Keyed digests of the addresses of successful logins, the latest first; null before the first success. */
  @Column({ name: 'known_places', type: 'text', array: true, nullable: true })
  knownPlaces!: string[] | null;
}
