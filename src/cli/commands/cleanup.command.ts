import { CleanupService } from '../../cleanup/cleanup.service.js';
import { withAuth } from '../auth-context.js';
import type { Command } from '../command.js';
import { DATABASE_OPTIONS } from '../database.js';
import { CONFIG_OPTION } from '../host.js';
import { USER_ID_OPTION } from '../user-id.js';

export const cleanup: Command = {
  name: 'cleanup',
  summary: 'Deletes expired rows, in small batches',
  options: { ...DATABASE_OPTIONS, ...USER_ID_OPTION, ...CONFIG_OPTION },
  notes: `
For cron, where the application does not clean up by itself. Give --config: how long rate-limit events
and the audit log are kept is written there, and without it they are left alone.`,
  run: (values) =>
    withAuth(values, async (auth) => {
      const skipRetention = values.text('config') === undefined;
      const { tookMs: _tookMs, yielded, ...deleted } = await auth.get(CleanupService).runOnce({ skipRetention });
      const lines = Object.entries(deleted).map(([what, rows]) => `${what}: ${rows}`);
      const notes = [
        ...(yielded ? ['Another process is cleaning up: the rest is left to it.'] : []),
        ...(skipRetention ? ['Without --config rate-limit events and the audit log are left alone.'] : []),
      ];
      return { data: { deleted, yielded }, text: [['Deleted', ...lines].join('\n  '), ...notes].join('\n') };
    }),
};
