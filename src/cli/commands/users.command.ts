import type { INestApplicationContext } from '@nestjs/common';
import { Clock } from '../../common/clock.js';
import { formatInstant } from '../../common/instant.js';
import { PostgresUserDirectory } from '../../engines/postgres/postgres-user.directory.js';
import { PasswordLogin } from '../../login/password-login.js';
import { epochSeconds, fromEpochSeconds } from '../../postgres/epoch-seconds.js';
import { PreparedStatements } from '../../postgres/prepared-statements.js';
import { SchemaNames } from '../../schema/schema-names.js';
import { PasswordHasher } from '../../user/password-hasher.js';
import { NewPasswords } from '../../user/new-passwords.js';
import { UserDirectory } from '../../user/user.directory.js';
import { withAuth } from '../auth-context.js';
import { required, type Command, type Option, type Values } from '../command.js';
import { DATABASE_OPTIONS } from '../database.js';
import { endAccess } from '../end-access.js';
import { CommandFailure, UsageError } from '../failure.js';
import { CONFIG_OPTION } from '../host.js';
import { idOf, USER_OPTION } from '../named-user.js';
import { USER_ID_OPTION } from '../user-id.js';

const ELSEWHERE: Readonly<Record<string, Option>> = { ...DATABASE_OPTIONS, ...USER_ID_OPTION, ...CONFIG_OPTION };
const PASSWORD_NOTE = `
The password has at least 15 characters and is not easy to guess, or what --config says. It is asked for in a terminal,
and otherwise read from standard input; never give it as an argument, which other users of the machine can see. The
address counts as the owner's, whom you know.`;

export const createUser: Command = {
  name: 'users create',
  summary: 'Creates an account; the password is asked for, or read from standard input',
  options: { email: { type: 'string', value: '<address>', help: 'The login name' }, ...ELSEWHERE },
  notes: PASSWORD_NOTE,
  run(values, input) {
    const email = required(values, 'email');
    return withAuth(values, async (auth) => {
      const { id, email: login } = await ours(auth, 'create').create(email, await input.password(), {
        // Whoever runs this knows whose address it is.
        emailVerifiedAt: auth.get(Clock).now(),
      });
      return { data: { userId: id, email: login }, text: `Created ${login} (${id}).` };
    });
  },
};

export const listUsers: Command = {
  name: 'users list',
  summary: 'Lists the accounts by email',
  options: {
    limit: { type: 'string', value: '<number>', help: 'At most so many, 1 to 1000. Default: 100' },
    after: { type: 'string', value: '<email>', help: 'Only those after this one' },
    ...ELSEWHERE,
  },
  run(values) {
    const limit = Number(values.text('limit') ?? 100);
    if (!Number.isInteger(limit) || limit < 1 || limit > 1000) throw new UsageError('--limit must be 1 to 1000.');
    return withAuth(values, async (auth) => {
      ours(auth, 'list');
      const rows = await accounts(auth, limit + 1, values.text('after'));
      const users = rows.slice(0, limit).map(shown);
      const lines = users.map(({ id, email, disabledAt, lastLoginAt, roles }) =>
        [
          id,
          email,
          disabledAt ? `disabled ${disabledAt}` : 'enabled',
          lastLoginAt ? `login ${lastLoginAt}` : '-',
          roles.join(','),
        ]
          .join('  ')
          .trimEnd(),
      );
      const hasMore = rows.length > limit;
      if (hasMore) lines.push(`There are more: --after ${users.at(-1)!.email}`);
      if (lines.length === 0) lines.push('No account: `npx nestjs-latchkey users create --email <address>` makes one.');
      return { data: { users, hasMore }, text: lines.join('\n') };
    });
  },
};

export const disableUser: Command = {
  name: 'users disable',
  summary: 'Disables an account: its sessions, tokens and logins end everywhere, at once',
  options: { ...USER_OPTION, ...ELSEWHERE },
  run: (values) => change(values, 'disable', (users, id) => users.disable(id)),
};

export const enableUser: Command = {
  name: 'users enable',
  summary: 'Lets a disabled account log in again; what ended stays ended',
  options: { ...USER_OPTION, ...ELSEWHERE },
  run: (values) => change(values, 'enable', (users, id) => users.enable(id)),
};

export const setRoles: Command = {
  name: 'users set-roles',
  summary: 'Sets what an account may do, in place of what it could before',
  options: {
    ...USER_OPTION,
    roles: { type: 'string', value: '<names>', help: 'Separated by commas, such as admin,auditor, or none' },
    ...ELSEWHERE,
  },
  run(values) {
    const user = required(values, 'user');
    const written = required(values, 'roles');
    const roles = written === 'none' ? [] : written.split(',').map((role) => role.trim());
    return withAuth(values, async (auth) => {
      const id = await idOf(auth, user);
      if (!(await auth.get(UserDirectory).setRoles(id, roles))) throw gone();
      return { data: { userId: id, roles }, text: `${user} has ${roles.join(', ') || 'no role'}.` };
    });
  },
};

