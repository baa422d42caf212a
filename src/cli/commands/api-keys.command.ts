import type { INestApplicationContext } from '@nestjs/common';
import type { ApiKey } from '../../api-key/api-key.js';
import { ApiKeyStore } from '../../api-key/api-key.store.js';
import { Clock } from '../../common/clock.js';
import { formatInstant } from '../../common/instant.js';
import { AuthEvents } from '../../events/auth-events.js';
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

export const listApiKeys: Command = {
  name: 'api-keys list',
  summary: 'Lists the live API keys of a user',
  options: OPTIONS,
  notes: `
The scopes are those that the keys were made with; roles and the option decide which of them count.`,
  run: (values) => {
    const user = required(values, 'user');
    return withAuth(values, async (auth) => {
      const id = await idOf(auth, user);
      const apiKeys = (await liveKeys(auth, id)).map(shown);
      const lines = apiKeys.map(({ id: key, prefix, scopes, expiresAt, lastUsedAt, name }) =>
        [key, `${prefix}…`, scopes.join(','), `ends ${expiresAt}`, `used ${lastUsedAt ?? 'never'}`, name].join('  '),
      );
      return {
        data: { userId: id, apiKeys },
        text: lines.length === 0 ? `No live API key of ${user}.` : lines.join('\n'),
      };
    });
  },
};

export const revokeApiKeys: Command = {
  name: 'api-keys revoke',
  summary: 'Revokes the API keys of a user, everywhere and at once',
  options: { ...OPTIONS, id: { type: 'string', value: '<id>', help: 'Only this one of them' } },
  notes: `
Sessions go on; \`sessions revoke\` ends both.`,
  run: (values) => {
    const user = required(values, 'user');
    const key = values.text('id');
    return withAuth(values, async (auth) => {
      const userId = await idOf(auth, user);
      const store = auth.get(ApiKeyStore);
      const now = auth.get(Clock).now();
      const tell = (keyId: string) => auth.get(AuthEvents).emit({ type: 'api_key.revoked', at: now, userId, keyId });
      if (key === undefined) {
        const revoked = await store.revokeByUser(userId, now);
        revoked.forEach(tell);
        return ended(userId, revoked.length);
      }
      const found = await store.revoke(userId, key, now);
      if (found?.outcome === 'revoked') tell(key.toLowerCase());
      if (found) return ended(userId, found.outcome === 'revoked' ? 1 : 0);
      throw new CommandFailure(
        'API_KEY_NOT_FOUND',
        'The user has no API key with this id: see `npx nestjs-latchkey api-keys list --user <id>`.',
      );
    });
  },
};

async function liveKeys(auth: INestApplicationContext, userId: string): Promise<ApiKey[]> {
  const user = await auth.get(UserDirectory).findById(userId);
  const at = { now: auth.get(Clock).now(), cutoff: user?.tokensInvalidatedAfter ?? null };
  return auth.get(ApiKeyStore).listByUser(userId, at);
}

const ended = (userId: string, revoked: number) => ({
  data: { userId, revoked },
  text: `${revoked} API key${revoked === 1 ? '' : 's'} revoked.`,
});

const shown = ({ userId: _userId, createdAt, expiresAt, lastUsedAt, ...rest }: ApiKey) => ({
  ...rest,
  createdAt: formatInstant(createdAt),
  expiresAt: formatInstant(expiresAt),
  lastUsedAt: lastUsedAt === null ? null : formatInstant(lastUsedAt),
});
