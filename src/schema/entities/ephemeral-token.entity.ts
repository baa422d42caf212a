import { Column, Entity, Index, PrimaryGeneratedColumn } from 'typeorm';

/**
 * `auth_ephemeral_tokens`, with the columns of bambuddy and then two nullable ones of our own. Rows with other types
 * (`revoked_jti`, `camera_stream`, …) may be in the same table.
 */
@Entity('auth_ephemeral_tokens')
@Index('auth_ephemeral_tokens_username_idx', ['username', 'tokenType'])
export class EphemeralTokenEntity {
  @PrimaryGeneratedColumn('identity', {
    type: 'integer',
    generatedIdentity: 'BY DEFAULT',
    primaryKeyConstraintName: 'auth_ephemeral_tokens_pkey',
  })
  id!: number;

  /** Lower-case hex SHA-256 of the token's raw bytes; the token itself is never stored. Unique over all types. */
  @Column({ type: 'varchar', length: 128 })
  @Index('auth_ephemeral_tokens_token_key', { unique: true })
  token!: string;

  @Column({ name: 'token_type', type: 'varchar', length: 20 })
  tokenType!: string;

  /** Login name in the spelling of `normalizeLogin`, or a hash of one that is longer than the column. */
  @Column({ type: 'varchar', length: 150, nullable: true })
  username!: string | null;

  @Column({ name: 'provider_id', type: 'integer', nullable: true })
  providerId!: number | null;

  /** `oidc_state`: the ID token's nonce. `email_otp_setup`: the hash of the code. `slicer_download`: `type:id`. */
  @Column({ type: 'varchar', length: 128, nullable: true })
  nonce!: string | null;

  /** PKCE (RFC 7636). */
  @Column({ name: 'code_verifier', type: 'varchar', length: 128, nullable: true })
  codeVerifier!: string | null;

  /**
   * The value that must be presented with the token: that of an HttpOnly cookie, or the bound field of a type the
   * application adds.
   */
  @Column({ name: 'challenge_id', type: 'varchar', length: 128, nullable: true })
  challengeId!: string | null;

  @Column({ name: 'expires_at', type: 'timestamptz' })
  @Index('auth_ephemeral_tokens_expires_at_idx')
  expiresAt!: Date;

  @Column({ name: 'created_at', type: 'timestamptz', default: () => 'now()' })
  createdAt!: Date;

  /**
   * The id of the account with that name when the token was issued: a later account with the same name cannot use it.
   */
  @Column({ name: 'user_id', type: 'text', nullable: true })
  userId!: string | null;

  /** Fields of types that the application adds. */
  @Column({ type: 'jsonb', nullable: true })
  payload!: Record<string, unknown> | null;
}
