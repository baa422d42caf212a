import { Column, Entity, Index, PrimaryColumn } from 'typeorm';

/**
 * Self-contained credentials that were revoked before they expired: a JWT by its `jti`, a signed cookie by its `sid`. A
 * row is needed until its credential would have expired.
 */
@Entity('revoked_tokens')
export class RevokedTokenEntity {
  @PrimaryColumn({ type: 'varchar', length: 64, primaryKeyConstraintName: 'revoked_tokens_pkey' })
  jti!: string;

  @Column({ type: 'timestamptz' })
  @Index('revoked_tokens_exp_idx')
  exp!: Date;
}
