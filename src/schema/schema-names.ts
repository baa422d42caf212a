import { TableSettings } from '../config/table-settings.js';

/** The table with the key of the triggers, as they name it. */
export const INVALIDATION_KEY = 'latchkey_invalidation_key';

/** The names of the module's tables and functions as SQL, quoted; with a schema, qualified by it. */
export class SchemaNames {
  readonly users: string;
  readonly sessions: string;
  readonly ephemeralTokens: string;
  readonly rateLimitEvents: string;
  readonly revokedTokens: string;
  readonly jwtSessions: string;
  readonly passwordAttempts: string;
  readonly totp: string;
  readonly backupCodes: string;
  readonly emailFactors: string;
  readonly passkeys: string;
  readonly apiKeys: string;
  readonly identities: string;
  readonly auditEvents: string;
  readonly invalidationKey: string;

  constructor(
    readonly tables: Readonly<TableSettings> = new TableSettings(),
    readonly schema?: string,
  ) {
    this.users = this.qualified(tables.users);
    this.sessions = this.qualified(tables.sessions);
    this.ephemeralTokens = this.qualified(tables.ephemeralTokens);
    this.rateLimitEvents = this.qualified(tables.rateLimitEvents);
    this.revokedTokens = this.qualified(tables.revokedTokens);
    this.jwtSessions = this.qualified(tables.jwtSessions);
    this.passwordAttempts = this.qualified(tables.passwordAttempts);
    this.totp = this.qualified(tables.totp);
    this.backupCodes = this.qualified(tables.backupCodes);
    this.emailFactors = this.qualified(tables.emailFactors);
    this.passkeys = this.qualified(tables.passkeys);
    this.apiKeys = this.qualified(tables.apiKeys);
    this.identities = this.qualified(tables.identities);
    this.auditEvents = this.qualified(tables.auditEvents);
    this.invalidationKey = this.qualified(INVALIDATION_KEY);
  }

  /** A function with its argument types, as text for `regprocedure`: other functions with its name may exist. */
  signature(name: string, ...types: string[]): string {
    return `${this.qualified(name)}(${types.join(',')})`;
  }

  qualified(name: string): string {
    return this.schema === undefined ? quoted(name) : `${quoted(this.schema)}.${quoted(name)}`;
  }
}

/** Quotes an SQL identifier. */
export const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;

/** Quotes the name of a table that is not ours, written with or without its schema. */
export const quotedTable = (name: string): string => name.split('.').map(quoted).join('.');

/** Quotes an SQL string. */
export const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`;

const CHANNEL = 'nestjs_latchkey_';
/** PostgreSQL allows 63 bytes for the name of a channel. */
const MAX_SCHEMA_IN_CHANNEL = 63 - CHANNEL.length;

/**
 * The channel of a schema's triggers, as an SQL expression of the schema's name: two schemas of one database do not
 * receive each other's messages. Qualified, so that it means the same on every search path.
 */
export const channelOf = (schema: string): string => `('${CHANNEL}' || CASE
  WHEN pg_catalog.octet_length(${schema}::text) > ${MAX_SCHEMA_IN_CHANNEL} THEN pg_catalog.md5(${schema}::text)
  ELSE ${schema}::text END)`;
