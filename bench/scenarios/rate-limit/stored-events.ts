import { withClient } from '../../../test/support/test-server.js';
import type { Bench } from '../../harness/scenario.js';
import { migrated } from '../our-app.js';
import { PEER_TABLE } from './contenders.js';

/** The peer has a row for each subject, not for each event. */
const SUBJECTS = 500_000;

/** The address of a new database with our schema, the peer's table, and so many events of others in each. */
export async function databaseWithEvents(bench: Bench, stored: number): Promise<string> {
  const url = await migrated(bench, `rate_limit_${stored}`);
  await withClient(url, async (client) => {
    await client.query(
      `INSERT INTO auth_rate_limit_events (username, event_type, occurred_at)
        SELECT 'stored ' || n % ${SUBJECTS}, 'login_ip', now() - random() * interval '15 minutes'
          FROM generate_series(1, $1::integer) n`,
      [stored],
    );
    // As rate-limiter-flexible creates it.
    await client.query(
      `CREATE TABLE ${PEER_TABLE} (key varchar(255) PRIMARY KEY, points integer NOT NULL DEFAULT 0, expire bigint)`,
    );
    await client.query(
      `INSERT INTO ${PEER_TABLE} SELECT 'rlflx:stored ' || n, 1, 9999999999999 FROM generate_series(1, $1::integer) n`,
      [Math.min(stored, SUBJECTS)],
    );
    await client.query('VACUUM ANALYZE');
  });
  return url;
}
