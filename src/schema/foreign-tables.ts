import type { QueryRunner } from 'typeorm';
import { AuthError } from '../auth.errors.js';
import type { TableKey } from '../config/table-settings.js';
import type { SchemaNames } from './schema-names.js';
import type { UserIdType } from './user-id-type.js';

const TEXT = ['text', 'varchar', 'bpchar'];
const INTEGER = ['int4', 'int8'];

/**
 * The columns that a table must have to be adopted, and their possible types: those of the systems in
 * docs/compatibility.md.
 */
const REQUIRED: Readonly<Record<TableKey, Readonly<Record<string, readonly string[]>>>> = {
  users: {
    id: ['uuid'],
    email: ['citext'],
    password_hash: TEXT,
    created_at: ['timestamptz'],
    updated_at: ['timestamptz'],
  },
  sessions: { id: TEXT, user_id: [], created_at: ['timestamptz'], expires_at: ['timestamptz'] },
  ephemeralTokens: {
    id: INTEGER,
    token: TEXT,
    token_type: TEXT,
    username: TEXT,
    provider_id: INTEGER,
    nonce: TEXT,
    code_verifier: TEXT,
    challenge_id: TEXT,
    expires_at: ['timestamptz'],
    created_at: ['timestamptz'],
  },
  rateLimitEvents: { id: INTEGER, username: TEXT, event_type: TEXT, occurred_at: ['timestamptz'] },
  revokedTokens: { jti: TEXT, exp: ['timestamptz'] },
  jwtSessions: {
    jti: TEXT,
    user_id: [],
    handle: ['uuid'],
    issued_at: ['timestamptz'],
    expires_at: ['timestamptz'],
    ip: TEXT,
    user_agent: TEXT,
  },
  passwordAttempts: { user_id: TEXT, failures: ['int4'], is_judged: ['bool'], known_places: ['_text'] },
  totp: {
    user_id: [],
    secret: TEXT,
    last_step: ['int8'],
    failures: ['int4'],
    disabled_at: ['timestamptz'],
    confirmed_at: ['timestamptz'],
    created_at: ['timestamptz'],
  },
  backupCodes: {
    user_id: [],
    selector: TEXT,
    code_hash: TEXT,
    used_at: ['timestamptz'],
    created_at: ['timestamptz'],
  },
  emailFactors: { user_id: [], enabled_at: ['timestamptz'], failures: ['int4'] },
  passkeys: {
    id: ['uuid'],
    user_id: [],
    user_handle: TEXT,
    credential_id: TEXT,
    public_key: ['bytea'],
    sign_count: INTEGER,
    aaguid: ['uuid'],
    transports: ['_text'],
    multi_device: ['bool'],
    backed_up: ['bool'],
    name: TEXT,
    created_at: ['timestamptz'],
    last_used_at: ['timestamptz'],
    clone_suspected_at: ['timestamptz'],
  },
  apiKeys: {
    id: ['uuid'],
    user_id: [],
    name: TEXT,
    prefix: TEXT,
    key_hash: TEXT,
    scopes: ['_text'],
    created_at: ['timestamptz'],
    expires_at: ['timestamptz'],
    last_used_at: ['timestamptz'],
    revoked_at: ['timestamptz'],
  },
  identities: {
    id: ['uuid'],
    user_id: [],
    provider: TEXT,
    issuer: TEXT,
    subject: TEXT,
    email: TEXT,
    linked_at: ['timestamptz'],
    last_used_at: ['timestamptz'],
  },
  auditEvents: {
    id: ['int8'],
    type: TEXT,
    at: ['timestamptz'],
    user_id: TEXT,
    login: TEXT,
    ip: TEXT,
    handle: TEXT,
    facts: ['jsonb'],
  },
};

/** Columns that we add. If one with that name exists already, it must have this type. */
const ADDED: Readonly<Partial<Record<TableKey, Readonly<Record<string, readonly string[]>>>>> = {
  users: {
    tokens_invalidated_after: ['timestamptz'],
    disabled_at: ['timestamptz'],
    last_login_at: ['timestamptz'],
    email_verified_at: ['timestamptz'],
    roles: ['_text'],
  },
  sessions: {
    handle: ['uuid'],
    last_seen_at: ['timestamptz'],
    authenticated_at: ['timestamptz'],
    absolute_expires_at: ['timestamptz'],
    ip: TEXT,
    user_agent: TEXT,
    rotated_at: ['timestamptz'],
    successor: TEXT,
    remembered: ['bool'],
    data: ['jsonb'],
    aal: ['int2'],
    amr: ['_text'],
  },
  ephemeralTokens: { user_id: TEXT, payload: ['jsonb'] },
  jwtSessions: { aal: ['int2'], amr: ['_text'] },
  identities: { provider_sessions: ['jsonb'] },
};

/** Those whose `user_id` has the type of the users' ids. */
const OF_USERS: ReadonlySet<TableKey> = new Set([
  'sessions',
  'jwtSessions',
  'totp',
  'backupCodes',
  'emailFactors',
  'passkeys',
  'apiKeys',
  'identities',
]);

