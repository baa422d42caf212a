import { seconds } from '../../common/duration.js';
import type { ExpectedSchema } from './expected-schema.js';
import { quoted } from '../../schema/schema-names.js';
import { finding, type Finding } from './finding.js';
import type { Query } from './query.js';
import { schemaDrift } from './schema-drift.js';

const SETTINGS = `SELECT current_setting('default_transaction_isolation') AS isolation,
  current_setting('search_path') AS path, current_schema() AS schema`;
const TIME = "SELECT date_part('epoch', clock_timestamp()) * 1000 AS now";
/** The roles that may create objects in the schema, besides superusers, this role and the schema's owner. */
const CREATORS = `SELECT r.rolname AS name FROM pg_roles r
  WHERE has_schema_privilege(r.oid, $1::text, 'CREATE') AND NOT r.rolsuper AND r.rolname !~ '^pg_'
    AND r.rolname <> current_user AND r.oid <> (SELECT nspowner FROM pg_namespace WHERE nspname = $1) ORDER BY 1`;
const ELSEWHERE = `SELECT n.nspname AS schema FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relname = $1 AND c.relkind IN ('r', 'p') AND to_regclass(quote_ident($1)) IS NULL
    AND EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'handle')`;

/** Only reads. `now` is this machine's clock, in epoch ms. */
export async function databaseFindings(query: Query, expected: ExpectedSchema, now: () => number): Promise<Finding[]> {
  const [settings] = await query<{ isolation: string; path: string; schema: string | null }>(SETTINGS);
  const { isolation, path, schema } = settings!;
  const findings = await clockFindings(query, now);
  if (isolation !== 'read committed') {
    const message = `default_transaction_isolation is '${isolation}'.`;
    const remedy =
      "ALTER ROLE … SET default_transaction_isolation = 'read committed': the locks of AuthModule need it.";
    findings.push(finding('AUTH_D60', message, remedy));
  }
  const [elsewhere] = await query<{ schema: string }>(ELSEWHERE, [expected.names.sessions]);
  if (schema === null || elsewhere) {
    const where = elsewhere ? `The tables are in schema ${elsewhere.schema}` : 'There is no schema to use';
    const remedy = `ALTER ROLE … SET search_path = ${elsewhere ? quoted(elsewhere.schema) : '…'}, or --schema here and \`extra\` in the DataSource.`;
    findings.push(finding('AUTH_D61', `${where}; search_path is ${path}.`, remedy));
    // Otherwise everything would be missing: that is one finding, not fifty.
    return findings;
  }
  return [...findings, ...(await creatorFindings(query, schema)), ...(await schemaDrift(query, expected))];
}

/**
 * Whoever may create objects there can put a function with a better matching type beside ours, or a table under a name
 * to come.
 */
async function creatorFindings(query: Query, schema: string): Promise<Finding[]> {
  const roles = (await query<{ name: string }>(CREATORS, [schema])).map(({ name }) => name);
  if (roles.length === 0) return [];
  const shown = [...roles.slice(0, 5), ...(roles.length > 5 ? [`${roles.length - 5} more`] : [])].join(', ');
  const remedy = `REVOKE CREATE ON SCHEMA ${quoted(schema)} FROM PUBLIC (or from them), or give the module a schema of its own.`;
  return [finding('AUTH_D64', `Other roles may create objects in schema ${schema}: ${shown}.`, remedy)];
}

async function clockFindings(query: Query, now: () => number): Promise<Finding[]> {
  const before = now();
  const [answer] = await query<{ now: number }>(TIME);
  const after = now();
  const skew = (before + after) / 2 - answer!.now;
  // Half the round trip may be network delay rather than skew.
  const certain = Math.abs(skew) - (after - before) / 2;
  if (certain <= seconds(1)) return [];
  const message = `This machine's clock is ${Math.abs(skew / 1000).toFixed(1)} s ${skew > 0 ? 'ahead of' : 'behind'} the database's.`;
  const code = certain > seconds(30) ? 'AUTH_D63' : 'AUTH_D62';
  return [finding(code, message, 'Synchronise both with NTP: lifetimes and limits go by the clocks of the instances.')];
}
