import { CommandFailure } from '../failure.js';

export const PACKAGE = 'nestjs-latchkey';
export const DATABASE_URL = 'postgres://postgres:postgres@localhost:5432/postgres';
export const ENTITIES = '...authEntities';
export const MIGRATIONS = '...authMigrations';

export const CONNECTION = `TypeOrmModule.forRoot({
  type: 'postgres',
  url: process.env['DATABASE_URL'],
  entities: [${ENTITIES}],
  migrations: [${MIGRATIONS}],
  migrationsRun: true,
})`;

export const authModule = (name: string, dataSource: string | undefined) => `${name}.forRoot({
  secrets: [process.env['AUTH_SECRET']!],
  routes: { path: 'auth' },${dataSource === undefined ? '' : `\n  dataSource: '${dataSource}',`}
})`;

/** The failure for a module that is written in a way that is not known, with what to write there by hand. */
export function byHand(reason: string, path: string): CommandFailure {
  const written = authModule('AuthModule', undefined);
  const options = path.endsWith('.js') ? written.replace("']!", "']") : written;
  const instructions = `By hand, in ${path}:

  import { TypeOrmModule } from '@nestjs/typeorm';
  import { authEntities, authMigrations, AuthModule } from '${PACKAGE}';

  @Module({
    imports: [
      // your own, with \`${ENTITIES}\` in its entities and \`${MIGRATIONS}\` in its migrations, or:
      ${CONNECTION.replaceAll('\n', '\n      ')},
      ${options.replaceAll('\n', '\n      ')},
    ],
  })

AUTH_SECRET is what \`npx nestjs-latchkey secret\` prints; keep it in .env, and .env out of git. Then run
\`npx nestjs-latchkey migrate\` and \`npx nestjs-latchkey users create --email <address>\`.`;
  return new CommandFailure('INIT_BY_HAND', `${reason}. Nothing was changed.`, { instructions });
}
