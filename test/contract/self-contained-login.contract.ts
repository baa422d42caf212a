import { expect, it } from '@jest/globals';
import {
  AuthTransaction,
  PostgresUserDirectory,
  seconds,
  TokenRevocationService,
  type AuthUser,
} from 'nestjs-latchkey';
import request from 'supertest';
import { PASSWORD, type TestApp } from '../support/app.js';

export interface SelfContainedLogin {
  /** Where the login is that gives out the credential. */
  path: string;
  subject: () => { t: TestApp; ada: AuthUser };
  /** Logs Ada in, and answers the header that carries what she got. */
  enter: () => Promise<Record<string, string>>;
}

/**
 * What a login owes that gives out a credential with no row behind it (JWT, signed cookie): a password change or
 * disabling wins over every login that read the account before it. Uses the guarded route `/me`.
 */
export function selfContainedLoginContract({ path, subject, enter }: SelfContainedLogin): void {
  const logIn = () => {
    const { t, ada } = subject();
    return request(t.url).post(path).send({ email: ada.email, password: PASSWORD });
  };

  it('a login with the old password, while the account changes, gives out nothing', async () => {
    const { t, ada } = subject();
    const users = t.app.get(PostgresUserDirectory);
    const verify = users.verifyCredentials.bind(users);
    for (const meanwhile of [
      () => users.setPassword(ada.id, PASSWORD),
      () => users.disable(ada.id).then(() => users.enable(ada.id)),
    ]) {
      users.verifyCredentials = async (email, password) => {
        const user = await verify(email, password);
        await meanwhile();
        t.clock.advance(5);
        return user;
      };
      await logIn().expect(401);
    }
    users.verifyCredentials = verify;
  });

  it('a login that comes between the instant of a change and its commit waits for it, and is refused', async () => {
    const { t, ada } = subject();
    const users = t.app.get(PostgresUserDirectory);
    const hash = await users.hashOf('a brand new password');
    let login: Promise<{ status: number }> | undefined;
    await t.app.get(AuthTransaction).run(async () => {
      await users.setPasswordHash(ada.id, hash);
      t.clock.advance(seconds(1));
      login = logIn().then((answer) => answer);
      await untilBlocked(t);
    });
    expect((await login!).status).toBe(401);
  });

  it('what a process with a clock ahead has given out ends with the change too', async () => {
    const { t, ada } = subject();
    t.clock.advance(seconds(2));
    const credentials = await enter();
    t.clock.advance(-seconds(1.5));
    await t.app.get(PostgresUserDirectory).setPassword(ada.id, 'a brand new password');
    t.clock.advance(seconds(3));
    await request(t.url).get('/me').set(credentials).expect(401);
  });

  it('H33: a login after a sign-out by a process with a clock ahead is valid at once', async () => {
    const { t, ada } = subject();
    await t.app.get(TokenRevocationService).revokeAllForUser(ada.id);
    t.clock.advance(seconds(30));
    const before = await enter();
    await t.app.get(TokenRevocationService).revokeAllForUser(ada.id);
    t.clock.advance(-seconds(30));
    const credentials = await enter();
    await request(t.url).get('/me').set(credentials).expect(200);
    await request(t.url).get('/me').set(before).expect(401);
    await t.app.get(TokenRevocationService).revokeAllForUser(ada.id);
    await request(t.url).get('/me').set(credentials).expect(401);
    t.clock.advance(seconds(60));
  });
}

/** Until the login's statement stands in line for the row that the change holds. */
async function untilBlocked(t: TestApp): Promise<void> {
  for (const deadline = performance.now() + 20_000; performance.now() < deadline;) {
    if (t.queries.names.includes('latchkey_user_confirm_login')) return;
    await new Promise((next) => setImmediate(next));
  }
  throw new Error('The login never asked for the row.');
}
