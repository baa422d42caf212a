import { Injectable, type OnModuleInit } from '@nestjs/common';
import { instant, toEpochSeconds } from '../../postgres/epoch-seconds.js';
import { PreparedStatements } from '../../postgres/prepared-statements.js';
import type { Statement } from '../../postgres/statement.js';
import { SchemaNames } from '../../schema/schema-names.js';
import { EmailFactorStore } from '../../two-factor/email-factor.store.js';

const emailFactorStatements = ({ emailFactors }: SchemaNames) => {
  const statement = (name: string, text: string): Statement => ({ name: `latchkey_email_factor_${name}`, text });
  return {
    check: { name: '', text: `SELECT user_id, enabled_at, failures FROM ${emailFactors} LIMIT 0` },
    find: statement('find', `SELECT FROM ${emailFactors} WHERE user_id = $1`),
    enable: statement(
      'enable',
      `INSERT INTO ${emailFactors} (user_id, enabled_at) VALUES ($1, ${instant('$2')}) ON CONFLICT (user_id) DO NOTHING`,
    ),
    disable: statement('disable', `DELETE FROM ${emailFactors} WHERE user_id = $1`),
    removeSince: statement(
      'remove_since',
      `DELETE FROM ${emailFactors} WHERE user_id = $1 AND enabled_at >= ${instant('$2')}`,
    ),
    count: statement(
      'count',
      `UPDATE ${emailFactors} SET failures = failures + 1 WHERE user_id = $1 AND failures < $2 RETURNING failures`,
    ),
    refund: statement('refund', `UPDATE ${emailFactors} SET failures = greatest(failures - 1, 0) WHERE user_id = $1`),
    reset: statement('reset', `UPDATE ${emailFactors} SET failures = 0 WHERE user_id = $1 AND failures > 0`),
  };
};

/** The table `auth_email_factors`; each method is one statement. */
@Injectable()
export class PostgresEmailFactorStore extends EmailFactorStore implements OnModuleInit {
  private readonly sql;

  constructor(
    private readonly statements: PreparedStatements,
    names: SchemaNames,
  ) {
    super();
    this.sql = emailFactorStatements(names);
  }

  /** Fails the boot if the table is missing, instead of failing every login after it. */
  async onModuleInit(): Promise<void> {
    await this.statements.runAlone(this.sql.check, []);
  }

  override async isEnabled(userId: string): Promise<boolean> {
    return (await this.statements.run(this.sql.find, [userId])).rowCount > 0;
  }

  override async enable(userId: string, at: number): Promise<boolean> {
    return (await this.statements.run(this.sql.enable, [userId, toEpochSeconds(at)])).rowCount > 0;
  }

  override async disable(userId: string): Promise<boolean> {
    return (await this.statements.run(this.sql.disable, [userId])).rowCount > 0;
  }

  override async removeSince(userId: string, since: number): Promise<boolean> {
    return (await this.statements.run(this.sql.removeSince, [userId, toEpochSeconds(since)])).rowCount > 0;
  }

  override async count(userId: string, limit: number): Promise<number | null> {
    const { rows } = await this.statements.runAlone<{ failures: number }>(this.sql.count, [userId, limit]);
    return rows[0]?.failures ?? null;
  }

  override async refund(userId: string): Promise<void> {
    await this.statements.runAlone(this.sql.refund, [userId]);
  }

  override async reset(userId: string): Promise<void> {
    await this.statements.runAlone(this.sql.reset, [userId]);
  }
}
