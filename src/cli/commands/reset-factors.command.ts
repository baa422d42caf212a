import { PostgresBackupCodeStore } from '../../engines/postgres/postgres-backup-code.store.js';
import { PostgresEmailFactorStore } from '../../engines/postgres/postgres-email-factor.store.js';
import { PostgresIdentityStore } from '../../engines/postgres/postgres-identity.store.js';
import { PostgresPasskeyStore } from '../../engines/postgres/postgres-passkey.store.js';
import { PostgresTotpStore } from '../../engines/postgres/postgres-totp.store.js';
import { EphemeralTokenService } from '../../ephemeral-token/ephemeral-token.service.js';
import { EnrolledFactors } from '../../login/enrolled-factors.js';
import { PreparedStatements } from '../../postgres/prepared-statements.js';
import { SchemaNames } from '../../schema/schema-names.js';
import { normalizeLogin } from '../../user/login-name.js';
import { UserDirectory } from '../../user/user.directory.js';
import { withAuth } from '../auth-context.js';
import { required, type Command } from '../command.js';
import { DATABASE_OPTIONS } from '../database.js';
import { endAccess } from '../end-access.js';
import { CommandFailure } from '../failure.js';
import { CONFIG_OPTION } from '../host.js';
import { idOf, USER_OPTION } from '../named-user.js';
import { USER_ID_OPTION } from '../user-id.js';

/** The stores of the flows, which the command does without. */
const STORES = {
  totp: PostgresTotpStore,
  passkey: PostgresPasskeyStore,
  'email-code': PostgresEmailFactorStore,
  'backup-code': PostgresBackupCodeStore,
};

export const resetFactors: Command = {
  name: 'users reset-factors',
  summary: 'Removes all second factors and passkeys of an account, and ends its sessions and tokens',
  options: {
    ...USER_OPTION,
    identities: { type: 'boolean', help: 'Unlinks the accounts at providers by which it is logged in to as well' },
    ...DATABASE_OPTIONS,
    ...USER_ID_OPTION,
    ...CONFIG_OPTION,
  },
  notes: `
For an owner who has lost them, or whom a thief has locked out. Make sure that it is the owner who asks: from then on the password
alone opens the account, and the accounts at providers that are linked. A thief may have linked one: --identities unlinks
them all. Where a thief may know the password, run users set-password as well, also for an account that has none.`,
  run(values) {
    const named = required(values, 'user');
    return withAuth(values, async (auth) => {
      const id = await idOf(auth, named);
      const user = await auth.get(UserDirectory).findById(id);
      if (!user) throw new CommandFailure('USER_NOT_FOUND', 'There is no such account.');
      const statements = auth.get(PreparedStatements);
      const names = auth.get(SchemaNames);
      const removed = await statements.transaction(async () => {
        const methods: string[] = [];
        for (const [method, Store] of Object.entries(STORES)) {
          if (await new Store(statements, names).removeSince(id, 0)) methods.push(method);
        }
        if (values.flag('identities')) {
          methods.push(
            ...(await new PostgresIdentityStore(statements, names).removeSince(user, { since: 0, foreignSince: 0 })),
          );
        }
        // Those of the application's own, which --config names.
        return [...methods, ...(await auth.get(EnrolledFactors).removeSince(user, 0))];
      });
      await auth.get(EphemeralTokenService).revokeAllForLogin(normalizeLogin(user.email));
      const { tokensEnded, note } = await endAccess(auth, id);
      const text = `Removed: ${removed.join(', ') || 'nothing'}. Every session has ended.${note}`;
      return { data: { userId: id, removed, tokensEnded }, text };
    });
  },
};
