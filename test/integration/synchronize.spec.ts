import { expect, it } from '@jest/globals';
import { authEntities, authMigrations } from 'nestjs-latchkey';
import { DataSource } from 'typeorm';
import { latchkey } from '../support/command.js';
import { createTestDatabase } from '../support/database.js';

it('a connection with synchronize: true, as init may find it, keeps what the migrations made', async () => {
  const db = await createTestDatabase({ migrated: false });
  for (const start of ['first', 'second']) {
    const dataSource = new DataSource({
      type: 'postgres',
      url: db.url,
      entities: [...authEntities],
      migrations: [...authMigrations],
      migrationsRun: true,
      synchronize: true,
    });
    await dataSource.initialize();
    await dataSource.destroy();
    const { status, out } = await latchkey(['doctor'], { DATABASE_URL: db.url });
    expect([start, status, out]).toEqual([start, 0, expect.stringContaining('0 failed, 0 warnings')]);
  }
  await db.drop();
});
