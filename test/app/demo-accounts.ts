import type { INestApplicationContext } from '@nestjs/common';
import { Clock, PostgresUserDirectory, seconds, SessionService, type AuthUser } from 'nestjs-latchkey';
import { Outbox } from 'nestjs-latchkey/engine';
import { LoginService, TwoFactorService } from 'nestjs-latchkey/flows';
import { totpOf } from 'nestjs-latchkey/testing';
import { DemoAuthenticator } from './demo.module.js';

const PASSWORD = 'correct horse battery staple';

/** Needs only the password. */
export const ADA = { email: 'ada@example.com', password: PASSWORD };
/** Needs an authenticator too, and runs the place. */
export const GRACE = { email: 'grace@example.com', password: PASSWORD };

/** Makes the accounts of the demo, as far as they are not there. Grace gets a new authenticator at every start. */
export async function makeDemoAccounts(app: INestApplicationContext): Promise<void> {
  await accountOf(app, ADA);
  const grace = await accountOf(app, GRACE);
  await app.get(PostgresUserDirectory).setRoles(grace.id, ['admin']);
  const login = await app.get(LoginService).begin(grace, ['password', 'totp']);
  if (login.status !== 'authenticated') throw new Error(`The login of ${GRACE.email} is held: ${login.status}.`);
  const { session } = (await app.get(SessionService).lookup(login.credential.value))!;
  const twoFactor = app.get(TwoFactorService);
  const { secret, uri } = await twoFactor.setUpTotp(session);
  // The code before the present one: each counts once, and the present one is for whoever follows the tour.
  const before = totpOf(secret, { now: () => app.get(Clock).now() - seconds(30) });
  const { backupCodes } = await twoFactor.enableTotp(session, before);
  app.get(DemoAuthenticator).hold({ secret, uri, backupCode: backupCodes[0]! });
  await app.get(SessionService).revokeAllForUser(grace.id);
  await app.get(Outbox).idle();
}

async function accountOf(app: INestApplicationContext, { email, password }: typeof ADA): Promise<AuthUser> {
  const users = app.get(PostgresUserDirectory);
  const emailVerifiedAt = app.get(Clock).now();
  return (await users.findByLogin(email)) ?? users.create(email, password, { emailVerifiedAt });
}
