import { AuthError } from '../../auth.errors.js';
import type { PreparedStatements } from '../../postgres/prepared-statements.js';
import type { Statement } from '../../postgres/statement.js';

const CHECK: Statement = {
  name: '',
  text: `SELECT 'latchkey_open_session'::regproc, 'latchkey_add_session'::regproc,
    'latchkey_close_sessions'::regproc, 'latchkey_close_families'::regproc,
    current_setting('transaction_isolation') AS isolation, current_schema() AS schema`,
};

/**
 * Throws if our functions are missing, or if the connection uses an isolation level or schema with which their locks do
 * not work.
 */
export async function checkSchema(statements: PreparedStatements): Promise<void> {
  const { rows } = await statements.run<{ isolation: string; schema: string }>(CHECK, []);
  const { isolation, schema } = rows[0]!;
  const mistakes: string[] = [];
  if (isolation !== 'read committed') {
    mistakes.push(
      `The database's default_transaction_isolation is '${isolation}': set it to 'read committed' for this role. ` +
        'The locks of AuthModule are taken before a snapshot, which the other levels take first.',
    );
  }
  if (statements.schema !== undefined && statements.schema !== schema) {
    mistakes.push(
      `The DataSource's schema is '${statements.schema}', and its connections use '${schema}': give them the same ` +
        `with extra: { options: '-c search_path=${statements.schema}' }.`,
    );
  }
  if (mistakes.length > 0) throw new AuthError('INVALID_CONFIG', mistakes.join('\n'), { mistakes });
}
