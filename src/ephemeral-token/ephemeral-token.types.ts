import { randomBytes } from 'node:crypto';
import { AuthError } from '../auth.errors.js';
import type {
  EphemeralTokenFields,
  EphemeralTokenRule,
  EphemeralTokenType,
  FirstFactor,
  OidcRequest,
  PasskeyPurpose,
} from '../config/ephemeral-token-settings.js';
import { columnKey, sha256Hex } from '../crypto/hash.js';
import { INVISIBLE, normalizeLogin } from '../user/login-name.js';

/** A stored token: bambuddy's columns, and two of our own. Instants are epoch milliseconds. */
export interface EphemeralTokenRow {
  readonly type: string;
  /** Lower-case hex SHA-256 of the token's raw bytes. */
  readonly hash: string;
  /** The key of the account it belongs to, see `accountKey`. */
  readonly username: string | null;
  readonly providerId: number | null;
  readonly nonce: string | null;
  readonly codeVerifier: string | null;
  readonly challengeId: string | null;
  /** The id of the account at the time of issue; `null` in a row of another program. */
  readonly userId: string | null;
  /**
   * Everything without a column: the fields of types that the application adds, and a login name too long for its
   * column.
   */
  readonly payload: Readonly<Record<string, unknown>> | null;
  readonly createdAt: number;
  readonly expiresAt: number;
}

/** The value presented with a token, to compare with the row's. */
export interface PresentedBinding {
  readonly column: 'challengeId' | 'nonce';
  readonly value: string | null;
  /** Whether a row without a binding can be used by anyone; if not, it cannot be used at all. */
  readonly optional: boolean;
}

export type PayloadColumns = Pick<
  EphemeralTokenRow,
  'username' | 'providerId' | 'nonce' | 'codeVerifier' | 'challengeId' | 'payload'
>;

/** `consume('slicer_download', token, resource)`: for this type the binding is required. */
export type BindingOf<Type extends EphemeralTokenType> = Type extends 'slicer_download'
  ? [resource: EphemeralTokenFields['slicer_download']['resource']]
  : [binding?: string | null];

type Column = 'username' | 'providerId' | 'nonce' | 'codeVerifier' | 'challengeId';

const MAX_USERNAME_LENGTH = 150;
const MAX_TEXT_LENGTH = 128;
/** Characters that JSON can escape but PostgreSQL's jsonb refuses: NUL and lone surrogates. */
const NO_JSONB = /\\u(0000|d[89a-f])/;
const MAX_PROVIDER_ID = 2_147_483_647;

interface FieldColumn {
  readonly field: string;
  readonly column: Column;
  readonly optional: boolean;
}
const at = (field: string, column: Column): FieldColumn => ({ field, column, optional: false });
const USERNAME = at('username', 'username');
const REQUIRED_CHALLENGE = at('challengeId', 'challengeId');
const CHALLENGE: FieldColumn = { field: 'challengeId', column: 'challengeId', optional: true };

