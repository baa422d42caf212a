// Runs a command with DATABASE_URL and AUTH_SECRET.
import { spawnSync } from 'node:child_process';
import { startEmbeddedPostgres } from 'nestjs-latchkey/testing';

const postgres = await startEmbeddedPostgres({ settings: { fsync: 'off' } });
const env = {
  ...process.env,
  DATABASE_URL: postgres.url,
  AUTH_SECRET: 'a test secret that is long enough: 0123456789',
};
const { status } = spawnSync(process.argv[2], process.argv.slice(3), { env, stdio: 'inherit' });
await postgres.stop();
process.exitCode = status ?? 1;
