import { CleanupService } from '../../cleanup/cleanup.service.js';
import { withAuth } from '../auth-context.js';
import type { Command } from '../command.js';
import { DATABASE_OPTIONS } from '../database.js';
import { CONFIG_OPTION } from '../host.js';
import { USER_ID_OPTION } from '../user-id.js';

export const cleanup: Command = {
  name: 'cleanup',
  summary: 'Deletes what has expired, in batches that hold nobody up',
  options: { ...DATABASE_OPTIONS, ...USER_ID_OPTION, ...CONFIG_OPTION },
  notes: `
For cron, where the application does not clean up by itself. Give --config when your rate limits have longer windows than
the default ones: what no window reaches any more is deleted.`,
  run: (values) =>
    withAuth(values, async (auth) => {
      const { tookMs: _tookMs, yielded: _yielded, ...deleted } = await auth.get(CleanupService).runOnce();
      const lines = Object.entries(deleted).map(([what, rows]) => `${what}: ${rows}`);
      return { data: { deleted }, text: ['Deleted', ...lines].join('\n  ') };
    }),
};
