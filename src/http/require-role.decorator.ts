import { SetMetadata } from '@nestjs/common';
import { AuthError } from '../auth.errors.js';
import { isRole } from '../user/roles.js';
import type { RequestAuth } from './auth-request.js';

/** @internal Metadata key of what a handler, or its class, asks of the caller. */
export const REQUIREMENTS = Symbol('nestjs-latchkey.requirements');

/**
 * @internal What a handler asks of the caller beyond a live session: returns the refusal, or `null`. Synchronous, since
 * the session and its user are known.
 */
export type Requirement = (auth: RequestAuth) => AuthError | null;

/** @internal One more requirement of a handler or class. */
export function require(requirement: Requirement): MethodDecorator & ClassDecorator {
  return (target: object, key?: string | symbol, descriptor?: PropertyDescriptor) => {
    const marked = (descriptor?.value ?? target) as object;
    const others = (Reflect.getMetadata(REQUIREMENTS, marked) as Requirement[] | undefined) ?? [];
    // Decorators apply from the bottom up; this keeps the order in which they are written.
    SetMetadata(REQUIREMENTS, [requirement, ...others])(target, key!, descriptor!);
  };
}

/**
 * For users who have one of these roles; everybody else who is logged in gets `FORBIDDEN` (403). The roles are those of
 * the account as it is now: a demoted user is refused by the next request, in every process (with the cache on, within
 * its bound).
 *
 * Several decorators, on the handler, on its class and on what that extends, must all be satisfied. A handler with this decorator needs a
 * session, also where it or its class is `@Public()` or `@OptionalAuth()`.
 *
 * Nobody gets a role by registering. Give the first one by `npx nestjs-latchkey users set-roles`.
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
  return require(({ user }) =>
    roles.some((role) => user.roles?.includes(role))
      ? null
      : new AuthError('FORBIDDEN', `The user needs the role ${roles.join(' or ')}.`, { roles }),
  );
}
