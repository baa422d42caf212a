import { AuthError } from '../auth.errors.js';
import { valuesOf, type Command, type Input } from './command.js';
import { listApiKeys, revokeApiKeys } from './commands/api-keys.command.js';
import { cleanup } from './commands/cleanup.command.js';
import { doctor } from './commands/doctor.command.js';
import { importBetterAuth, importExpressSession, importPassportJwt } from './commands/import.command.js';
import { init } from './commands/init.command.js';
import { migrate } from './commands/migrate.command.js';
import { secret } from './commands/secret.command.js';
import { resetFactors } from './commands/reset-factors.command.js';
import { listSessions, revokeSessions } from './commands/sessions.command.js';
import { createUser, disableUser, enableUser, listUsers, setPassword, setRoles } from './commands/users.command.js';
import { version } from './commands/version.command.js';
import { CommandFailure, UsageError } from './failure.js';
import { usage, usageOf } from './usage.js';

/** In the order of the help. */
export const COMMANDS: readonly Command[] = [
  init,
  secret,
  migrate,
  createUser,
  listUsers,
  disableUser,
  enableUser,
  setPassword,
  setRoles,
  resetFactors,
  importBetterAuth,
  importExpressSession,
  importPassportJwt,
  listSessions,
  revokeSessions,
  listApiKeys,
  revokeApiKeys,
  doctor,
  cleanup,
  version,
];

/** The output streams; the process's own except in tests. */
export interface Streams {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  readonly input: Input;
}

/** Returns the exit code: 0 done, 1 failed, 2 called incorrectly. It never throws, and prints no stack. */
export async function run(
  given: readonly string[],
  env: NodeJS.ProcessEnv,
  { out, err, input }: Streams,
): Promise<number> {
  const args = given[0] === '--version' || given[0] === '-v' ? ['version', ...given.slice(1)] : given;
  const command = COMMANDS.find(({ name }) => name.split(' ').every((word, i) => args[i] === word));
  if (!command) return withoutCommand(args, { out, err });
  const rest = args.slice(command.name.split(' ').length);
  if (rest.includes('--help')) {
    out(usageOf(command));
    return 0;
  }
  try {
    const values = valuesOf(command, rest, env);
    const { data, text, exitCode = 0 } = await command.run(values, input);
    out(values.flag('json') ? `${escaped(JSON.stringify(data, null, 2))}\n` : `${visible(text).trimEnd()}\n`);
    return exitCode;
  } catch (error) {
    if (error instanceof UsageError) {
      err(`${error.message}\n\n${usageOf(command)}`);
      return 2;
    }
    const { code, message } = failureOf(error);
    const instructions = error instanceof CommandFailure ? error.instructions : undefined;
    if (rest.includes('--json')) out(`${JSON.stringify({ error: { code, message, instructions } }, null, 2)}\n`);
    else err(`${message}\n${instructions ? `\n${instructions.trimEnd()}\n` : ''}`);
    return 1;
  }
}

function withoutCommand(args: readonly string[], { out, err }: Omit<Streams, 'input'>): number {
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
    return { code, message: `${error.facts['detail' as never] as string}: run \`npx nestjs-latchkey migrate\`.` };
  }
  if (error instanceof AuthError || error instanceof CommandFailure) {
    return { code: error.code, message: error.message.replaceAll(/\n\s*(?:- )?/g, ' ') };
  }
  const message = error instanceof Error ? error.message : String(error);
  return { code: 'FAILED', message: `Failed: ${message.split('\n')[0] ?? ''}` };
}

/** Characters that command a terminal or disguise a name; adopted tables hold what another program let through. */
const INVISIBLE = /(?![\t\n])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

const visible = (text: string): string => text.replaceAll(INVISIBLE, '\u{fffd}');

/** As JSON spells them, so that nothing is lost. */
const escaped = (json: string): string =>
  json.replaceAll(INVISIBLE, (character) =>
    character.replaceAll(/[^]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`),
  );
