import { AuthError } from '../auth.errors.js';

const MAX_ROLES = 32;
const ROLE = /^[a-z0-9:_-]{1,64}$/;
const EXPECTED = `must be at most ${MAX_ROLES} names, each of 1 to 64 of a-z, 0-9, :, _ and -`;

/** Whether this can be the name of a role. */
export const isRole = (name: unknown): name is string => typeof name === 'string' && ROLE.test(name);

/** The roles without repetitions. Throws `INVALID_INPUT` unless they can be stored. */
export function checkedRoles(roles: readonly string[]): string[] {
  const distinct = Array.isArray(roles) ? [...new Set<string>(roles)] : null;
  if (distinct && distinct.length <= MAX_ROLES && distinct.every(isRole)) return distinct;
  throw new AuthError('INVALID_INPUT', `roles ${EXPECTED}.`, { fields: { roles: EXPECTED } });
}
