import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { PreparedStatements } from './prepared-statements.js';

/**
 * Several calls of this module's services in one transaction, such as consuming a mailed token and setting the password
 * that it allows: either all of it happens or nothing.
 *
 * ```ts
 * await transaction.run(async () => {
 *   const reset = await tokens.consume('password_reset', token);
 *   if (reset) await users.setPasswordHash(userId, hash);
 * });
 * ```
 *
 * A connection is held meanwhile, so do slow work (hashing, mail) before or after it, and await everything you start:
 * what continues after the end is not part of it. With another `engine` than PostgreSQL a token that is consumed inside
 * is given back when the rest is undone, but not where the outcome is not known. Rate limits count on their own, also
 * when the rest is undone. A statement that fails undoes everything, also if you catch its error. After a deadlock the
 * work is called again. Throws what the work throws, and `STORE_UNAVAILABLE` when the outcome of the commit is not
 * known.
 */
@Injectable()
export class AuthTransaction {
  constructor(private readonly statements: PreparedStatements) {}

  run<T>(work: () => Promise<T>): Promise<T> {
    return this.statements.transaction(work);
  }

  /**
   * The same as part of a transaction that you have begun with TypeORM, on its connection: your rows and ours commit
   * together or not at all.
   *
   * ```ts
   * await dataSource.transaction(async (manager) => {
   *   const team = await manager.save(Team, { name });
   *   await transaction.within(manager, async () => {
   *     const user = await users.create(email, password);
   *     await sessions.create(user.id);
   *   });
   * });
   * ```
   *
   * Events are emitted, and caches told, when your transaction has committed; a savepoint of yours that is rolled back
   * takes along what was done within it. A statement of ours that fails leaves the transaction failed: committing it
   * throws that error, unless a savepoint around it was rolled back. Nothing is tried again after a deadlock. The level
   * must be READ COMMITTED. Throws a TypeError for a manager that is in no transaction, or of another DataSource.
   */
  within<T>(manager: EntityManager, work: () => Promise<T>): Promise<T> {
    return this.statements.within(manager, work);
  }
}