/** The columns of bambuddy that hold the fields of the built-in types. */
const COLUMNS = new Map<string, readonly FieldColumn[]>([
  ['pre_auth', [USERNAME, CHALLENGE]],
  ['oidc_state', [at('providerId', 'providerId'), at('nonce', 'nonce'), at('codeVerifier', 'codeVerifier'), CHALLENGE]],
  ['oidc_exchange', [USERNAME, CHALLENGE]],
  ['oidc_link', [at('account', 'username')]],
  ['password_reset', [USERNAME]],
  ['email_otp_setup', [USERNAME, at('codeHash', 'nonce')]],
  ['login_code', [USERNAME, at('codeHash', 'nonce')]],
  ['trusted_browser', [USERNAME]],
  ['slicer_download', [at('resource', 'nonce')]],
  ['register', [at('email', 'username')]],
  ['magic_link', [USERNAME]],
  ['email_change', [USERNAME]],
  ['email_revert', [at('account', 'username')]],
  ['factor_revert', [at('account', 'username')]],
  ['totp_setup', [USERNAME, at('challengeId', 'challengeId')]],
  ['passkey_register', [USERNAME, REQUIRED_CHALLENGE]],
  ['passkey_assert', [REQUIRED_CHALLENGE]],
]);
interface PayloadField {
  readonly isValid: (value: unknown) => boolean;
  readonly optional?: boolean;
}
/** The types of a mailed code. Presented with the hash of one, a token is that of this code and of no later one. */
const OF_CODES: ReadonlySet<string> = new Set(['email_otp_setup', 'login_code']);
/** Fields of built-in types for which bambuddy has no column. */
const PAYLOAD_FIELDS = new Map<string, ReadonlyMap<string, PayloadField>>([
  [
    'pre_auth',
    new Map([
      ['firstFactor', { isValid: isFirstFactor, optional: true }],
      ['proved', { isValid: isPendingProofs, optional: true }],
    ]),
  ],
  ['oidc_state', new Map([['request', { isValid: isOidcRequest, optional: true }]])],
  [
    'oidc_exchange',
    new Map([
      ['firstFactor', { isValid: isFirstFactor, optional: true }],
      ['proved', { isValid: isPendingProofs, optional: true }],
    ]),
  ],
  [
    'oidc_link',
    new Map<string, PayloadField>([
      ['email', { isValid: isText }],
      ['identity', { isValid: isIdentity }],
    ]),
  ],
  ['totp_setup', new Map([['sealedSecret', { isValid: isText }]])],
  [
    'register',
    new Map([
      ['passwordHash', { isValid: isText, optional: true }],
      ['codeHash', { isValid: isText, optional: true }],
      ['identity', { isValid: isIdentity, optional: true }],
    ]),
  ],
  [
    'trusted_browser',
    new Map<string, PayloadField>([
      ['account', { isValid: isText }],
      ['trustedAt', { isValid: Number.isFinite }],
    ]),
  ],
  [
    'email_change',
    new Map([
      ['account', { isValid: isText }],
      ['from', { isValid: isText }],
      ['to', { isValid: isText }],
    ]),
  ],
  [
    'magic_link',
    new Map<string, PayloadField>([
      ['account', { isValid: isText }],
      ['codeHash', { isValid: isText }],
      ['returnTo', { isValid: isText, optional: true }],
      ['remember', { isValid: isBoolean, optional: true }],
    ]),
  ],
  ['passkey_register', new Map([['userHandle', { isValid: isText }]])],
  ['passkey_assert', new Map([['purpose', { isValid: isPasskeyPurpose }]])],
  [
    'email_revert',
    new Map<string, PayloadField>([
      ['from', { isValid: isText }],
      ['changedAt', { isValid: Number.isFinite }],
      ['wasUnproved', { isValid: isBoolean, optional: true }],
    ]),
  ],
  [
    'factor_revert',
    new Map<string, PayloadField>([
      ['email', { isValid: isText }],
      ['addedAt', { isValid: Number.isFinite }],
    ]),
  ],
]);
/** For types that the application adds, the login name has a column; everything else is payload. */
const HOST_COLUMNS = [USERNAME];

/**
 * Bytes and canonical spelling: 43 characters, the last of which has two spare bits that are zero; 32 characters for
 * downloads, as in bambuddy.
 */
const SHAPES = {
  long: { bytes: 32, spelling: /^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$/ },
  short: { bytes: 24, spelling: /^[A-Za-z0-9_-]{32}$/ },
} as const;

const shapeOf = (type: string) => (type === 'slicer_download' ? SHAPES.short : SHAPES.long);

/** A fresh token of this type: at least 192 bits of the system's CSPRNG as base64url without padding. */
export function newEphemeralToken(type: string): string {
  return randomBytes(shapeOf(type).bytes).toString('base64url');
}

/**
 * The stored hash of a token. `null` for anything but the canonical spelling of a token of this type, so that malformed
 * input costs no query and a stored hash is not a token.
 */
