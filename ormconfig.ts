import { DataSource } from 'typeorm';
import { authEntities, authMigrations } from 'nestjs-latchkey';

/** For the TypeORM CLI (`npm run migration:run`, `:revert`, `:generate`) and the tests. `DATABASE_URL` names the database. */
export default new DataSource({
  type: 'postgres',
  url: process.env['DATABASE_URL'] ?? 'postgres://postgres@127.0.0.1:5432/postgres',
  entities: authEntities,
  migrations: authMigrations,
  synchronize: false,
});
