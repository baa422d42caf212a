import { AuthError } from '../../auth.errors.js';
import type { PreparedStatements } from '../../postgres/prepared-statements.js';
import type { Statement } from '../../postgres/statement.js';
import { prefixMistakes } from '../../schema/foreign-tables.js';
import type { SchemaNames } from '../../schema/schema-names.js';

const FUNCTIONS = ['open_session', 'add_session', 'close_sessions', 'close_family', 'close_families'];

const checkOf = (names: SchemaNames): Statement => ({
  name: '',
  text: `SELECT ${FUNCTIONS.map((name) => `'${names.qualified(`latchkey_${name}`)}'::regproc`).join(', ')},
    pg_catalog.current_setting('transaction_isolation'::text) AS isolation`,
});

/**
 * Throws if our functions are missing, if the connections use an isolation level with which their locks do not work, or
 * if TypeORM would look for the tables elsewhere.
 */
export async function checkSchema(statements: PreparedStatements, names: SchemaNames): Promise<void> {
  const { rows } = await statements.run<{ isolation: string }>(checkOf(names), []);
  const { isolation } = rows[0]!;
  const mistakes = prefixMistakes(statements.entityPrefix);
  if (isolation !== 'read committed') {
    mistakes.push(
      `The database's default_transaction_isolation is '${isolation}': set it to 'read committed' for this role. ` +
        'The locks of AuthModule are taken before a snapshot, which the other levels take first.',
    );
  }
  if (mistakes.length > 0) throw new AuthError('INVALID_CONFIG', mistakes.join('\n'), { mistakes });
}
