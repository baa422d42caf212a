import { Injectable, type OnModuleInit } from '@nestjs/common';
import { instant, toEpochSeconds } from '../../postgres/epoch-seconds.js';
import { PreparedStatements } from '../../postgres/prepared-statements.js';
import type { Statement } from '../../postgres/statement.js';
import { SchemaNames } from '../../schema/schema-names.js';
import { TotpStore, type StoredTotp } from '../../two-factor/totp.store.js';

const totpStatements = ({ totp }: SchemaNames) => {
  const statement = (name: string, text: string): Statement => ({ name: `latchkey_totp_${name}`, text });
  return {
    check: statement('check', `SELECT secret, last_step, failures, disabled_at, confirmed_at FROM ${totp} LIMIT 0`),
    find: statement('find', `SELECT secret, disabled_at IS NOT NULL AS disabled FROM ${totp} WHERE user_id = $1`),
    claim: statement(
      'claim',
      `UPDATE ${totp} SET last_step = $3::bigint, failures = 0 WHERE user_id = $1 AND secret = $2 AND disabled_at IS NULL
        AND (last_step IS NULL OR last_step < $3::bigint)`,
    ),
    fail: statement(
      'fail',
      `UPDATE ${totp} SET failures = failures + 1,
          disabled_at = CASE WHEN failures + 1 >= $3::integer THEN ${instant('$4')} END
        WHERE user_id = $1 AND secret = $2 AND disabled_at IS NULL RETURNING disabled_at IS NOT NULL AS disabled`,
    ),
    put: statement(
      'put',
      `INSERT INTO ${totp} AS t (user_id, secret, last_step, confirmed_at, created_at)
        VALUES ($1, $2, $3::bigint, ${instant('$4')}, ${instant('$4')})
        ON CONFLICT (user_id) DO UPDATE SET secret = excluded.secret, last_step = excluded.last_step, failures = 0,
          disabled_at = NULL, confirmed_at = excluded.confirmed_at WHERE NOT $5::boolean`,
    ),
    enable: statement('enable', `UPDATE ${totp} SET failures = 0, disabled_at = NULL WHERE user_id = $1`),
    remove: statement('remove', `DELETE FROM ${totp} WHERE user_id = $1`),
    removeSince: statement(
      'remove_since',
      `DELETE FROM ${totp} WHERE user_id = $1 AND confirmed_at >= ${instant('$2')}`,
    ),
  };
};

/** The table `auth_totp`. */
@Injectable()
export class PostgresTotpStore extends TotpStore implements OnModuleInit {
  private readonly sql;

  constructor(
    private readonly statements: PreparedStatements,
    names: SchemaNames,
  ) {
    super();
    this.sql = totpStatements(names);
  }

  /** Fails the boot if the table is missing. */
  async onModuleInit(): Promise<void> {
    await this.statements.run(this.sql.check, []);
  }

  override async find(userId: string): Promise<StoredTotp | null> {
    const { rows } = await this.statements.run<{ secret: string; disabled: boolean }>(this.sql.find, [userId]);
    const [row] = rows;
    return row ? { secret: row.secret, isDisabled: row.disabled } : null;
  }

  override async claim(userId: string, secret: string, step: number): Promise<boolean> {
    return (await this.statements.run(this.sql.claim, [userId, secret, step])).rowCount > 0;
  }

  override async fail(userId: string, secret: string, limit: number, now: number): Promise<boolean> {
    const values = [userId, secret, limit, toEpochSeconds(now)];
    const { rows } = await this.statements.runAlone<{ disabled: boolean }>(this.sql.fail, values);
    return rows[0]?.disabled ?? false;
  }

  override async put(
    userId: string,
    secret: string,
    step: number,
    { isFirst, now }: { isFirst: boolean; now: number },
  ): Promise<boolean> {
    const values = [userId, secret, step, toEpochSeconds(now), isFirst];
    return (await this.statements.run(this.sql.put, values)).rowCount > 0;
  }

  override async enable(userId: string): Promise<void> {
    await this.statements.run(this.sql.enable, [userId]);
  }

  override async remove(userId: string): Promise<boolean> {
    return (await this.statements.run(this.sql.remove, [userId])).rowCount > 0;
  }

  override async removeSince(userId: string, since: number): Promise<boolean> {
    return (await this.statements.run(this.sql.removeSince, [userId, toEpochSeconds(since)])).rowCount > 0;
  }
}
