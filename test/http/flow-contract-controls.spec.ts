import { APP_GUARD } from '@nestjs/core';
import type { CanActivate, ExecutionContext } from '@nestjs/common';
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import {
  AuthTransaction,
  EphemeralTokenService,
  RateLimitService,
  SessionService,
  UserDirectory,
  type AuthUser,
} from 'nestjs-latchkey';
import { NO_PASSWORD, PasswordPolicy } from 'nestjs-latchkey/engine';
import { flowContract, MemoryMailer } from 'nestjs-latchkey/testing';
import type { FlowName } from '../../src/config/flow-settings.js';
import { PasswordAttempts } from '../../src/login/password-attempts.js';
import { PendingLogins } from '../../src/login/pending-logins.js';
import { StepUpMethods } from '../../src/login/step-up-methods.js';
import type { TestApp } from '../support/app.js';
import { ACCOUNT_FLOWS, MAIL } from '../support/flows.js';
import { sharedTestApp } from '../support/shared-app.js';

const FLOWS = { ...ACCOUNT_FLOWS, magicLink: {}, twoFactor: { totp: {} }, pages: {}, admin: {} };

/** A guard of the application, which is not asked before a test says what it does. */
const guard: CanActivate & { instead?: ((body: { email?: string }) => void) | undefined } = {
  canActivate(context: ExecutionContext) {
    const { body } = context.switchToHttp().getRequest<{ body?: { email?: string } }>();
    if (body) guard.instead?.(body);
    return true;
  },
};

interface Fault {
  readonly flow: FlowName;
  readonly rule: string;
  readonly what: string;
  readonly plant: (t: TestApp) => unknown;
  readonly found: RegExp;
}

