import type { QueryRunner } from 'typeorm';
import { TableSettings } from '../../config/table-settings.js';
import { authSchemaFor, type AuthSchemaOptions } from '../../schema/auth-schema.js';
import { CREATED } from '../../schema/migrations/own-table.js';

export interface ExpectedIndex {
  readonly table: string;
  readonly columns: readonly string[];
  readonly unique: boolean;
  /** The condition of a partial index, after WHERE. */
  readonly where?: string;
}

/** A quoted name, without its schema. */
const NAME = '(?:"[^"]+"\\.)?"([^"]+)"';
const re = ({ raw }: TemplateStringsArray, ...parts: string[]) => new RegExp(String.raw({ raw }, ...parts), 's');

/** The schema after the migrations have run on an empty database. */
export interface ExpectedSchema {
  readonly names: TableSettings;
  readonly tables: ReadonlyMap<string, ReadonlySet<string>>;
  readonly indexes: ReadonlyMap<string, ExpectedIndex>;
  /** Function bodies by name, as PostgreSQL stores them. */
  readonly functions: ReadonlyMap<string, string>;
  /** Tables of the triggers, by trigger name. */
  readonly triggers: ReadonlyMap<string, string>;
  /** Statements that this file does not understand; a test checks that there are none. */
  readonly unknown: readonly string[];
}

/** Indexes that the migrations create through constraints of new tables, and that an adopted table may lack. */
const withinConstraints = ({
  users,
  rateLimitEvents,
}: TableSettings): readonly (readonly [string, ExpectedIndex])[] => [
  [`${users}_email_key`, { table: users, columns: ['email'], unique: true }],
  [
    `${rateLimitEvents}_window_idx`,
    { table: rateLimitEvents, columns: ['username', 'event_type', 'occurred_at'], unique: false },
  ],
];

/** Read from the migrations themselves, by running them against a fake: so it cannot differ from what they do. */
export async function expectedSchema(options: AuthSchemaOptions = {}): Promise<ExpectedSchema> {
  const statements: string[] = [];
  const recorder = {
    query: async (text: string): Promise<unknown[]> => {
      if (!/^\s*SELECT\b/i.test(text)) statements.push(text.trim());
      // On an empty database there are no tables, so nothing is in the way.
      if (/AS found\b/.test(text)) return [{ found: false }];
      // The tables that the migrations have created are theirs.
      if (/AS comment\b/.test(text)) return [{ name: 'pkey', comment: CREATED }];
      return /AS schema\b/.test(text) ? [{ schema: 'public' }] : [];
    },
  } as QueryRunner;
  for (const Migration of authSchemaFor(options).migrations) await new Migration().up(recorder);
  return readOff(statements, { ...new TableSettings(), ...options.tables });
}

function readOff(statements: readonly string[], names: TableSettings): ExpectedSchema {
  const tables = new Map<string, Set<string>>();
  const indexes = new Map<string, ExpectedIndex>();
  const functions = new Map<string, string>();
  const triggers = new Map<string, string>();
  const readers: readonly (readonly [RegExp, (...groups: string[]) => unknown])[] = [
    [re`^CREATE TABLE ${NAME} \((.*)\)$`, (name, columns) => tables.set(name, new Set(columnsOf(columns)))],
    [
      re`^CREATE (UNIQUE )?INDEX ${NAME}\s+ON ${NAME} (?:USING gin )?\(([\w\s,]+)\)(?: WHERE (.*))?$`,
      (unique, name, table, columns, where) =>
        indexes.set(name, {
          table: table,
          columns: columns.split(',').map((column) => column.trim().split(' ')[0]!),
          unique: Boolean(unique),
          where,
        }),
    ],
    [re`^CREATE OR REPLACE FUNCTION ${NAME}\s*\(.*?\$\$(.*)\$\$`, (name, body) => functions.set(name, body)],
    [re`^CREATE TRIGGER (\w+)\s.*?\sON ${NAME}`, (name, table) => triggers.set(name, table)],
    [re`^ALTER TABLE ${NAME} ADD COLUMN (\w+)`, (name, column) => tables.get(name)?.add(column)],
    [/^(?:CREATE EXTENSION|COMMENT ON|DROP (?:TRIGGER|FUNCTION) IF EXISTS|REVOKE|INSERT INTO)\b/, () => undefined],
  ];
  const unknown = statements.filter((statement) => {
    const reader = readers.find(([pattern]) => pattern.test(statement));
    reader?.[1](...reader[0].exec(statement)!.slice(1));
    return !reader;
  });
  for (const [name, index] of withinConstraints(names)) if (tables.has(index.table)) indexes.set(name, index);
  return { names, tables, indexes, functions, triggers, unknown };
}

/** The column names of a table's definition; commas inside brackets do not separate columns. */
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
