import { describe, expect, it } from '@jest/globals';
import { mistakesOf, withSecrets } from '../../test/support/config-mistakes.js';
import { AuthConfig } from './auth-config.js';

const routes = { path: '/auth/' };
const mistakes = (pages: object, options: object = {}, where: object | null = routes) =>
  mistakesOf(withSecrets(options), where ?? undefined, { flows: { pages } });

describe('flows.pages', () => {
  it('has every text, and no stylesheet or layout of its own', () => {
    const texts = { signIn: 'Log in', back: undefined };
    const { flows } = AuthConfig.from(withSecrets({}) as never, { routes, flows: { pages: { texts } } });
    const { pages } = flows;
    expect(pages).toMatchObject({ routes: true, stylesheet: undefined, layout: undefined });
    expect(pages!.texts).toMatchObject({ lang: 'en', signIn: 'Log in', back: 'Back' });
    expect(Object.isFrozen(pages!.texts)).toBe(true);
  });

  it('are where the links of mails lead, unless that is written', () => {
    class Mailer {}
    const mail = { pages: { registration: '/welcome' } };
    const options = withSecrets({ baseUrl: 'https://app.example.com', mail });
    const config = AuthConfig.from(options as never, {
      routes,
      mailer: Mailer,
      flows: { registration: {}, emailChange: {}, passwordReset: {}, pages: {} },
    });
    expect(config.mail!.pages).toEqual({
      registration: '/welcome',
      password_reset: '/auth/p/reset',
      email_change: '/auth/p/confirm-email',
      email_changed: '/auth/p/revert-email',
    });
  });

  it.each(['registration', 'passwordReset', 'emailChange', 'twoFactor', 'passkeys', 'magicLink'] as const)(
    'leave no mail of flows.%s without its page',
    (flow) => {
      class Mailer {}
      const needs = withSecrets({ baseUrl: 'https://app.example.com' });
      const own = { twoFactor: { totp: { issuer: 'Notes' } }, passkeys: { rpName: 'Notes' } }[String(flow)] ?? {};
      const flows = { passwordReset: {}, [flow]: own };
      expect(mistakesOf(needs, routes, { mailer: Mailer, flows: { ...flows, pages: {} } })).toEqual([]);
      // Without the pages each of these flows needs them.
      expect(mistakesOf(needs, routes, { mailer: Mailer, flows: { [flow]: own } })).toContainEqual(
        expect.stringContaining('needs mail.pages.'),
      );
    },
  );

  it.each<[string, string, object]>([
    ['emailChange', 'password_reset', { emailChange: {} }],
    ['twoFactor', 'password_reset', { twoFactor: { totp: { issuer: 'Notes' } } }],
    ['passkeys', 'password_reset', { passkeys: { rpName: 'Notes' } }],
    ['emailChange', 'password_reset', { emailChange: {}, passwordReset: { routes: false } }],
    ['registration', 'registration', { registration: { routes: false } }],
  ])('a mail of flows.%s links no page that is not mounted: %s, with %j', (flow, kind, named) => {
    class Mailer {}
    const options = withSecrets({ baseUrl: 'https://app.example.com' });
    const extras = { mailer: Mailer, flows: { ...named, pages: {} } };
    const owner = kind === 'registration' ? 'registration' : 'passwordReset';
    expect(mistakesOf(options, routes, extras)).toContainEqual(
      `flows.${flow} needs mail.pages.${kind}: the path of your page that the mailed link opens. ` +
        `flows.pages has one if flows.${owner} is named too, with its routes.`,
    );
    const ofYours = { ...options, mail: { pages: { [kind]: '/yours' } } };
    expect(mistakesOf(ofYours, routes, extras)).toEqual([]);
  });

  it.each<[object, string]>([
    [{ stylesheet: 'https://cdn.example/brand.css' }, 'flows.pages.stylesheet must be a path of this application'],
    [{ stylesheet: '//cdn.example/brand.css' }, 'flows.pages.stylesheet must be a path of this application'],
    [{ layout: '<header>' }, 'flows.pages.layout must be a function'],
    [{ texts: { signin: 'Log in' } }, 'flows.pages.texts.signin is not an option'],
    [{ texts: { signIn: ' ' } }, 'flows.pages.texts.signIn must be a text'],
    [{ texts: { signIn: () => 'x' } }, 'flows.pages.texts.signIn must be a text'],
    [{ texts: 'German' }, 'flows.pages.texts must be an object'],
    [{ theme: 'dark' }, 'flows.pages.theme is not an option'],
  ])('%j is a mistake', (pages, remedy) => {
    expect(mistakes(pages)).toEqual([expect.stringContaining(remedy)]);
  });

  it('those for operators need the others', () => {
    const flows = (pages: object) => mistakesOf(withSecrets({}), routes, { flows: { ...pages, admin: {} } });
    const needed = [expect.stringMatching(/^flows\.admin needs flows\.pages, with its routes/)];
    expect(flows({ pages: {} })).toEqual([]);
    expect(flows({})).toEqual(needed);
    expect(flows({ pages: { routes: false } })).toEqual(needed);
    expect(mistakesOf(withSecrets({}), routes, { flows: { admin: { routes: false } } })).toEqual([]);
  });

  it('need routes, and sessions that say how their users were authenticated', () => {
    expect(mistakes({}, {}, null)).toEqual([expect.stringContaining('flows.pages needs routes')]);
    expect(mistakes({}, { session: { scheme: 'signed-cookie' } })).toEqual([
      expect.stringContaining("flows.pages needs session: { scheme: 'database' }"),
    ]);
  });
});
