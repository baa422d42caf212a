import { Injectable } from '@nestjs/common';
import { PreparedStatements } from '../../postgres/prepared-statements.js';
import type { Statement } from '../../postgres/statement.js';
import { SchemaNames } from '../../schema/schema-names.js';
import { AccountData } from '../../user/account-data.js';

/** In the tables that there are: those of flows that are off may not have been migrated. */
@Injectable()
export class PostgresAccountData extends AccountData {
  private readonly existing: Statement;
  private readonly tables: readonly string[];

  constructor(
    private readonly statements: PreparedStatements,
    names: SchemaNames,
  ) {
    super();
    // In one order for all callers.
    const { apiKeys, backupCodes, emailFactors, identities, jwtSessions, passkeys, passwordAttempts, totp } = names;
    this.tables = [apiKeys, backupCodes, emailFactors, identities, jwtSessions, passkeys, passwordAttempts, totp];
    this.existing = {
      name: 'latchkey_account_data_tables',
      text: `SELECT name FROM pg_catalog.unnest($1::text[]) AS name WHERE pg_catalog.to_regclass(name) IS NOT NULL`,
    };
  }

  override async deleteByUser(userId: string): Promise<void> {
    const { rows } = await this.statements.run<{ name: string }>(this.existing, [this.tables]);
    for (const table of this.tables) {
      if (!rows.some(({ name }) => name === table)) continue;
      // Rare, so not prepared.
      await this.statements.run({ name: '', text: `DELETE FROM ${table} WHERE user_id = $1` }, [userId]);
    }
  }
}
