import { randomBytes, randomUUID } from 'node:crypto';
import { beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { SessionService, type AuthUser } from 'nestjs-latchkey';
import { PasskeyStore } from 'nestjs-latchkey/engine';
import { LoginService, PasskeyLoginService, SecondFactorLoginService } from 'nestjs-latchkey/flows';
import { createUser, type TestApp } from '../support/app.js';
import { ORIGIN, PasskeyClient, PASSKEYS } from '../support/passkeys.js';
import { SoftwareAuthenticator } from '../support/authenticator.js';
import { sharedPairOfApps } from '../support/shared-app.js';

describe('passkeys that race over two pools', () => {
  const apps = sharedPairOfApps({ auth: PASSKEYS });
  let client: PasskeyClient;
  let ada: AuthUser;
  beforeAll(() => {
    client = new PasskeyClient(apps[0]);
  });
  beforeEach(async () => {
    ada = await createUser(apps[0].app);
  });

  /** 50 calls at once, by turns in each application; what succeeded. */
  const race = async <T>(work: (t: TestApp, i: number) => Promise<T>): Promise<T[]> => {
    const results = await Promise.allSettled(Array.from({ length: 50 }, (_, i) => work(apps[i % 2]!, i)));
    return results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  };
  const sessions = async () => (await apps[0].app.get(SessionService).listForUser(ada.id)).length;

  it('F70: of 50 parallel uses of one assertion over two pools exactly one opens a session', async () => {
    const device = new SoftwareAuthenticator(ORIGIN, { counts: false });
    const { authenticator } = await client.register(ada, { authenticator: device });
    const before = await sessions();
    const logins = apps[0].app.get(PasskeyLoginService);
    const { options, browser } = await logins.start();
    const response = authenticator.use(options);
    const done = await race(({ app }) =>
      app.get(PasskeyLoginService).complete(response, { browsers: [browser.value] }),
    );
    expect(done).toMatchObject([{ status: 'authenticated', user: { id: ada.id } }]);
    expect(await sessions()).toBe(before + 1);
  });

  it('F70: and of 50 second steps with one assertion exactly one', async () => {
    const { authenticator } = await client.register(ada);
    const before = await sessions();
    const held = await apps[0].app.get(LoginService).begin(ada, ['password'], { transport: 'bearer' });
    if (held.status !== 'second_factor') throw new Error('nothing is due');
    const { token } = held;
    const { body: options } = await client.post('2fa/passkey/options', { token }).expect(200);
    const proof = { token, method: 'passkey', response: JSON.stringify(authenticator.use(options)) };
    const done = await race(({ app }) => app.get(SecondFactorLoginService).complete(proof));
    expect(done).toHaveLength(1);
    expect(await sessions()).toBe(before + 1);
  });

  it('F74: of 50 uses with one count, each of a challenge of its own, exactly one', async () => {
    const { authenticator } = await client.register(ada);
    const before = await sessions();
    const logins = apps[0].app.get(PasskeyLoginService);
    const started = await Promise.all(Array.from({ length: 50 }, () => logins.start()));
    const responses = started.map(({ options }) => authenticator.use(options, { signCount: 7 }));
    const done = await race(({ app }, i) =>
      app.get(PasskeyLoginService).complete(responses[i]!, { browsers: [started[i]!.browser.value] }),
    );
    expect(done).toHaveLength(1);
    expect(await sessions()).toBe(before + 1);
    expect((await apps[0].app.get(PasskeyStore).listByUser(ada.id))[0]).toMatchObject({
      signCount: 7,
      cloneSuspectedAt: expect.any(Number),
    });
  });

  it('an account has 20 at most, and one user handle, however many are added at once', async () => {
    const handles = [randomBytes(64).toString('base64url'), randomBytes(64).toString('base64url')];
    const added = await race(async ({ app, clock }, i) => {
      const passkey = {
        id: randomUUID(),
        userId: ada.id,
        userHandle: handles[i % 2]!,
        credentialId: randomBytes(16).toString('base64url'),
        publicKey: randomBytes(77),
        signCount: 0,
        aaguid: null,
        transports: [],
        multiDevice: true,
        backedUp: true,
        name: 'Phone',
        createdAt: clock.now(),
      };
      return app.get(PasskeyStore).add(passkey, 20);
    });
    expect(added).toHaveLength(50);
    expect(added.filter((outcome) => outcome === 'added')).toHaveLength(20);
    const stored = await apps[0].app.get(PasskeyStore).listByUser(ada.id);
    expect(new Set(stored.map(({ userHandle }) => userHandle)).size).toBe(1);
  });
});
