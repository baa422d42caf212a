import { describe } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { authSchemaFor, UserDirectory, type AuthUser, type UserIdType } from 'nestjs-latchkey';
import { SessionStore } from 'nestjs-latchkey/engine';
import { DataSource } from 'typeorm';
import { sessionStoreContract } from '../contract/session-store.contract.js';
import { startTestApp } from '../support/app.js';
import { createTestDatabase } from '../support/database.js';
import { countsOf } from '../support/session-stores.js';

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

describe.each<[UserIdType, string, string]>([
  ['integer', '1', '2'],
  ['bigint', '9007199254740993', '2'],
  ['text', 'user:ada', 'user:bob'],
  ['uuid', '00000000-0000-4000-8000-000000000001', '00000000-0000-4000-8000-000000000002'],
])('a host with a user table of its own, keyed by %s', (userId, ada, bob) => {
  sessionStoreContract(`TypeORM, ${userId} user ids`, async () => {
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
  });
});
