import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { PreparedStatements } from './prepared-statements.js';

/**
 * Runs several calls of this module's services in one transaction, such as consuming a mailed token and setting the
 * password it allows: either all of it happens or none of it.
 *
 * - A connection is held meanwhile, so do slow work (hashing, mail) before or after, and await everything you start:
 *   what goes on after the end is not part of the transaction.
 * - A statement that fails rolls everything back, even if you catch its error.
 * - Rate limits are counted on their own and stay counted after a rollback.
 * - With an `engine` other than PostgreSQL, a token consumed inside is given back after a rollback, but not if the
 *   outcome of the commit is unknown.
 *
 * @example
 * ```ts
 * const hash = await accounts.hashOf(password); // slow, so before the transaction
 * await transaction.run(async () => {
 *   const reset = await tokens.consume('password_reset', token);
 *   const user = reset && (await accounts.findByLogin(reset.username));
 *   if (user) await accounts.setPasswordHash(user.id, hash);
 * });
 * ```
 */
@Injectable()
export class AuthTransaction {
  constructor(private readonly statements: PreparedStatements) {}

  /**
   * Runs `work` in a transaction and commits it. Inside another `run` or a `within` it is part of that one. After a
   * deadlock the transaction is rolled back and `work` called again, up to three times in all. Events are emitted, and
   * caches told, after the commit.
   *
   * @throws whatever `work` throws; everything is then rolled back.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the database did not answer, no connection was free within
   *   `database.timeout`, or the outcome of the commit is unknown.
   */
  run<T>(work: () => Promise<T>): Promise<T> {
    return this.statements.transaction(work);
  }

  /**
   * Runs `work` in an open transaction of your own, so that an account, a session and your rows are committed together
   * or not at all. `manager` is what TypeORM gives you for an open transaction of the DataSource that AuthModule uses.
   *
   * - Events are emitted, and caches told, once you have committed; after a rollback, also one to a savepoint (a nested
   *   `manager.transaction`), they are not.
   * - Inside, reads go to the database and see your changes; other code sees them after the commit.
   * - The transaction is yours to end. After a failed statement PostgreSQL accepts no other (`25P02`), and `within`
   *   throws even if `work` caught the error: let it pass and roll back, or put a savepoint around `within`.
   * - Nothing is retried after a deadlock or a serialization failure: run your whole transaction again.
   * - Use READ COMMITTED, PostgreSQL's default, for which our statements are written.
   * - Await everything you start, and `within` itself, before your transaction ends.
   *
   * @throws whatever `work` throws.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the database did not answer. The error of any statement that failed is
   *   thrown, even if `work` caught it.
   * @throws {TypeError} for a manager without an open transaction, for one of another DataSource, and inside `run` or
   *   the `within` of another transaction.
   *
   * @example
   * ```ts
   * await dataSource.transaction(async (manager) => {
   *   await manager.insert(Company, { name });
   *   await transaction.within(manager, () => accounts.create(email, password));
   * });
   * ```
   */
  within<T>(manager: EntityManager, work: () => Promise<T>): Promise<T> {
    return this.statements.within(manager, work);
  }
}
