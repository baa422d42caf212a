import type { Client } from 'pg';
import { sessionStatements } from '../../../src/engines/postgres/postgres-session.statements.js';
import { SchemaNames } from '../../../src/schema/schema-names.js';

/** Fails unless PostgreSQL finds session and user by their primary keys. */
export async function checkLookupPlan(client: Client): Promise<void> {
  await client.query(`PREPARE find AS ${sessionStatements(new SchemaNames()).findWithUser.text}`);
  const { rows: ids } = await client.query<{ id: string }>('SELECT id FROM sessions LIMIT 1');
  const { rows } = await client.query<{ 'QUERY PLAN': string }>(`EXPLAIN EXECUTE find('${ids[0]!.id}')`);
  const plan = rows.map((line) => line['QUERY PLAN']).join('\n');
  const isByKeys = ['sessions_pkey', 'users_pkey'].every((key) => plan.includes(`Index Scan using ${key}`));
  if (!isByKeys || plan.includes('Seq Scan')) throw new Error(`The lookup does not use the primary keys:\n${plan}`);
}
