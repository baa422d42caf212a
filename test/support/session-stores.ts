import { Injectable } from '@nestjs/common';
import { authSchemaFor, UserDirectory, type AuthUser, type UserIdType } from 'nestjs-latchkey';
import { SessionStore } from 'nestjs-latchkey/engine';
import { DataSource } from 'typeorm';
import type { SessionStoreSubject } from '../contract/session-store.contract.js';
import { createUser, startTestApp, type TestApp } from './app.js';
import { createTestDatabase, type TestDatabase } from './database.js';

/** What the contract of `SessionStore` asks of the rows themselves. */
export function countsOf(db: TestDatabase) {
  const count = (condition: string) => async (userId: string) => {
    const rows = await db.query(`SELECT count(*) AS n FROM sessions WHERE user_id = $1 AND ${condition}`, [userId]);
    return Number(rows[0]!['n']);
  };
  return { count: count('rotated_at IS NULL'), countRotated: count('rotated_at IS NOT NULL') };
}

/** The store of this application, with two accounts of ours, for the contract to try. */
export async function sessionStoreOf(t: TestApp): Promise<SessionStoreSubject> {
  return {
    store: t.app.get(SessionStore),
    ada: (await createUser(t.app, 'ada@example.com')).id,
    bob: (await createUser(t.app, 'bob@example.com')).id,
    unknownUser: '00000000-0000-4000-8000-00000000dead',
    ...countsOf(t.db),
    close: () => t.close(),
  };
}

/** A host's table with keys of its own: `accounts`, no password hash that we know of. */
@Injectable()
class AccountDirectory extends UserDirectory {
  constructor(private readonly dataSource: DataSource) {
    super();
  }

  override async findById(id: string): Promise<AuthUser | null> {
    const rows = await this.dataSource.query<{ id: string | number; login: string }[]>(
      'SELECT id, login FROM accounts WHERE id::text = $1',
      [id],
    );
    return rows[0] ? { id: String(rows[0].id), email: rows[0].login } : null;
  }

  override async findByLogin(): Promise<AuthUser | null> {
    return null;
  }

  override async verifyCredentials(): Promise<AuthUser | null> {
    return null;
  }
}

/** The store of an application whose users are in a table of its own, with keys of this type. */
export async function sessionStoreOnAccounts(
  userId: UserIdType,
  ada: string,
  bob: string,
): Promise<SessionStoreSubject> {
  const db = await createTestDatabase({ migrated: false });
  await db.query(`CREATE TABLE accounts (id ${userId} PRIMARY KEY, login text)`);
  await db.query('INSERT INTO accounts VALUES ($1, $3), ($2, $4)', [ada, bob, 'ada@example.com', 'bob@example.com']);
  const schema = authSchemaFor({ userId });
  const t = await startTestApp({
    url: db.url,
    entities: schema.entities,
    migrations: schema.migrations,
    auth: { users: AccountDirectory },
  });
  return {
    store: t.app.get(SessionStore),
    ada,
    bob,
    unknownUser: userId === 'text' ? null : 'nobody',
    ...countsOf(db),
    close: async () => {
      await t.close();
      await db.drop();
    },
  };
}
