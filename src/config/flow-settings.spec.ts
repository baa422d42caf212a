import { describe, expect, it } from '@jest/globals';
import { minutes } from '../common/duration.js';
import { AuthConfig } from './auth-config.js';
import { flowNamesOf, routedFlowsOf } from './flow-settings.js';
import { mistakesOf, withSecrets } from '../../test/support/config-mistakes.js';

class SomeMailer {}
const baseUrl = 'https://app.example.com';
const pages = { registration: '/confirm', password_reset: '/reset', email_change: '/email', email_changed: '/revert' };
const mail = { pages };
const mistakes = (options: object, extras: object) => mistakesOf(withSecrets(options), undefined, extras);

describe('the option flows', () => {
  it('has nothing that is not named', () => {
    expect(AuthConfig.from({ secrets: ['x'.repeat(32)] }).flows).toEqual({
      freshness: minutes(15),
      legacyVerified: false,
    });
  });

  it.each<[string, unknown, object]>([
    ['settings', { registration: {}, passwordChange: {} }, {}],
    ['names', ['registration', 'passwordChange'], {}],
    ['names, with settings from the factory', ['registration', 'passwordChange'], { registration: {} }],
  ])('takes %s', (_, flows, written) => {
    const options = { secrets: ['x'.repeat(32)], baseUrl, mail, flows: written };
    const config = AuthConfig.from(options, { mailer: SomeMailer, flows });
    expect(config.flows).toEqual({
      registration: { routes: true },
      passwordChange: { routes: true },
      freshness: minutes(15),
      legacyVerified: false,
    });
  });

  it('takes the factors of a flow, also from the factory, with their defaults', () => {
    const required = () => true;
    const written = { flows: { twoFactor: { totp: { issuer: 'Notes' }, backupCodes: {}, required } } };
    const { twoFactor } = AuthConfig.from({ secrets: ['x'.repeat(32)], ...written }, { flows: ['twoFactor'] }).flows;
    expect(twoFactor).toEqual({ routes: true, totp: { issuer: 'Notes' }, backupCodes: { count: 10 }, required });
  });

  it('a second step without a factor is a mistake', () => {
    for (const flows of [{ twoFactor: {} }, ['twoFactor']]) {
      expect(mistakes({}, { flows })).toEqual([
        'flows.twoFactor has nothing in it: name a factor, as in { totp: {}, backupCodes: {} }.',
      ]);
    }
  });

  it.each([
    ['names', ['notes:read', 'notes:write']],
    ['names with roles', { 'notes:read': [], 'users:read': ['admin'] }],
  ])('F79: takes the scopes of API keys as %s, and freezes a copy', (_, scopes) => {
    const config = AuthConfig.from({ secrets: ['x'.repeat(32)] }, { flows: { apiKeys: { scopes } } });
    expect(config.flows.apiKeys).toEqual({ routes: true, scopes, maxPerUser: 50 });
    expect(config.flows.apiKeys!.scopes).not.toBe(scopes);
    for (const part of [config.flows.apiKeys!.scopes, ...Object.values(config.flows.apiKeys!.scopes)]) {
      expect(Object.isFrozen(part)).toBe(true);
    }
  });

  it.each<[string, unknown]>([
    ['nothing', undefined],
    ['an empty list', []],
    ['an empty record', {}],
    ['a text', 'notes:read'],
    ['a name with a space', ['notes read']],
    ['a name twice', ['notes:read', 'notes:read']],
    ['101 names', Array.from({ length: 101 }, (__, i) => `scope${i}`)],
    ['a number', [1]],
    ['a role that is no list', { 'notes:read': 'admin' }],
    ['a role that none can be', { 'notes:read': ['Admin'] }],
  ])('F79: refuses %s as the scopes of API keys', (_, scopes) => {
    expect(mistakes({}, { flows: { apiKeys: { scopes } } })).toEqual([
      expect.stringMatching(/^flows\.apiKeys\.scopes.* must (name 1 to 100 scopes|list the roles)/),
    ]);
  });

  it('F79: API keys need a directory that can end them, and a whole number of keys', () => {
    const extras = { flows: { apiKeys: { scopes: ['notes:read'], maxPerUser: 0 } }, lacks: () => true };
    expect(mistakes({}, extras)).toEqual([
      expect.stringMatching(/^flows\.apiKeys\.maxPerUser must be a whole number/),
      expect.stringMatching(/^flows\.apiKeys needs invalidateTokens\(\)/),
    ]);
  });

  it('a flow without routes keeps its name', () => {
    const flows = { registration: { routes: false }, passwordChange: {} };
    expect(flowNamesOf(flows)).toEqual(['registration', 'passwordChange']);
    expect(routedFlowsOf(flows)).toEqual(['passwordChange']);
  });

  it.each<[string, object, object, RegExp]>([
    ['an unknown name', {}, { flows: ['register'] }, /'register' is not a flow; known flows: registration/],
    ['an unknown flow', {}, { flows: { register: {} } }, /flows\.register is not an option/],
    [
      'an unknown setting',
      {},
      { flows: { passwordChange: { ttl: 1 } } },
      /flows\.passwordChange\.ttl is not an option/,
    ],
    ['what is no flag', {}, { flows: { passwordChange: { routes: 1 } } }, /flows\.passwordChange\.routes must be true/],
    ['a flow that only the factory names', { flows: { passwordChange: {} } }, {}, /comes too late from a factory/],
    [
      'routes from the factory',
      { flows: { passwordChange: { routes: false } } },
      { flows: ['passwordChange'] },
      /flows\.passwordChange\.routes comes too late/,
    ],
    ['a mailing flow without a mailer', { baseUrl }, { flows: ['passwordReset'] }, /flows\.passwordReset needs mailer/],
    [
      'a mailing flow without a page',
      { baseUrl },
      { flows: ['passwordReset'], mailer: SomeMailer },
      /flows\.passwordReset needs mail\.pages\.password_reset/,
    ],
    [
      'a step-up with signed cookies',
      { session: { scheme: 'signed-cookie' } },
      { flows: ['stepUp'] },
      /flows\.stepUp needs session: \{ scheme: 'database' \}/,
    ],
    [
      'second factors with signed cookies',
      { session: { scheme: 'signed-cookie' } },
      { flows: { twoFactor: { totp: {} } } },
      /flows\.twoFactor needs session: \{ scheme: 'database' \}/,
    ],
    ['a factor that there is not', {}, { flows: { twoFactor: { sms: {} } } }, /flows\.twoFactor\.sms is not an option/],
    ['true for a factor', {}, { flows: { twoFactor: { totp: true } } }, /flows\.twoFactor\.totp must be an object/],
    [
      'a setting that a factor does not have',
      {},
      { flows: { twoFactor: { totp: { digits: 8 } } } },
      /flows\.twoFactor\.totp\.digits is not an option/,
    ],
    [
      'an issuer with a colon',
      {},
      { flows: { twoFactor: { totp: { issuer: 'a:b' } } } },
      /flows\.twoFactor\.totp\.issuer must be 1 to 64/,
    ],
    [
      'two backup codes',
      {},
      { flows: { twoFactor: { backupCodes: { count: 2 } } } },
      /flows\.twoFactor\.backupCodes\.count must be a whole number from 4 to 20/,
    ],
    [
      'roles in place of a function',
      {},
      { flows: { twoFactor: { totp: {}, required: ['admin'] } } },
      /flows\.twoFactor\.required must be a function of the user/,
    ],
    ['a freshness of two days', {}, { flows: { freshness: minutes(2 * 24 * 60) } }, /flows\.freshness must be a day/],
    [
      'a directory without the operation',
      { baseUrl, mail },
      { flows: ['registration'], mailer: SomeMailer, lacks: (operation: string) => operation === 'register' },
      /flows\.registration needs register\(\) of your UserDirectory/,
    ],
  ])('refuses %s', (_, options, extras, remedy) => {
    expect(mistakes(options, extras).join('\n')).toMatch(remedy);
  });

  it('F55: factors need a directory that ends JWTs, where sessions are JWTs', () => {
    const provider = { id: 'idp', issuer: 'https://idp.example.com', clientId: 'notes' };
    const flows = { twoFactor: { totp: {} }, passkeys: { rpName: 'Notes' }, oidc: { providers: [provider] } };
    const extras = { flows, lacks: (operation: string) => operation === 'invalidateTokens' };
    expect(mistakes({ baseUrl, jwt: { sessions: true } }, extras)).toEqual(
      ['twoFactor', 'passkeys', 'oidc'].map((flow) =>
        expect.stringContaining(`flows.${flow} needs invalidateTokens() of your UserDirectory`),
      ),
    );
    expect(mistakes({ baseUrl }, extras)).toEqual([]);
  });
});
