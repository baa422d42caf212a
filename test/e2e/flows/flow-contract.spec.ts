import { describe, expect, it, jest } from '@jest/globals';
import { AuthError, Clock, RateLimitService, UserDirectory, type NewAccount } from 'nestjs-latchkey';
import { Outbox, SystemClock } from 'nestjs-latchkey/engine';
import { OidcService, RegistrationService } from 'nestjs-latchkey/flows';
import { flowContract } from 'nestjs-latchkey/testing';
import { PLATFORMS } from '../../support/app.js';
import { sharedTestApp } from '../../support/shared-app.js';
import { ACCOUNT_FLOWS, MAIL } from '../../support/flows.js';

const SETTINGS = {
  ...ACCOUNT_FLOWS,
  twoFactor: { totp: {}, backupCodes: {} },
  passkeys: { rpName: 'Notes' },
  apiKeys: { scopes: { 'notes:admin': ['admin'], 'notes:read': [] } },
  // Nobody answers there: no rule needs a provider.
  oidc: {
    providers: [{ id: 'away', issuer: 'https://provider.invalid', clientId: 'us', clientSecret: 'contract secret' }],
  },
  pages: {},
  magicLink: {},
  admin: {},
};
const FLOWS = Object.keys(SETTINGS) as (keyof typeof SETTINGS)[];

// Either clock once: nothing but time depends on it.
describe.each(PLATFORMS.map((platform, i) => [platform, i === 0 ? 'a running clock' : 'a frozen clock'] as const))(
  'the contract of the flows on %s with %s',
  (platform, clock) => {
    const t = sharedTestApp({
      platform,
      auth: { ...MAIL, flows: SETTINGS, rateLimits: undefined },
      configure: (app) => void app.setGlobalPrefix('api'),
      override: (builder) =>
        clock === 'a frozen clock' ? builder : builder.overrideProvider(Clock).useClass(SystemClock),
    });

    it.each(flowContract(() => t.app, { flows: FLOWS }))('$title', ({ run }) => run());

    it('finds what is broken (negative control)', async () => {
      const registration = t.app.get(RegistrationService);
      const register = registration.register.bind(registration);
      const broken = jest.spyOn(registration, 'register').mockImplementation(async (email, request) => {
        const account: NewAccount = { email, passwordHash: '!', emailVerifiedAt: null };
        const started = await register(email, request);
        await t.app.get(UserDirectory).register(account);
        return started;
      });
      const rule = flowContract(() => t.app, { flows: ['registration'] }).find(({ title }) => title.startsWith('F28'));
      await expect(rule!.run()).rejects.toThrow(/mail|account/);
      expect(broken).toHaveBeenCalledTimes(1);
      broken.mockRestore();
    });

    it('finds a budget for each challenge (negative control)', async () => {
      const limits = t.app.get(RateLimitService);
      const consume = limits.consume.bind(limits);
      let nth = 0;
      const broken = jest
        .spyOn(limits, 'consume')
        .mockImplementation((event, subject) =>
          consume(event, event === '2fa_attempt' ? `challenge ${++nth}` : subject),
        );
      const rule = flowContract(() => t.app, { flows: ['twoFactor'] }).find(({ title }) => title.startsWith('F12'));
      await expect(rule!.run()).rejects.toThrow('the answer is 200');
      broken.mockRestore();
    });

    it('finds an owner whom nobody tells (negative control)', async () => {
      const broken = jest.spyOn(t.app.get(Outbox), 'post').mockReturnValue(undefined);
      const rule = flowContract(() => t.app, { flows: ['passwordChange'] }).find(({ title }) =>
        title.startsWith('F26'),
      );
      await expect(rule!.run()).rejects.toThrow('there is no mail of kind password_changed');
      broken.mockRestore();
    });

    it('finds an answer that tells what was wrong with it (negative control)', async () => {
      const oidc = t.app.get(OidcService);
      const finish = oidc.finish.bind(oidc);
      const broken = jest.spyOn(oidc, 'finish').mockImplementation((provider, parameters, context) => {
        if (parameters.has('error')) throw new AuthError('PROVIDER_REFUSED', 'It said so.', {});
        return finish(provider, parameters, context);
      });
      const rule = flowContract(() => t.app, { flows: ['oidc'] }).find(({ title }) => title.startsWith('F58'));
      await expect(rule!.run()).rejects.toThrow('is answered otherwise');
      broken.mockRestore();
    });
  },
);
