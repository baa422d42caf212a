import { AuthError } from '../auth.errors.js';
import { valuesOf, type Command } from './command.js';
import { cleanup } from './commands/cleanup.command.js';
import { doctor } from './commands/doctor.command.js';
import { migrate } from './commands/migrate.command.js';
import { secret } from './commands/secret.command.js';
import { listSessions, revokeSessions } from './commands/sessions.command.js';
import { CommandFailure, UsageError } from './failure.js';
import { usage, usageOf } from './usage.js';

const COMMANDS: readonly Command[] = [secret, doctor, migrate, listSessions, revokeSessions, cleanup];

/** The output streams; the process's own except in tests. */
export interface Streams {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
}

/** Returns the exit code: 0 done, 1 failed, 2 called incorrectly. It never throws, and prints no stack. */
export async function run(args: readonly string[], env: NodeJS.ProcessEnv, { out, err }: Streams): Promise<number> {
  const command = COMMANDS.find(({ name }) => name.split(' ').every((word, i) => args[i] === word));
  if (!command) return withoutCommand(args, { out, err });
  const rest = args.slice(command.name.split(' ').length);
  if (rest.includes('--help')) {
    out(usageOf(command));
    return 0;
  }
  try {
    const values = valuesOf(command, rest, env);
    const { data, text, exitCode = 0 } = await command.run(values);
    out(values.flag('json') ? `${JSON.stringify(data, null, 2)}\n` : `${text.trimEnd()}\n`);
    return exitCode;
  } catch (error) {
    if (error instanceof UsageError) {
      err(`${error.message}\n\n${usageOf(command)}`);
      return 2;
    }
    const { code, message } = failureOf(error);
    if (rest.includes('--json')) out(`${JSON.stringify({ error: { code, message } }, null, 2)}\n`);
    else err(`${message}\n`);
    return 1;
  }
}

function withoutCommand(args: readonly string[], { out, err }: Streams): number {
  if (['--help', '-h', 'help'].includes(args[0] ?? '')) {
    out(usage(COMMANDS));
    return 0;
  }
  const unknown = /^[a-z-]{1,20}$/.test(args[0] ?? '') ? ` '${args[0]}'` : '';
  err(`${args.length === 0 ? '' : `Unknown command${unknown}.\n\n`}${usage(COMMANDS)}`);
  return 2;
}

/** One line per error. An `AuthError` contains no secret; of any other error only the first line is shown. */
function failureOf(error: unknown): { code: string; message: string } {
  if (error instanceof AuthError && error.code === 'SCHEMA_MISSING') {
    const { code } = error;
    return { code, message: `${error.facts['detail' as never] as string}: run \`nestjs-latchkey migrate\`.` };
  }
  if (error instanceof AuthError || error instanceof CommandFailure) {
    return { code: error.code, message: error.message.replaceAll(/\n\s*(?:- )?/g, ' ') };
  }
  const message = error instanceof Error ? error.message : String(error);
  return { code: 'FAILED', message: `Failed: ${message.split('\n')[0] ?? ''}` };
}
