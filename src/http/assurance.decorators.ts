import { seconds, type Duration } from '../common/duration.js';
import { isFresh } from '../login/assurance.js';
import { asksOfSession } from './requirement.js';

/**
 * For users who have proved who they are within this time, by a login or a step-up; everybody else who is logged in gets
 * `STEP_UP_REQUIRED` (401, RFC 9470), at the exact instant already. Use of the session, its extension and rotation do
 * not count. Without an argument it is `flows.freshness`, 15 minutes by default.
 *
 * This decorator, `@RequireAal`, `@RequireAmr` and `@RequireRole`, on the handler, on its class and on what that extends,
 * must all be satisfied. A handler with one of them needs a session, also where it or its class is `@Public()` or
 * `@OptionalAuth()`. A refusal ends no session, clears no cookie and never leads to `loginPage`.
 *
 * @throws {TypeError} when the class is defined, for anything but a duration of a second or more.
 *
 * @example
 * ```ts
 * @RequireFresh(minutes(5))
 * @Delete('workspace')
 * remove() {
 *   return { removed: true };
 * }
 * ```
 */
export function RequireFresh(within?: Duration): MethodDecorator & ClassDecorator {
  if (within !== undefined && !(Number.isFinite(within) && within >= seconds(1))) {
    throw new TypeError('@RequireFresh needs a duration of a second or more: write it as minutes(5).');
  }
  return asksOfSession((session, { now, freshness }) => {
    const maxAge = within ?? freshness;
    return isFresh(session, { now, maxAge }) ? null : { maxAge };
  });
}

/**
 * For sessions with two factors, or with one that is two by itself (`Session.aal`); all others get `STEP_UP_REQUIRED`. It
 * is what the session has proved, not what the account could: a session from before a factor was enrolled is refused. A
 * signed cookie never has it. See `@RequireFresh` for how the decorators combine.
 *
 * @throws {TypeError} when the class is defined, for another level than 2.
 *
 * @example
 * ```ts
 * @RequireAal(2)
 * @RequireFresh(minutes(5))
 * @Post('payout')
 * payOut() {
 *   return { paid: true };
 * }
 * ```
 */
export function RequireAal(aal: 2): MethodDecorator & ClassDecorator {
  if (aal !== 2) throw new TypeError('@RequireAal takes 2: every session has 1.');
  return asksOfSession((session) => (session.aal >= aal ? null : { aal }));
}

/**
 * For sessions whose user has proved who they are by one of these methods (`Session.amr`), among others perhaps; all
 * others get `STEP_UP_REQUIRED`. See `@RequireFresh` for how the decorators combine.
 *
 * @throws {TypeError} when the class is defined, for no method.
 *
 * @example
 * ```ts
 * @RequireAmr('passkey')
 * @Get('vault')
 * vault() {
 *   return { opened: true };
 * }
 * ```
 */
export function RequireAmr(...methods: readonly [string, ...string[]]): MethodDecorator & ClassDecorator {
  if (methods.length === 0) throw new TypeError("@RequireAmr needs the name of a method, such as 'passkey'.");
  return asksOfSession((session) => (methods.some((method) => session.amr.includes(method)) ? null : { amr: methods }));
}
