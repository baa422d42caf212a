import { Injectable } from '@nestjs/common';
import { PreparedStatements } from '../../postgres/prepared-statements.js';
import type { Statement } from '../../postgres/statement.js';
import { lockOf } from '../../schema/migrations/session-functions.js';
import { AccountLock } from '../../user/account-lock.js';

/** Of this user's sessions, by the id as the directory has it. Until the end of the transaction. */
export const HOLD_ACCOUNT: Statement = {
  name: 'latchkey_account_lock',
  text: `SELECT pg_catalog.pg_advisory_xact_lock(${lockOf('$1')})`,
};

/** The advisory lock of the functions on `sessions`, also where sessions are kept elsewhere. */
@Injectable()
export class PostgresAccountLock extends AccountLock {
  constructor(private readonly statements: PreparedStatements) {
    super();
  }

  /** An id as the directory has it: of its type in PostgreSQL, if it is kept there, it is the text. */
  override async hold(userId: string): Promise<void> {
    if (this.statements.inTransaction) await this.statements.run(HOLD_ACCOUNT, [userId]);
  }
}
