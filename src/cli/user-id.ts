import { authMigrations } from '../schema/auth-migrations.js';
import { authSchemaFor } from '../schema/auth-schema.js';
import type { UserIdType } from '../schema/entities/session.entity.js';
import type { Option, Values } from './command.js';
import { UsageError } from './failure.js';

const TYPES: readonly UserIdType[] = ['uuid', 'integer', 'bigint', 'text'];

export const USER_ID_OPTION: Readonly<Record<string, Option>> = {
  'user-id': {
    type: 'string',
    value: `<${TYPES.join('|')}>`,
    help: 'Users are in a table or service of your own, with ids of this type (authSchemaFor)',
  },
};

/** `undefined`: users are in our own table. */
export function userIdType(values: Values): UserIdType | undefined {
  const given = values.text('user-id');
  const type = TYPES.find((known) => known === given);
  if (given !== undefined && !type) throw new UsageError(`--user-id must be one of ${TYPES.join(', ')}.`);
  return type;
}

export function migrationsFor(userId: UserIdType | undefined) {
  return userId === undefined ? authMigrations : authSchemaFor({ userId }).migrations;
}
