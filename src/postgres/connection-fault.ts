/** Why the database cannot be used, and what to do. */
export interface ConnectionFault {
  /** SQLSTATE, or the code of Node.js. */
  readonly code: string | undefined;
  /** What to do: one or two sentences. */
  readonly remedy: string;
}

/** What is known of the connection, to be named in the remedies. */
export interface ConnectionPlace {
  readonly database?: string;
  readonly role?: string;
  readonly schema?: string;
}

const NO_TLS = 'add `?sslmode=verify-full` to the address';
const UNTRUSTED =
  'The certificate of the server is not trusted: add `&sslrootcert=<file>` with that of its authority to the address.';
const NOWHERE = 'Nothing answers there: start PostgreSQL, or correct the address (DATABASE_URL).';

type Remedy = string | ((place: ConnectionPlace, message: string) => string);

/** By SQLSTATE, or the code of Node.js. */
const REMEDIES: Readonly<Record<string, Remedy>> = {
  '3D000': ({ database }, message) =>
    `There is no database of this name: run \`CREATE DATABASE ${name(database ?? quotedIn(message), '<name>')}\` on this ` +
    'server, or correct the address (DATABASE_URL).',
  '28P01': 'It refuses this user or password: correct the address (DATABASE_URL).',
  '28000': (_, message) =>
    /no encryption|SSL off/.test(message)
      ? `It refuses this user without TLS: ${NO_TLS}, or correct the server’s pg_hba.conf.`
      : 'It refuses this user: correct the address (DATABASE_URL), or the server’s pg_hba.conf.',
  '3F000': ({ schema }) =>
    `There is no schema to create the tables in: run \`CREATE SCHEMA ${name(schema, '<name>')}\`, or correct the search_path.`,
  '42501': (place, message) => {
    const onSchema = /permission denied for schema (.+)$/.exec(message)?.[1];
    const schema = name(place.schema ?? onSchema, '<schema>');
    const role = name(place.role, '<role>');
    return onSchema === undefined
      ? `Its role may not use the tables: let their owner run \`GRANT USAGE ON SCHEMA ${schema} TO ${role}; GRANT SELECT, ` +
          `INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ${schema} TO ${role}; GRANT USAGE ON ALL SEQUENCES IN SCHEMA ` +
          `${schema} TO ${role}\`, or connect as the owner.`
      : `Its role may not create tables: let an administrator run \`GRANT USAGE, CREATE ON SCHEMA ${schema} TO ${role}\`, ` +
          'or connect as one who may.';
  },
  '53300': 'It has no free connection: try again, or raise max_connections.',
  '57P03': 'It is starting or stopping: try again.',
  ECONNREFUSED: NOWHERE,
  ECONNRESET: NOWHERE,
  EAI_AGAIN: NOWHERE,
  EHOSTUNREACH: NOWHERE,
  ENOTFOUND: NOWHERE,
  ETIMEDOUT: NOWHERE,
  CERT_HAS_EXPIRED: 'The certificate of the server has expired: renew it.',
  DEPTH_ZERO_SELF_SIGNED_CERT: UNTRUSTED,
  ERR_TLS_CERT_ALTNAME_INVALID: 'The certificate of the server is for another host: put that one into the address.',
  SELF_SIGNED_CERT_IN_CHAIN: UNTRUSTED,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNTRUSTED,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNTRUSTED,
};

/** What this error says of the connection or its rights, or `undefined` if it is of something else. */
export function connectionFault(error: unknown, place: ConnectionPlace = {}): ConnectionFault | undefined {
  const code = codeOf(error);
  const message = error instanceof Error ? error.message : '';
  if (code === undefined && message === 'The server does not support SSL connections') {
    return { code, remedy: 'The server offers no TLS: take `sslmode` out of the address, or turn on `ssl` there.' };
  }
  const remedy = Object.hasOwn(REMEDIES, code ?? '') ? REMEDIES[code!]! : undefined;
  if (remedy === undefined) return undefined;
  return { code, remedy: typeof remedy === 'string' ? remedy : remedy(place, message) };
}

/** For several addresses of one host (`AggregateError`), the code of the first. */
export function codeOf(error: unknown): string | undefined {
  const { code, errors } = (error ?? {}) as { code?: unknown; errors?: unknown[] };
  if (typeof code === 'string' && /^[0-9A-Z_]+$/.test(code)) return code;
  return Array.isArray(errors) ? codeOf(errors[0]) : undefined;
}

const name = (value: string | undefined, otherwise: string) =>
  value === undefined ? otherwise : `"${value.replaceAll('"', '""')}"`;

/** In the message of PostgreSQL, in whichever language: `database "notes" does not exist`. */
const quotedIn = (message: string): string | undefined => /["„“»«](.+?)["“”«»]/.exec(message)?.[1];
