import { beforeEach, describe, expect, it } from '@jest/globals';
import { days, hours, minutes, type AuthUser } from 'nestjs-latchkey';
import { totpOf } from 'nestjs-latchkey/testing';
import type { Response } from 'supertest';
import { createUser, PLATFORMS } from '../../support/app.js';
import { LinkBrowser, MAGIC_LINK } from '../../support/magic-link.js';
import { PASSKEYS, PasskeyClient } from '../../support/passkeys.js';
import { sharedTestApp } from '../../support/shared-app.js';
import { enrol } from '../../support/two-factor.js';

const LIFETIMES = { ttl: hours(12), extendBelow: hours(6), absoluteLifetime: days(1) };
const REMEMBERED = { ttl: days(30), extendBelow: days(7), absoluteLifetime: days(90) };
const FLOWS = { ...MAGIC_LINK.flows, ...PASSKEYS.flows };

describe.each(PLATFORMS)('remember me, without a password, on %s', (platform) => {
  const t = sharedTestApp({
    platform,
    auth: {
      ...MAGIC_LINK,
      baseUrl: PASSKEYS.baseUrl,
      flows: FLOWS,
      session: { ...LIFETIMES, remembered: REMEMBERED },
    },
  });
  let ada: AuthUser;
  beforeEach(async () => {
    t.clock.advance(minutes(20));
    ada = await createUser(t.app);
  });

  const expectRemembered = (answer: Response, isRemembered: boolean) => {
    const { ttl } = isRemembered ? REMEMBERED : LIFETIMES;
    expect(answer.body).toMatchObject({
      status: 'authenticated',
      expiresAt: new Date(t.clock.now() + ttl).toISOString(),
    });
    const session = answer.get('Set-Cookie')!.find((cookie) => cookie.startsWith('__Host-session='));
    expect(/Max-Age=2592000/.test(session!)).toBe(isRemembered);
  };

  it.each([true, false, undefined])(
    'a login by mailed link is remembered if that was asked for (%s)',
    async (remember) => {
      const own = new LinkBrowser(t);
      const { token } = await own.ask(ada.email, { remember });
      expectRemembered(await own.confirm({ token }), remember ?? false);
    },
  );

  it.each([true, false])('so is one with a second step (%s)', async (remember) => {
    const { secret } = await enrol(t, ada);
    const own = new LinkBrowser(t);
    const { token } = await own.ask(ada.email, { remember });
    const held = await own.confirm({ token });
    expect(held.body.status).toBe('second_factor');
    const second = { token: held.body.token, method: 'totp', code: totpOf(secret, t.clock) };
    expectRemembered(await own.post('2fa/verify', second), remember);
  });

  it.each([true, false, undefined])('so is a login by passkey (%s)', async (remember) => {
    const client = new PasskeyClient(t);
    const { authenticator } = await client.register(ada);
    const { options, browser } = await client.loginOptions();
    const response = authenticator.use(options);
    expectRemembered(await client.post('passkey-login', { response, remember }, browser), remember ?? false);
  });

  it.each(['yes', 1, null, 'true'])('F21: %j is no choice', async (remember) => {
    const fields = { remember: 'must be true or false' };
    const own = new LinkBrowser(t);
    const asked = await own.post('magic-link', { email: ada.email, remember });
    expect([asked.status, asked.body.fields]).toEqual([422, fields]);
    const client = new PasskeyClient(t);
    const { authenticator } = await client.register(ada);
    const { options, browser } = await client.loginOptions();
    const response = authenticator.use(options);
    const { body } = await client.post('passkey-login', { response, remember }, browser).expect(422);
    expect(body.fields).toEqual(fields);
    // Nothing of it was spent.
    await client.post('passkey-login', { response }, browser).expect(200);
  });
});

describe('remember me, without a password and without the option', () => {
  const t = sharedTestApp({ auth: { ...MAGIC_LINK, baseUrl: PASSKEYS.baseUrl, flows: FLOWS } });

  it('every login is as before, whatever it says', async () => {
    const own = new LinkBrowser(t);
    const ada = await createUser(t.app);
    for (const remember of [true, false]) {
      const { token } = await own.ask(ada.email, { remember });
      expect((await own.confirm({ token })).get('Set-Cookie')!.join()).toContain('; Max-Age=2592000;');
    }
  });
});
