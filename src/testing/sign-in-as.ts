import type { INestApplicationContext } from '@nestjs/common';
import { Clock } from '../common/clock.js';
import type { Duration } from '../common/duration.js';
import { AuthConfig } from '../config/auth-config.js';
import { aalOf } from '../login/assurance.js';
import { LoginService } from '../login/login.service.js';
import type { SessionContext } from '../session/session.service.js';
import { UserDirectory } from '../user/user.directory.js';

/** Which session `signInAs` opens. */
export interface SignInOptions extends SessionContext {
  /** The assurance of the session. Default: that of `proofs`. */
  aal?: 1 | 2;
  /** How long ago its user proved who they are, in milliseconds. Default 0. */
  age?: Duration;
  /** The methods that the session tells of. Default `['password']`, with `aal: 2` `['password', 'totp']`. */
  proofs?: readonly string[];
  /** Epoch ms: when they were proved. Default: `age` ago. */
  authenticatedAt?: number;
}

/**
 * Opens a real session for this user, without a password, and returns the `Cookie` header that carries it.
 *
 * @throws {TypeError} if no account has this id, it has a second factor that `proofs` lacks or must enrol one, or `proofs`
 *   are not worth `aal`.
 * @throws {AuthError} `INVALID_CREDENTIALS` if the account is disabled.
 *
 * @example
 * ```ts
 * await request(app.getHttpServer()).get('/notes').set('Cookie', await signInAs(app, ada.id)).expect(200);
 * const sure = await signInAs(app, ada.id, { aal: 2 }); // passes @RequireAal(2)
 * const stale = await signInAs(app, ada.id, { aal: 2, age: minutes(20) }); // and not @RequireFresh()
 * ```
 */
export async function signInAs(
  app: INestApplicationContext,
  userId: string,
  { aal, age = 0, proofs = aal === 2 ? ['password', 'totp'] : ['password'], ...context }: SignInOptions = {},
): Promise<string> {
  const user = await app.get(UserDirectory, { strict: false }).findById(userId);
  if (!user) throw new TypeError(`signInAs: there is no user ${userId}.`);
  if (aal !== undefined && aalOf(proofs, app.get(AuthConfig, { strict: false }).assurance) !== aal) {
    throw new TypeError(`signInAs: these proofs are not worth aal ${aal}: leave proofs out.`);
  }
  const { authenticatedAt = app.get(Clock, { strict: false }).now() - age } = context;
  const login = await app.get(LoginService, { strict: false }).begin(user, proofs, { ...context, authenticatedAt });
  if (login.status === 'enrolment_required') {
    throw new TypeError('signInAs: the user must enrol a second factor; pass aal: 2.');
  }
  if (login.status !== 'authenticated') {
    const due = login.methods.map((method) => `'${method}'`).join(' or ');
    throw new TypeError(`signInAs: the user has a second factor; add ${due} to proofs.`);
  }
  return `${app.get(AuthConfig, { strict: false }).cookieName}=${login.credential.value}`;
}
