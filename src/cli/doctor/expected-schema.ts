import type { MigrationInterface, QueryRunner } from 'typeorm';

export interface ExpectedIndex {
  readonly table: string;
  readonly columns: readonly string[];
  readonly unique: boolean;
  /** What follows WHERE, of an index of some rows only. */
  readonly where?: string;
}

/** What is there after the migrations have run, on an empty database. */
export interface ExpectedSchema {
  readonly tables: ReadonlyMap<string, ReadonlySet<string>>;
  readonly indexes: ReadonlyMap<string, ExpectedIndex>;
  /** By name: the body, as PostgreSQL keeps it. */
  readonly functions: ReadonlyMap<string, string>;
  /** By name: the table. */
  readonly triggers: ReadonlyMap<string, string>;
  /** Statements that this file does not understand; a test sees that there are none. */
  readonly unknown: readonly string[];
}

/**
 * What the migrations put into constraints of tables that they create, and what a table that existed before may lack.
 */
const WITHIN_CONSTRAINTS: readonly (readonly [name: string, index: ExpectedIndex])[] = [
  ['users_email_key', { table: 'users', columns: ['email'], unique: true }],
  [
    'auth_rate_limit_events_window_idx',
    { table: 'auth_rate_limit_events', columns: ['username', 'event_type', 'occurred_at'], unique: false },
  ],
];

/** Read off the migrations themselves, which run against nothing: so it cannot differ from what they do. */
export async function expectedSchema(migrations: readonly (new () => MigrationInterface)[]): Promise<ExpectedSchema> {
  const statements: string[] = [];
  const recorder = {
    query: async (text: string): Promise<unknown[]> => {
      // createOrAdopt asks whether the table is there: on an empty database it is not.
      if (/^\s*SELECT\b/i.test(text)) return [{ found: false }];
      statements.push(text.trim());
      return [];
    },
  } as QueryRunner;
  for (const Migration of migrations) await new Migration().up(recorder);
  return readOff(statements);
}

function readOff(statements: readonly string[]): ExpectedSchema {
  const tables = new Map<string, Set<string>>();
  const indexes = new Map<string, ExpectedIndex>();
  const functions = new Map<string, string>();
  const triggers = new Map<string, string>();
  const readers: readonly (readonly [RegExp, (...groups: string[]) => unknown])[] = [
    [/^CREATE TABLE (\w+) \((.*)\)$/s, (name, columns) => tables.set(name, new Set(columnsOf(columns)))],
    [/^ALTER TABLE (\w+) ADD COLUMN (?:IF NOT EXISTS )?(\w+) /, (table, column) => tables.get(table)?.add(column)],
    [
      /^CREATE (UNIQUE )?INDEX (?:IF NOT EXISTS )?(\w+)\s+ON (\w+) \(([\w\s,]+)\)(?: WHERE (.*))?$/s,
      (unique, name, table, columns, where) =>
        indexes.set(name, {
          table: table,
          columns: columns.split(',').map((column) => column.trim().split(' ')[0]!),
          unique: Boolean(unique),
          where,
        }),
    ],
    [/^CREATE (?:OR REPLACE )?FUNCTION (\w+)\s*\(.*?\$\$(.*)\$\$/s, (name, body) => functions.set(name, body)],
    [/^CREATE (?:OR REPLACE )?TRIGGER (\w+)\s.*?\sON (\w+)/s, (name, table) => triggers.set(name, table)],
    [/^DROP INDEX (?:IF EXISTS )?(\w+)/, (name) => indexes.delete(name)],
    [/^DROP FUNCTION (?:IF EXISTS )?(\w+)/, (name) => functions.delete(name)],
    [/^DROP TRIGGER (?:IF EXISTS )?(\w+)/, (name) => triggers.delete(name)],
    [/^(?:CREATE EXTENSION|COMMENT ON)\b/, () => undefined],
  ];
  const unknown = statements.filter((statement) => {
    const reader = readers.find(([pattern]) => pattern.test(statement));
    reader?.[1](...reader[0].exec(statement)!.slice(1));
    return !reader;
  });
  for (const [name, index] of WITHIN_CONSTRAINTS) if (tables.has(index.table)) indexes.set(name, index);
  return { tables, indexes, functions, triggers, unknown };
}

/** Names of the columns of a table's definition; a comma within brackets parts nothing. */
function columnsOf(definition: string): string[] {
  const parts: string[] = [''];
  let depth = 0;
  for (const character of definition) {
    if (character === '(') depth++;
    if (character === ')') depth--;
    if (character === ',' && depth === 0) parts.push('');
    else parts[parts.length - 1] += character;
  }
  return parts.map((part) => part.trim().split(/\s/)[0]!).filter((name) => name !== 'CONSTRAINT');
}
