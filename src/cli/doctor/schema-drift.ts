import type { ExpectedIndex, ExpectedSchema } from './expected-schema.js';
import { finding, type Finding } from './finding.js';
import type { Query } from './query.js';

const MIGRATE = 'Run the migrations: `npx nestjs-latchkey migrate`.';
const REPAIR =
  'Run the migrations: `npx nestjs-latchkey migrate`. If none is pending, restore it from the migration that creates it.';

const COLUMNS = `SELECT c.relname AS "table", a.attname AS "column" FROM pg_class c
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  WHERE c.relname = ANY($1) AND c.relkind IN ('r', 'p') AND pg_table_is_visible(c.oid)`;
const INDEXES = `SELECT c.relname AS "table", (i.indexrelid::regclass)::text AS name, i.indisunique AS "unique",
    i.indpred IS NOT NULL AS partial, array(
    SELECT a.attname::text FROM unnest(i.indkey::smallint[]) WITH ORDINALITY AS k (attnum, place)
      JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum ORDER BY k.place) AS columns
  FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
  WHERE c.relname = ANY($1) AND pg_table_is_visible(c.oid) AND i.indisvalid`;
const FUNCTIONS = `SELECT p.proname AS name, p.prosrc AS body FROM pg_proc p
  WHERE p.proname = ANY($1) AND pg_function_is_visible(p.oid)`;
/** `D` is disabled, `R` fires on replicas only. */
const TRIGGERS = `SELECT t.tgname AS name, c.relname AS "table" FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
  WHERE t.tgname = ANY($1) AND pg_table_is_visible(c.oid) AND t.tgenabled IN ('O', 'A')`;

interface PresentIndex extends ExpectedIndex {
  readonly name: string;
  readonly partial: boolean;
}

/** The parts of the migrations' schema that the database lacks. Additional objects are the application's own affair. */
export async function schemaDrift(query: Query, expected: ExpectedSchema): Promise<Finding[]> {
  const tables = [...expected.tables.keys()];
  const columns = await query<{ table: string; column: string }>(COLUMNS, [tables]);
  const indexes = await query<PresentIndex>(INDEXES, [tables]);
  const functions = await query<{ name: string; body: string }>(FUNCTIONS, [[...expected.functions.keys()]]);
  const triggers = await query<{ name: string; table: string }>(TRIGGERS, [[...expected.triggers.keys()]]);
  const present = new Set(columns.map(({ table }) => table));
  const missing = tables.filter((table) => !present.has(table));
  const findings = missing.length > 0 ? [finding('AUTH_D70', `${absent('table', missing)}.`, MIGRATE)] : [];
  // Before the first migration all else is missing too.
  if (present.size === 0) return findings;

  for (const [table, names] of expected.tables) {
    const has = new Set(columns.filter((found) => found.table === table).map(({ column }) => column));
    const lacking = present.has(table) ? [...names].filter((name) => !has.has(name)) : [];
    if (lacking.length > 0) findings.push(finding('AUTH_D71', `${absent('column', lacking)} in ${table}.`, MIGRATE));
  }
  for (const [name, index] of expected.indexes) {
    if (!present.has(index.table) || indexes.some((found) => serves(found, index, name))) continue;
    const columnList = index.columns.join(', ');
    const kind = index.unique ? 'UNIQUE INDEX' : 'INDEX';
    const remedy = `CREATE ${kind} CONCURRENTLY ${name} ON ${index.table} (${columnList})${index.where ? ` WHERE ${index.where}` : ''}`;
    findings.push(finding('AUTH_D72', `${index.table} has no valid index on (${columnList}).`, remedy));
  }
  const gone = [...expected.functions.keys()].filter((name) => !functions.some((found) => found.name === name));
  if (gone.length > 0) findings.push(finding('AUTH_D73', `${absent('function', gone)}.`, MIGRATE));
  for (const [name, body] of expected.functions) {
    const found = functions.filter((candidate) => candidate.name === name);
    if (found.length === 0) continue;
    if (!found.some((candidate) => candidate.body === body)) {
      findings.push(finding('AUTH_D73', `The function ${name} is not the one of this version.`, REPAIR));
    } else if (found.length > 1) {
      const message = `There are ${found.length} functions ${name}, of different arguments.`;
      findings.push(finding('AUTH_D73', message, 'One is ours; find out who made the others, and drop them.'));
    }
  }
  for (const [name, table] of expected.triggers) {
    if (!present.has(table) || triggers.some((found) => found.name === name && found.table === table)) continue;
    const remedy = `${MIGRATE} If it was turned off: ALTER TABLE ${table} ENABLE TRIGGER ${name}.`;
    findings.push(finding('AUTH_D74', `The trigger ${name} on ${table} is missing or off.`, remedy));
  }
  return findings;
}

/** `There is no table sessions`, and all at once where there are several: one command makes them. */
const absent = (what: string, names: readonly string[]): string =>
  `There ${names.length === 1 ? `is no ${what}` : `are no ${what}s`} ${names.join(', ')}`;

/**
 * Whether an index serves, whatever its name: it begins with these columns, or is unique on exactly these. A partial
 * index is recognised only by its name.
 */
const serves = (found: PresentIndex, { table, columns, unique, where }: ExpectedIndex, name: string): boolean =>
  found.table === table &&
  (!found.partial || (where !== undefined && found.name.endsWith(name))) &&
  columns.every((column, i) => found.columns[i] === column) &&
  (!unique || (found.unique && found.columns.length === columns.length));