export const setPassword: Command = {
  name: 'users set-password',
  summary: 'Sets the password of an account, and ends its sessions and tokens',
  options: { ...USER_OPTION, ...ELSEWHERE },
  notes: PASSWORD_NOTE,
  run(values, input) {
    const user = required(values, 'user');
    return withAuth(values, async (auth) => {
      const id = await idOf(auth, user);
      const users = auth.get(UserDirectory);
      if (users instanceof PostgresUserDirectory) {
        if (!(await users.setPassword(id, await input.password()))) throw gone();
        return { data: { userId: id }, text: 'The password is set, and every session and token has ended.' };
      }
      refuseWithoutConfig(values);
      return setElsewhere(auth, id, await input.password());
    });
  },
};

/** In a directory of the application's own: what ours does in one statement. */
async function setElsewhere(auth: INestApplicationContext, id: string, password: string) {
  const users = auth.get(UserDirectory);
  const email = (await users.findById(id))?.email;
  await auth.get(NewPasswords).accept(password, { userId: id, email });
  const hash = await auth.get(PasswordHasher).hash(password);
  if (!(await users.setPasswordHash(id, hash))) throw gone();
  await auth.get(PasswordLogin).enable(id);
  const { tokensEnded, note } = await endAccess(auth, id);
  return { data: { userId: id, tokensEnded }, text: `The password is set, and every session has ended.${note}` };
}

function change(
  values: Values,
  operation: 'disable' | 'enable',
  make: (users: PostgresUserDirectory, id: string) => Promise<boolean>,
) {
  const user = required(values, 'user');
  return withAuth(values, async (auth) => {
    const users = ours(auth, operation);
    const id = await idOf(auth, user);
    if (!(await make(users, id))) throw gone();
    return { data: { userId: id, [`${operation}d`]: true }, text: `${user} is ${operation}d.` };
  });
}

const gone = () => new CommandFailure('USER_NOT_FOUND', 'The account was deleted meanwhile.');

const REMEDIES = {
  create: 'create the account where you keep them',
  list: 'list them where you keep them',
  disable:
    'disable the account where you keep it, so that findById() returns its disabledAt, then run ' +
    '`npx nestjs-latchkey sessions revoke --user <id>`',
  enable: 'enable the account where you keep it',
};

/** Our own directory. One of the application's has no such operation. */
function ours(auth: INestApplicationContext, operation: keyof typeof REMEDIES): PostgresUserDirectory {
  const users = auth.get(UserDirectory);
  if (users instanceof PostgresUserDirectory) return users;
  const message = `The accounts are in a UserDirectory of your own, in which this command cannot ${operation} them: ${REMEDIES[operation]}.`;
  throw new CommandFailure('UNSUPPORTED', message);
}

/** Without `--config` a directory of the application's own is not known. */
function refuseWithoutConfig(values: Values): void {
  if (values.text('config') !== undefined) return;
  const command = '`npx nestjs-latchkey users set-password --user <id> --config <file>`';
  const message = `The accounts are in a UserDirectory of your own: run ${command} with the file that names it.`;
  throw new CommandFailure('UNSUPPORTED', message);
}

interface AccountRow {
  readonly id: string;
  readonly email: string;
  readonly created_at: number;
  readonly disabled_at: number | null;
  readonly last_login_at: number | null;
  readonly roles: readonly string[];
}

async function accounts(auth: INestApplicationContext, limit: number, after?: string): Promise<AccountRow[]> {
  const text = `SELECT id::text AS id, email::text AS email, ${epochSeconds('created_at')} AS created_at,
      ${epochSeconds('disabled_at')} AS disabled_at, ${epochSeconds('last_login_at')} AS last_login_at,
      coalesce(roles, '{}') AS roles
    FROM ${auth.get(SchemaNames).users} WHERE $2::text IS NULL OR lower(email::text) > lower($2::text)
    ORDER BY lower(email::text) LIMIT $1`;
  const { rows } = await auth.get(PreparedStatements).runAlone<AccountRow>({ name: '', text }, [limit, after ?? null]);
  return rows;
}

const instantOf = (seconds: number | null) => (seconds === null ? null : formatInstant(fromEpochSeconds(seconds)));

const shown = ({ id, email, created_at, disabled_at, last_login_at, roles }: AccountRow) => ({
  id,
  email,
  createdAt: instantOf(created_at),
  disabledAt: instantOf(disabled_at),
  lastLoginAt: instantOf(last_login_at),
  roles,
});