/** An application that breaks the rule, and what the contract says about it. */
const FAULTS: readonly Fault[] = [
  {
    flow: 'passwordReset',
    rule: 'F10',
    what: 'a token is spent wherever it is tried',
    plant: ({ app }) => {
      const tokens = app.get(EphemeralTokenService);
      const peek = tokens.peek.bind(tokens) as (...of: unknown[]) => Promise<never>;
      jest.spyOn(tokens, 'peek').mockImplementation(async (type, token, ...binding) => {
        if (type !== 'password_reset') await tokens.revoke('password_reset', token);
        return peek(type, token, ...binding);
      });
    },
    found: /the answer is 400 INVALID_LINK/,
  },
  {
    flow: 'twoFactor',
    rule: 'F13',
    what: 'one success gives everybody new tries',
    plant: ({ app }) => {
      const limits = app.get(RateLimitService);
      const [consume, clear] = [limits.consume.bind(limits), limits.clear.bind(limits)];
      const subjects = new Set<string | null>();
      jest.spyOn(limits, 'consume').mockImplementation((event, subject) => {
        if (event === '2fa_attempt') subjects.add(subject);
        return consume(event, subject);
      });
      jest.spyOn(limits, 'clear').mockImplementation(async (event, subject) => {
        await clear(event, subject);
        if (event === '2fa_attempt') for (const other of subjects) await clear(event, other);
      });
    },
    found: /the answer is 200/,
  },
  {
    flow: 'passwordReset',
    rule: 'F15',
    what: 'a mail that is not sent costs quota',
    plant: ({ app }) => jest.spyOn(app.get(RateLimitService), 'refund').mockResolvedValue(false),
    found: /after mails that were not sent there is none/,
  },
  {
    flow: 'registration',
    rule: 'F17',
    what: 'a guard takes the first of several addresses',
    plant: () => (guard.instead = (body) => (body.email = body.email?.split(/[,;]/)[0])),
    found: /the answer is 202/,
  },
  {
    flow: 'passwordReset',
    rule: 'F18',
    what: 'a mailer builds the links',
    plant: async ({ app }) => {
      const mailer = await MemoryMailer.of(app);
      const send = mailer.send.bind(mailer);
      jest.spyOn(mailer, 'send').mockImplementation((mail) => {
        return send({ ...mail, ...('link' in mail && { link: 'https://elsewhere.example/#x' }) });
      });
    },
    found: /the link leads elsewhere/,
  },
  {
    flow: 'passwordReset',
    rule: 'F22',
    what: 'the token and the password are no transaction',
    plant: ({ app }) => jest.spyOn(app.get(AuthTransaction), 'run').mockImplementation((work) => work()),
    found: /the answer is 400 INVALID_LINK/,
  },
  {
    flow: 'twoFactor',
    rule: 'F23',
    what: 'any try ends a pending login',
    plant: ({ app }) => {
      const pending = app.get(PendingLogins);
      const find = pending.find.bind(pending);
      jest.spyOn(pending, 'find').mockImplementation(async (...of) => {
        const found = await find(...of);
        await pending.complete(...of);
        return found;
      });
    },
    found: /the answer is 401/,
  },
  {
    flow: 'magicLink',
    rule: 'F24',
    what: 'a token is looked up in place of being spent',
    plant: ({ app }) => {
      const tokens = app.get(EphemeralTokenService);
      jest.spyOn(tokens, 'consume').mockImplementation(tokens.peek.bind(tokens));
    },
    found: /not exactly one use succeeded/,
  },
  { flow: 'passwordReset', rule: 'F25', what: 'a directory without cutoffs', plant: forgetCutoffs, found: /is 200/ },
  { flow: 'passwordChange', rule: 'F37', what: 'a directory without cutoffs', plant: forgetCutoffs, found: /is 200/ },
  {
    flow: 'registration',
    rule: 'F33',
    what: 'a policy that takes everything',
    plant: ({ app }) => jest.spyOn(app.get(PasswordPolicy), 'check').mockResolvedValue([]),
    found: /the answer is 202/,
  },
  {
    flow: 'passwordReset',
    rule: 'F33',
    what: 'a directory that hashes the first 72 bytes',
    plant: ({ app }) => {
      const users = app.get(UserDirectory);
      jest.spyOn(users, 'verifyCredentials').mockImplementation((login) => users.findByLogin(login));
    },
    found: /without its last character it logs in too/,
  },
  {
    flow: 'passwordReset',
    rule: 'F38',
    what: 'a directory that has a hash for everybody',
    plant: ({ app }) => {
      const users = app.get(UserDirectory);
      const find = users.findPasswordHash.bind(users);
      jest.spyOn(users, 'findPasswordHash').mockImplementation(async (id) => {
        const hash = await find(id);
        return hash === NO_PASSWORD ? 'a hash' : hash;
      });
    },
    found: /there is no mail of kind no_password/,
  },
  {
    flow: 'passwordChange',
    rule: 'F40',
    what: 'a stale session is as good as a fresh one',
    plant: ({ app }) => jest.spyOn(app.get(StepUpMethods), 'demandMost').mockResolvedValue(),
    found: /the answer is 200/,
  },
  {
    flow: 'passwordReset',
    rule: 'F41',
    what: 'nobody counts',
    plant: ({ app }) =>
      jest.spyOn(app.get(PasswordAttempts), 'judge').mockImplementation((_, __, verify) => verify(false)),
    found: /the password logs in/,
  },
  {
    flow: 'admin',
    rule: 'F81',
    what: 'a directory that keeps roles',
    plant: ({ app }) => {
      const users = app.get(UserDirectory);
      const set = users.setRoles.bind(users);
      jest.spyOn(users, 'setRoles').mockImplementation(async (id, roles) => roles.length === 0 || set(id, roles));
    },
    found: /the answer is 200/,
  },
  {
    flow: 'stepUp',
    rule: 'F82',
    what: 'a session is as fresh as its use',
    plant: ({ app }) => {
      const sessions = app.get(SessionService);
      const lookup = sessions.lookup.bind(sessions);
      let uses = 0;
      jest.spyOn(sessions, 'lookup').mockImplementation(async (...of) => {
        const found = await lookup(...of);
        const authenticatedAt = Date.now() + ++uses;
        return found && { ...found, session: { ...found.session, authenticatedAt } };
      });
    },
    found: /its use has made the session fresh/,
  },
  {
    flow: 'stepUp',
    rule: 'F85',
    what: 'everybody is asked for a password',
    plant: ({ app }) => jest.spyOn(app.get(StepUpMethods), 'of').mockResolvedValue(['password']),
    found: /a password is asked for/,
  },
];

function forgetCutoffs({ app }: TestApp): void {
  const users = app.get(UserDirectory);
  const find = users.findByLogin.bind(users);
  const without = (user: AuthUser | null) => user && { ...user, tokensInvalidatedAfter: null };
  jest.spyOn(users, 'findByLogin').mockImplementation(async (login) => without(await find(login)));
}

describe('the contract of the flows finds an application that breaks a rule (negative controls)', () => {
  const t = sharedTestApp({
    auth: { ...MAIL, flows: FLOWS, rateLimits: undefined },
    providers: [{ provide: APP_GUARD, useValue: guard }],
  });
  const mend = () => {
    jest.restoreAllMocks();
    guard.instead = undefined;
  };
  afterEach(mend);

  it.each(FAULTS)('$rule, $flow: $what', async ({ flow, rule, plant, found }) => {
    const rules = flowContract(() => t.app, { flows: [flow, 'passwordReset'] });
    const { run } = rules.find(
      ({ title }) => title.startsWith(rule) && (flow !== 'magicLink' || title.includes(flow)),
    )!;
    await plant(t);
    await expect(run()).rejects.toThrow(found);
    mend();
    await run();
  });
});
