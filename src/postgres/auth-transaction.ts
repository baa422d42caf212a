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
   * The same in a transaction of your own: an account, a session and your rows are committed together, or none of them.
   *
   * ```ts
   * await dataSource.transaction(async (manager) => {
   *   await manager.insert(Company, { name });
   *   await transaction.within(manager, () => users.create(email, password));
   * });
   * ```
   *
   * `manager` is the one that TypeORM gives you for an open transaction of the DataSource that AuthModule uses. Events are
   * emitted, and caches told, when you have committed; nothing is, where you roll back, also to a savepoint (a
   * `manager.transaction` inside). Inside, reads go to the database and see what you have changed; other code sees it
   * after the commit. `run` inside is part of it. Rate limits count on their own, on another connection of the pool.
   *
   * The transaction is yours, and so is its end. A statement that fails leaves it failed (PostgreSQL takes no further
   * statement, `25P02`): `within` throws, also if the work caught the error, so let it pass and roll back, or put a
   * savepoint around `within`. Nothing is tried again after a deadlock or a serialization failure: call your whole
   * transaction again. Keep to READ COMMITTED, PostgreSQL's default, which our statements are made for. Wait for
   * everything you start, and for `within` itself, before your transaction ends.
   *
   * Throws what the work throws, and a `TypeError` for a manager without an open transaction, for one of another
   * DataSource, and inside of `run` or of another transaction's `within`.
   */
  within<T>(manager: EntityManager, work: () => Promise<T>): Promise<T> {
    return this.statements.within(manager, work);
  }
}
