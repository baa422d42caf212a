import { Injectable, type OnModuleInit } from '@nestjs/common';
import { instant, toEpochSeconds } from '../../postgres/epoch-seconds.js';
import { PreparedStatements } from '../../postgres/prepared-statements.js';
import type { Statement } from '../../postgres/statement.js';
import { SchemaNames } from '../../schema/schema-names.js';
import { BackupCodeStore, type StoredBackupCode } from '../../two-factor/backup-code.store.js';

const backupCodeStatements = ({ backupCodes }: SchemaNames) => {
  const statement = (name: string, text: string): Statement => ({ name: `latchkey_backup_code_${name}`, text });
  return {
    check: statement('check', `SELECT selector, code_hash, used_at FROM ${backupCodes} LIMIT 0`),
    find: statement(
      'find',
      `SELECT code_hash FROM ${backupCodes} WHERE user_id = $1 AND selector = $2 AND used_at IS NULL`,
    ),
    claim: statement(
      'claim',
      `UPDATE ${backupCodes} SET used_at = ${instant('$4')}
        WHERE user_id = $1 AND selector = $2 AND code_hash = $3 AND used_at IS NULL`,
    ),
    count: statement(
      'count',
      `SELECT pg_catalog.count(*)::integer AS left FROM ${backupCodes} WHERE user_id = $1 AND used_at IS NULL`,
    ),
    /** Before the statements that replace, so that of two lists at once one is left, and not both. */
    lock: statement(
      'lock',
      `SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('nestjs-latchkey:backup-codes:' || $1::text, 0::bigint))`,
    ),
    remove: statement('remove', `DELETE FROM ${backupCodes} WHERE user_id = $1`),
    removeSince: statement(
      'remove_since',
      `DELETE FROM ${backupCodes} WHERE user_id = $1 AND created_at >= ${instant('$2')}`,
    ),
    insert: statement(
      'insert',
      `INSERT INTO ${backupCodes} (user_id, selector, code_hash, created_at)
        SELECT $1, c.selector, c.hash, ${instant('$4')}
          FROM ROWS FROM (pg_catalog.unnest($2::text[]), pg_catalog.unnest($3::text[])) AS c (selector, hash)`,
    ),
  };
};

/** The table `auth_backup_codes`. */
@Injectable()
export class PostgresBackupCodeStore extends BackupCodeStore implements OnModuleInit {
  private readonly sql;

  constructor(
    private readonly statements: PreparedStatements,
    names: SchemaNames,
  ) {
    super();
    this.sql = backupCodeStatements(names);
  }

  /** Fails the boot if the table is missing. */
  async onModuleInit(): Promise<void> {
    await this.statements.run(this.sql.check, []);
  }

  override async findHash(userId: string, selector: string): Promise<string | null> {
    const { rows } = await this.statements.run<{ code_hash: string }>(this.sql.find, [userId, selector]);
    return rows[0]?.code_hash ?? null;
  }

  override async claim(userId: string, { selector, hash }: StoredBackupCode, now: number): Promise<boolean> {
    const values = [userId, selector, hash, toEpochSeconds(now)];
    return (await this.statements.run(this.sql.claim, values)).rowCount > 0;
  }

  override async countUnused(userId: string): Promise<number> {
    return (await this.statements.run<{ left: number }>(this.sql.count, [userId])).rows[0]!.left;
  }

  override async replace(userId: string, codes: readonly StoredBackupCode[], now: number): Promise<void> {
    await this.statements.transaction(async () => {
      await this.statements.run(this.sql.lock, [userId]);
      await this.statements.run(this.sql.remove, [userId]);
      if (codes.length === 0) return;
      const columns = [codes.map(({ selector }) => selector), codes.map(({ hash }) => hash)];
      await this.statements.run(this.sql.insert, [userId, ...columns, toEpochSeconds(now)]);
    });
  }

  override async removeSince(userId: string, since: number): Promise<boolean> {
    return (await this.statements.run(this.sql.removeSince, [userId, toEpochSeconds(since)])).rowCount > 0;
  }
}