export function ephemeralTokenHash(type: string, token: unknown): string | null {
  if (typeof token !== 'string' || !shapeOf(type).spelling.test(token)) return null;
  return sha256Hex(Buffer.from(token, 'base64url'));
}

/** The account's key in the column `username`: its login name, or a hash of it if it is longer than the column. */
export function accountKey(login: string): string {
  return columnKey(normalizeLogin(login), MAX_USERNAME_LENGTH);
}

/**
 * The key of the account with this id, for tokens that outlive its login name. No login name has it, so that somebody who
 * takes the id of another account for a name does not share its tokens: what `columnKey` hashes begins with a quote.
 */
export function accountIdKey(id: string): string {
  return `sha256:${sha256Hex(`account ${id}`)}`;
}

/** The binding to compare with the row, or `null` if no row can match. */
export function presentedBinding(
  type: string,
  rule: EphemeralTokenRule,
  value: string | null | undefined,
): PresentedBinding | null {
  if (value !== null && value !== undefined && (typeof value !== 'string' || value.includes('\0'))) return null;
  if (type === 'slicer_download') {
    return value ? { column: 'nonce', value, optional: false } : null;
  }
  if (OF_CODES.has(type) && value) return { column: 'nonce', value, optional: false };
  const ours = COLUMNS.has(type);
  const key = typeof value === 'string' && !ours ? columnKey(value, MAX_TEXT_LENGTH) : (value ?? null);
  return { column: 'challengeId', value: key, optional: ours || rule.binding === undefined };
}

/**
 * The fields as columns. Throws `INVALID_INPUT`, which names fields that are missing or do not fit, but not their
 * values.
 */
export function toColumns(type: string, rule: EphemeralTokenRule, fields: object): PayloadColumns {
  const given = new Map<string, unknown>(Object.entries(fields ?? {}).filter(([, value]) => value !== undefined));
  const mistakes: Record<string, string> = {};
  const columns: { -readonly [K in keyof PayloadColumns]: PayloadColumns[K] } = {
    username: null,
    providerId: null,
    nonce: null,
    codeVerifier: null,
    challengeId: null,
    payload: null,
  };
  const ours = COLUMNS.get(type);
  for (const { field, column, optional } of ours ?? (given.has('username') ? HOST_COLUMNS : [])) {
    const value = given.get(field);
    if (optional && (value === undefined || value === null)) continue;
    const mistake = mistakeIn(column, value);
    if (mistake) mistakes[field] = mistake;
    else if (column === 'providerId') columns.providerId = value as number;
    else if (column === 'username') columns.username = keyOf(field, value as string);
    else columns[column] = value as string;
  }
  if (type === 'slicer_download' && !mistakes['resource'] && !/^[^:]+:./s.test(columns.nonce ?? '')) {
    mistakes['resource'] = "must be 'type:id'";
  }
  if (ours) {
    const known = new Set(ours.map(({ field }) => field));
    const payloadFields = PAYLOAD_FIELDS.get(type) ?? new Map<string, PayloadField>();
    for (const [field, { optional = false }] of payloadFields) {
      if (!optional && !given.has(field)) mistakes[field] = 'is missing';
    }
    for (const [field, value] of given) {
      if (known.has(field)) continue;
      const described = payloadFields.get(field);
      if (!described) mistakes[field] = `is not a field of '${type}'`;
      else if (!described.isValid(value)) mistakes[field] = 'is malformed';
      else columns.payload = { ...columns.payload, [field]: value };
    }
  } else {
    const payload = [...given].filter(([field]) => field !== 'username');
    for (const entry of payload) {
      if (NO_JSONB.test(JSON.stringify(entry))) mistakes[entry[0]] = 'must be well-formed text without NUL';
    }
    columns.payload = Object.fromEntries(payload);
    if (rule.binding !== undefined) {
      const value = given.get(rule.binding);
      if (typeof value === 'string' && value !== '') columns.challengeId = columnKey(value, MAX_TEXT_LENGTH);
      else mistakes[rule.binding] = 'must be a non-empty string';
    }
  }
  if (Object.keys(mistakes).length > 0) {
    const names = Object.keys(mistakes).join(', ');
    throw new AuthError('INVALID_INPUT', `Not the fields of a '${type}' token: ${names}.`, { fields: mistakes });
  }
  for (const { field, column } of ours ?? HOST_COLUMNS) {
    const value = given.get(field);
    if (column !== 'username' || typeof value !== 'string') continue;
    // The column has only a key: an id is no login name, and its letters may be of either case.
    const exact = field === 'account' ? value : normalizeLogin(value);
    if (columns.username !== exact) columns.payload = { ...columns.payload, [field]: exact };
  }
  return columns;
}

