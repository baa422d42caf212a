import { isAuthError } from '../../src/auth.errors.js';
import { AuthConfig, type Extras } from '../../src/config/auth-config.js';
import type { AuthOptions } from '../../src/config/auth-options.js';
import type { RouteOptions } from '../../src/config/route-options.js';

/** What is wrong with these options, each mistake with its remedy. They may be anything, so they have no type. */
export function mistakesOf(options: unknown, routes?: unknown, extras: Extras = {}): readonly string[] {
  try {
    AuthConfig.from(options as AuthOptions, { routes: routes as RouteOptions | undefined, ...extras });
    return [];
  } catch (error) {
    if (isAuthError(error, 'INVALID_CONFIG')) return error.facts.mistakes;
    throw error;
  }
}

/** Options with one setting, all else right. */
export const withSecrets = (options: object): object => ({ secrets: ['x'.repeat(32)], ...options });
