import { AuthError } from '../auth.errors.js';
import { isRole } from '../user/roles.js';
import { asks } from './requirement.js';

/**
 * For users who have one of these roles; everybody else who is logged in gets `FORBIDDEN` (403). The roles are those of
 * the account as it is now: a demoted user is refused by the next request, in every process (with the cache on, within
 * its bound).
 *
 * Several decorators, on the handler, on its class and on what that extends, must all be satisfied. A handler with this decorator needs a
 * session, also where it or its class is `@Public()` or `@OptionalAuth()`.
 *
 * Nobody gets a role by registering. Give the first one by `npx nestjs-latchkey users set-roles --user <id> --roles <names>`.
 *
 * @throws {TypeError} for no role, and for a name that no role can have.
 *
 * @example
 * ```ts
 * @RequireRole('admin', 'auditor')
 * @Get('reports')
 * reports() {
 *   return ['for either of them'];
 * }
 * ```
 */
export function RequireRole(...roles: readonly [string, ...string[]]): MethodDecorator & ClassDecorator {
  if (roles.length === 0 || !roles.every(isRole)) {
    throw new TypeError("RequireRole needs names of roles such as 'admin', of a-z, 0-9, :, _ and -.");
  }
  return asks(({ user }) =>
    roles.some((role) => user.roles?.includes(role))
      ? null
      : new AuthError('FORBIDDEN', `The user needs the role ${roles.join(' or ')}.`, { roles }),
  );
}
