import { AuthConfig } from '../../config/auth-config.js';
import { TokenRevocationService } from '../../revocation/token-revocation.service.js';
import { formatInstant } from '../../common/instant.js';
import { SessionService, type ListedSession } from '../../session/session.service.js';
import { JwtSessionService } from '../../jwt-session/jwt-session.service.js';
import { UserDirectory } from '../../user/user.directory.js';
import { withAuth } from '../auth-context.js';
import { required, type Command, type Option } from '../command.js';
import { DATABASE_OPTIONS } from '../database.js';
import { CommandFailure } from '../failure.js';
import { CONFIG_OPTION } from '../host.js';
import { idOf, USER_OPTION } from '../named-user.js';
import { USER_ID_OPTION } from '../user-id.js';

const OPTIONS: Readonly<Record<string, Option>> = {
  ...USER_OPTION,
  ...DATABASE_OPTIONS,
  ...USER_ID_OPTION,
  ...CONFIG_OPTION,
};
const NOTES = `
--config is needed only where sessions are kept or read in another way than by default; see doctor --help.`;

export const listSessions: Command = {
  name: 'sessions list',
  summary: 'Lists the live sessions of a user',
  options: OPTIONS,
  notes: NOTES,
  run: (values) => {
    const user = required(values, 'user');
    return withAuth(values, async (auth) => {
      const id = await idOf(auth, user);
      const stored = await auth.get(SessionService).listForUser(id);
      const jwts = await auth.get(JwtSessionService).listForUser(id);
      const sessions = [...stored.map(shown), ...jwts.map((jwt) => ({ ...shown(jwt), kind: 'jwt' }))];
      const lines = sessions.map((session) =>
        [
          session.handle,
          `seen ${session.lastSeenAt}`,
          `ends ${session.expiresAt}`,
          session.ip ?? '-',
          session.userAgent ?? '-',
        ].join('  '),
      );
      const text = lines.length === 0 ? `No live session of ${user}.` : lines.join('\n');
      return { data: { userId: id, sessions }, text };
    });
  },
};

export const revokeSessions: Command = {
  name: 'sessions revoke',
  summary: 'Ends the sessions of a user, everywhere and at once',
  options: { ...OPTIONS, handle: { type: 'string', value: '<handle>', help: 'Only this one of them' } },
  notes: `${NOTES}

Without --handle this is a sign-out everywhere: JWTs, signed cookies and mailed links end too. A UserDirectory of your own
has to override invalidateTokens() for that, and --config has to name it.`,
  run: (values) => {
    const user = required(values, 'user');
    const handle = values.text('handle');
    return withAuth(values, async (auth) => {
      const id = await idOf(auth, user);
      const service = auth.get(SessionService);
      const jwts = auth.get(JwtSessionService);
      if (handle === undefined) {
        const count = (await service.revokeAllForUser(id)) + (await jwts.revokeAllForUser(id));
        // In plain JavaScript a directory may extend nothing: enough, if there is nothing that only it could end.
        const isKept = typeof auth.get(UserDirectory).invalidateTokens === 'function';
        if (isKept || auth.get(AuthConfig).hasStatelessSessions) {
          // Also sessions of the system before that are still to come.
          await auth.get(TokenRevocationService).endStateless(id, { isTold: count > 0 });
        }
        return ended(id, count);
      }
      if ((await service.revokeByHandle(id, handle)) || (await jwts.revokeByHandle(id, handle))) return ended(id, 1);
      throw new CommandFailure(
        'SESSION_NOT_FOUND',
        'The user has no session with this handle: see `npx nestjs-latchkey sessions list --user <id>`.',
      );
    });
  },
};

const ended = (userId: string, revoked: number) => ({
  data: { userId, revoked },
  text: `${revoked} session${revoked === 1 ? '' : 's'} ended.`,
});

const shown = ({ createdAt, expiresAt, absoluteExpiresAt, authenticatedAt, lastSeenAt, ...rest }: ListedSession) => ({
  ...rest,
  createdAt: formatInstant(createdAt),
  lastSeenAt: formatInstant(lastSeenAt),
  authenticatedAt: formatInstant(authenticatedAt),
  expiresAt: formatInstant(expiresAt),
  absoluteExpiresAt: formatInstant(absoluteExpiresAt),
});
