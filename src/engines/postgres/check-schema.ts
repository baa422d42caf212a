import { AuthError } from '../../auth.errors.js';
import type { PreparedStatements } from '../../postgres/prepared-statements.js';
import type { Statement } from '../../postgres/statement.js';
import { prefixMistakes } from '../../schema/foreign-tables.js';
import { literal, type SchemaNames } from '../../schema/schema-names.js';

const INSTANT = 'timestamptz';
const NEW_SESSION = ['text', 'text', INSTANT, 'interval', 'interval', INSTANT, 'text', 'text'];
const ASSURANCE = ['smallint', 'text[]'];

const checkOf = (names: SchemaNames): Statement => {
  const functions = [
    names.signature('latchkey_add_session', ...NEW_SESSION, 'integer', 'boolean', INSTANT, 'boolean', ...ASSURANCE),
    names.signature(
      'latchkey_open_session',
      ...NEW_SESSION,
      'text',
      'integer',
      'boolean',
      INSTANT,
      'text',
      'boolean',
      'interval',
      INSTANT,
      ...ASSURANCE,
      'boolean',
    ),
    names.signature('latchkey_close_sessions', 'text', 'text'),
    names.signature('latchkey_close_family', 'text', 'uuid'),
    names.signature('latchkey_close_families', 'text[]'),
  ];
  return {
    name: '',
    text: `SELECT ${functions.map((signature) => `${literal(signature)}::regprocedure`).join(', ')},
      pg_catalog.current_setting('transaction_isolation'::text) AS isolation`,
  };
};

/**
 * Throws if our functions are missing, if the connections use an isolation level under which their locks do not work,
 * or if TypeORM would look for the tables elsewhere.
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