const USER_ID: Readonly<Record<UserIdType, readonly string[]>> = {
  uuid: ['uuid'],
  integer: ['int4'],
  bigint: ['int8'],
  text: TEXT,
};
const USER_ID_OPTION: Readonly<Record<string, UserIdType>> = {
  uuid: 'uuid',
  int4: 'integer',
  int8: 'bigint',
  text: 'text',
  varchar: 'text',
};

const COLUMNS = `SELECT a.attname AS name, t.typname AS type, a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AS required,
    coalesce(k.keys, '{}') @> ARRAY[a.attnum] AS in_key
  FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
    LEFT JOIN LATERAL (SELECT conkey AS keys FROM pg_constraint WHERE conrelid = a.attrelid AND contype = 'p') k ON true
  WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped`;

interface Column {
  readonly name: string;
  readonly type: string;
  /** Whether an INSERT must provide it. */
  readonly required: boolean;
  readonly in_key: boolean;
}

/**
 * Throws `INVALID_CONFIG` if an existing table with one of our names cannot be adopted, or TypeORM would look for it
 * under another name. Nothing has been altered then, and every column that is in the way is listed.
 */
export async function refuseForeignTables(
  queryRunner: QueryRunner,
  names: SchemaNames,
  { userId }: { userId: UserIdType | undefined },
): Promise<void> {
  const mistakes = prefixMistakes(optionsOf(queryRunner).entityPrefix);
  for (const key of Object.keys(REQUIRED) as TableKey[]) {
    if (key === 'users' && userId !== undefined) continue;
    const columns = (await queryRunner.query(COLUMNS, [names[key]])) as Column[];
    if (columns.length > 0) mistakes.push(...mistakesOf(key, names.tables[key], columns, userId));
  }
  if (mistakes.length === 0) return;
  const list = mistakes.map((mistake) => `\n  - ${mistake}`).join('');
  throw new AuthError('INVALID_CONFIG', `The migrations of nestjs-latchkey change nothing here:${list}`, { mistakes });
}

/** The options of the DataSource, which TypeORM 0.3 calls `connection`. */
export function optionsOf(queryRunner: QueryRunner): { readonly schema?: string; readonly entityPrefix?: string } {
  const { dataSource, connection } = queryRunner as Partial<QueryRunner>;
  return (dataSource ?? connection)?.options ?? {};
}

/** With a prefix, TypeORM would look for tables that the module's statements do not know. */
export function prefixMistakes(entityPrefix: string | undefined): string[] {
  if (!entityPrefix) return [];
  return [
    `The DataSource has entityPrefix '${entityPrefix}', which the module's tables do not follow: give the module a ` +
      'DataSource without it (AuthModule.forRoot({ dataSource })), and its tables names of their own with ' +
      '`authSchemaFor({ tables })` and the option `tables`.',
  ];
}

function mistakesOf(
  key: TableKey,
  table: string,
  columns: readonly Column[],
  userId: UserIdType | undefined,
): string[] {
  const isOfUser = OF_USERS.has(key);
  const wanted = { ...REQUIRED[key], ...(isOfUser ? { user_id: USER_ID[userId ?? 'uuid'] } : {}) };
  const faults: string[] = [];
  const refuse = (fault: string) => faults.push(fault);
  for (const [name, types] of Object.entries({ ...ADDED[key], ...wanted })) {
    const found = columns.find((column) => column.name === name);
    if (!found && name in wanted) refuse(`no column ${name}`);
    if (found && !types.includes(found.type)) refuse(`${name} is ${found.type}, not ${types[0]}`);
  }
  if (!columns.some(({ in_key }) => in_key)) refuse('no primary key');
  // The user table may have more required columns, which its application fills in; rows of the others are written here.
  const known = { ...ADDED[key], ...wanted };
  for (const { name, required } of key === 'users' ? [] : columns) {
    if (required && !(name in known)) refuse(`${name}, unknown here, is NOT NULL without a default`);
  }
  return faults.length === 0 ? [] : [`Table ${table}: ${faults.join('; ')}. ${remedyFor(key, table, columns)}`];
}

function remedyFor(key: TableKey, table: string, columns: readonly Column[]): string {
  const otherName = `give ours another name with authSchemaFor({ tables: { ${key}: 'latchkey_${table.replace(/^auth_/, '')}' } }) and the same option \`tables\` of AuthModule`;
  const type = columns.find(({ name }) => name === (key === 'users' ? 'id' : 'user_id'))?.type ?? '';
  const userId = USER_ID_OPTION[type];
  if (key === 'users') {
    const own = `authSchemaFor({ userId: '${userId ?? 'uuid'}' }) and a UserDirectory of your own (option \`users\`)`;
    const changed = columns.some(({ name, type: of }) => name === 'email' && of !== 'citext' && TEXT.includes(of))
      ? ` If this table is to become ours, run ALTER TABLE ${table} ALTER COLUMN email TYPE citext.`
      : '';
    return `If these are the accounts of your application, use ${own}; else ${otherName}.${changed}`;
  }
  if (key === 'sessions' && userId) {
    return `If it is to become ours, use authSchemaFor({ userId: '${userId}' }) where that is the type of your users' ids; else ${otherName}.`;
  }
  return `If it is another program's, ${otherName}.`;
}
