import { Injectable } from '@nestjs/common';
import { PreparedStatements } from '../../postgres/prepared-statements.js';
import type { Statement } from '../../postgres/statement.js';
import { SchemaNames } from '../../schema/schema-names.js';
import { AccountLock } from '../../user/account-lock.js';

/** The advisory lock of the functions on `sessions`, also where sessions are kept elsewhere. */
@Injectable()
export class PostgresAccountLock extends AccountLock {
  private readonly statement: Statement;

  constructor(
    private readonly statements: PreparedStatements,
    names: SchemaNames,
  ) {
    super();
    this.statement = {
      name: 'latchkey_account_lock',
      // The type of the parameter is that of the ids of users.
      text: `SELECT ${names.qualified('latchkey_lock_owners')}('{}'::text[], $1) AS held`,
    };
  }

  override async hold(userId: string): Promise<void> {
    if (this.statements.inTransaction) await this.statements.run(this.statement, [userId]);
  }
}
