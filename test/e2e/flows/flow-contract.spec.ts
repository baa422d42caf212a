import { describe, expect, it, jest } from '@jest/globals';
import { Clock, UserDirectory, type NewAccount } from 'nestjs-latchkey';
import { RegistrationService, SystemClock } from 'nestjs-latchkey/engine';
import { flowContract } from 'nestjs-latchkey/testing';
import { PLATFORMS } from '../../support/app.js';
import { sharedTestApp } from '../../support/shared-app.js';
import { ACCOUNT_FLOWS, MAIL } from '../../support/flows.js';

const SETTINGS = {
  ...ACCOUNT_FLOWS,
  twoFactor: { totp: {} },
  passkeys: { rpName: 'Notes' },
  apiKeys: { scopes: { 'notes:admin': ['admin'], 'notes:read': [] } },
  pages: {},
};
const FLOWS = Object.keys(SETTINGS) as (keyof typeof SETTINGS)[];

describe.each([
  ...PLATFORMS.map((platform) => [platform, 'a running clock'] as const),
  ['express', 'a frozen clock'] as const,
])('the contract of the flows on %s with %s', (platform, clock) => {
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
    const [rule] = flowContract(() => t.app, { flows: ['registration'] });
    await expect(rule!.run()).rejects.toThrow(/mail|account/);
    expect(broken).toHaveBeenCalledTimes(1);
    broken.mockRestore();
  });
});
