/**
 * What is stored in PostgreSQL by the ids of accounts, beside sessions and single-use tokens: second factors, passkeys, API
 * keys, the list of JWTs and the count of wrong passwords. Rows of our own table `users` take it along; those of another
 * one do not.
 */
export abstract class AccountData {
  /** Part of the transaction around it. A fault of the storage is thrown. */
  abstract deleteByUser(userId: string): Promise<void>;
}
