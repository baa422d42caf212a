import type { INestApplicationContext } from '@nestjs/common';
import { PostgresUserDirectory } from '../engines/postgres/postgres-user.directory.js';
import { sqlState } from '../postgres/store-error.js';
import { normalizeLogin } from '../user/login-name.js';
import { UserDirectory } from '../user/user.directory.js';
import type { Option } from './command.js';
import { CommandFailure } from './failure.js';

export const USER_OPTION: Readonly<Record<string, Option>> = {
  user: { type: 'string', value: '<id|email>', help: 'The account' },
};

/** The id of the account with this id or email. Throws `USER_NOT_FOUND` if there is none. */
export async function idOf(auth: INestApplicationContext, user: string): Promise<string> {
  const users = auth.get(UserDirectory);
  const found = (await users.findById(user).catch(invalidId)) ?? (await users.findByLogin(normalizeLogin(user)));
  if (found) return found.id;
  const elsewhere =
    users instanceof PostgresUserDirectory ? '' : ' Your own UserDirectory resolves an email where --config names it.';
  throw new CommandFailure('USER_NOT_FOUND', `There is no account with this id or email.${elsewhere}`);
}

/** PostgreSQL's error for a text that cannot be an id of the table's type. */
function invalidId(error: unknown): null {
  if (sqlState(error) === '22P02' || sqlState(error) === '22003') return null;
  throw error;
}
