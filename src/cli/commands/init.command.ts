import type { Command } from '../command.js';
import { unifiedDiff } from '../init/diff.js';
import { planOf } from '../init/plan.js';
import { Project } from '../init/project.js';
import { writeChanges } from '../init/write.js';

export const init: Command = {
  name: 'init',
  summary: 'Puts AuthModule into the Nest application of this folder, and shows what it changed',
  options: {
    module: {
      type: 'string',
      value: '<file>',
      help: 'The application module. Default: the one that main.ts bootstraps',
    },
    'dry-run': { type: 'boolean', help: 'Shows the changes, and makes none' },
  },
  notes: `
It adds the imports and the modules to the application module, AUTH_SECRET to .env, .env to .gitignore, and an example
controller. It overwrites nothing: run again, it changes nothing. Where the module is written in a way that it does not
know, it says what to do by hand, changes nothing, and exits with 1.`,
  async run(values) {
    const folder = process.cwd();
    const { changes, kept, next } = planOf(new Project(folder, values.text('module')));
    const dryRun = values.flag('dry-run');
    if (!dryRun) writeChanges(folder, changes);
    const diffs = changes.map(({ path, before, after }) => shownDiff(path, unifiedDiff(path, before, after)));
    const done = changes.map(({ path, before }) => `${before === undefined ? 'created' : 'changed'} ${path}`);
    const heading = dryRun ? 'Would do, and has not:' : 'Done:';
    const summary = done.length === 0 ? 'Nothing to do.' : [heading, ...done].join('\n  ');
    const steps = next.length === 0 ? [] : [['Next:', ...next].join('\n  ')];
    return {
      data: {
        dryRun,
        changes: changes.map(({ path, before }, i) => ({ path, created: before === undefined, diff: diffs[i] })),
        kept,
        next,
      },
      text: [...diffs, ...(kept.length > 0 ? [kept.join('\n')] : []), summary, ...steps].join('\n\n'),
    };
  },
};

/** Of `.env` the names that are added only, and the address that is written there as an example. */
function shownDiff(path: string, diff: string): string {
  if (path !== '.env') return diff;
  const [from, to, ...lines] = diff.split('\n');
  const shown = lines.map((line) => {
    if (/^(@@|\+DATABASE_URL=)/.test(line)) return line;
    // A line that was there may be the midst of a key.
    return line.startsWith('+') ? line.replace(/=.*/, '=…') : `${line[0]}…`;
  });
  return [from, to, ...shown].join('\n');
}
