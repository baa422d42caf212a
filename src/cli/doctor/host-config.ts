import { randomBytes } from 'node:crypto';
import { isAuthError } from '../../auth.errors.js';
import { AuthConfig } from '../../config/auth-config.js';
import { isRecord } from '../../config/option-checker.js';
import { lacks } from '../../user/user.directory.js';
import type { HostConfiguration } from '../host.js';

export interface Examined {
  readonly config: AuthConfig;
  /** The reasons why the application would not start with these options. */
  readonly mistakes: readonly string[];
}

/**
 * The configuration as AuthModule reads it. If that refuses the whole, the valid parts are still examined, with
 * defaults for the others: one mistake must not hide the rest.
 */
export function examined({ options, routes, extras: { mailer, flows, passwordPolicy, users } }: HostConfiguration): Examined {
  const extras = { routes, mailer, flows, passwordPolicy, lacks: (operation: string) => lacks(users, operation) };
  const mistakes = mistakesOf(() => AuthConfig.from(options, extras));
  if (mistakes.length === 0) return { config: AuthConfig.from(options, extras), mistakes };
  const substitute = { secrets: [randomBytes(48).toString('base64url')] };
  const usable = Object.entries(isRecord(options) ? options : {}).filter(
    ([name, value]) => mistakesOf(() => AuthConfig.from({ ...substitute, [name]: value })).length === 0,
  );
  const usableRoutes = mistakesOf(() => AuthConfig.from(substitute, { routes })).length === 0 ? routes : undefined;
  return {
    config: AuthConfig.from({ ...substitute, ...Object.fromEntries(usable) }, { routes: usableRoutes }),
    mistakes,
  };
}

function mistakesOf(make: () => AuthConfig): readonly string[] {
  try {
    make();
    return [];
  } catch (error) {
    if (isAuthError(error, 'INVALID_CONFIG')) return error.facts.mistakes;
    // A value so odd that the check itself throws.
    return [`The options cannot be read (${(error as Error).name}).`];
  }
}