/** The fields of a stored token, as they were issued. */
export function toFields(row: EphemeralTokenRow): Record<string, unknown> {
  const fields: Record<string, unknown> = { ...row.payload };
  for (const { field, column } of COLUMNS.get(row.type) ?? HOST_COLUMNS) {
    const value = row[column];
    if (value !== null && !Object.hasOwn(fields, field)) fields[field] = value;
  }
  return fields;
}

function isFirstFactor(value: unknown): value is FirstFactor {
  const { authenticatedAt, tokensInvalidatedAfter } = (value ?? {}) as Record<string, unknown>;
  const isInstantOrNull = tokensInvalidatedAfter === null || Number.isFinite(tokensInvalidatedAfter);
  return Number.isFinite(authenticatedAt) && isInstantOrNull;
}

function isPendingProofs(value: unknown): boolean {
  const { userId, proofs, transport, remember, mustEnrol } = (value ?? {}) as Record<string, unknown>;
  const areProofs = Array.isArray(proofs) && proofs.every(isText);
  const isTransport = transport === 'cookie' || transport === 'bearer';
  const areFlags = [remember, mustEnrol].every((flag) => flag === undefined || typeof flag === 'boolean');
  return isText(userId) && areProofs && isTransport && areFlags;
}

function isOidcRequest(value: unknown): value is OidcRequest {
  const { provider, issuer, intent, redirectUri, startedAt, ...others } = (value ?? {}) as Record<string, unknown>;
  const { remember, returnTo, userId, handle, exchange } = others;
  const isIntent = intent === 'login' || intent === 'link' || intent === 'step_up';
  const areTexts =
    [provider, issuer, redirectUri].every(isText) &&
    [returnTo, userId, handle, exchange].every((text) => text === undefined || isText(text));
  const isFlag = remember === undefined || typeof remember === 'boolean';
  return isIntent && Number.isFinite(startedAt) && areTexts && isFlag;
}

function isIdentity(value: unknown): boolean {
  const { provider, issuer, subject } = (value ?? {}) as Record<string, unknown>;
  return [provider, issuer, subject].every(isText);
}

function isPasskeyPurpose(value: unknown): value is PasskeyPurpose {
  return value === 'login' || value === 'second_factor' || value === 'step_up';
}

function isBoolean(value: unknown): value is boolean {
  return typeof value === 'boolean';
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && !NO_JSONB.test(JSON.stringify(value));
}

function keyOf(field: string, value: string): string {
  return field === 'account' ? accountIdKey(value) : accountKey(value);
}

function mistakeIn(column: Column, value: unknown): string | null {
  if (column === 'providerId') {
    return Number.isInteger(value) && Math.abs(value as number) <= MAX_PROVIDER_ID ? null : 'must be an integer';
  }
  if (typeof value !== 'string' || value === '') return 'must be a non-empty string';
  if (column === 'username') return INVISIBLE.test(value) ? 'must be a login name' : null;
  const fits = Array.from(value).length <= MAX_TEXT_LENGTH && !value.includes('\0');
  return fits ? null : `must be at most ${MAX_TEXT_LENGTH} characters`;
}
