import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { PostgresUserDirectory } from 'nestjs-latchkey';
import { signInAs } from 'nestjs-latchkey/testing';
import { IdentityStore } from 'nestjs-latchkey/engine';
import { createUser, PASSWORD, PLATFORMS } from '../support/app.js';
import { identityOf } from '../support/identities.js';
import { OPENED_PAGES } from '../support/page-routes.js';
import { PAGES, PlainBrowser } from '../support/pages.js';
import { sharedTestApp } from '../support/shared-app.js';
import { startStubProvider, STUB_CLIENT } from '../support/stub-provider.js';
import { enrol } from '../support/two-factor.js';

const stub = await startStubProvider();
afterAll(() => stub.close());

/** How many statements each page may cost, by the last part of its path. */
const STATEMENTS: Readonly<Record<string, number>> = {
  // Forms for anybody, which show nothing of an account.
  'sign-in': 0,
  register: 0,
  confirm: 0,
  resend: 0,
  forgot: 0,
  reset: 0,
  'confirm-email': 0,
  'revert-email': 0,
  'revert-factor': 0,
  'ask-link': 0,
  link: 0,
  // The login that is held is known by its cookie, and is looked up when the form is sent.
  'two-factor': 0,
  enrol: 0,
  // Forms for who is signed in: the session, with its user.
  email: 1,
  password: 1,
  'delete-account': 1,
  // It leads to `authenticator`.
  'backup-codes': 1,
  // The session, and the list.
  passkeys: 2,
  identities: 2,
  'api-keys': 2,
  // The session, the devices, and what has happened.
  account: 3,
  // The session, the authenticator, the backup codes, the codes by mail, whether there is a passkey, and the trusted
  // browsers.
  authenticator: 6,
  // The session, a part of the list, and the health: the time of the database, and a read of the sessions.
  admin: 4,
  // The session, the account, its sessions, and what has happened.
  'admin-user': 4,
  // The session, and a part of the list.
  'admin-events': 2,
  'admin-limits': 2,
  // The session, whether there is a password, four factors, and the identities.
  'step-up': 7,
};

it('each page has its number', () => {
  expect(Object.keys(STATEMENTS).toSorted()).toEqual(OPENED_PAGES.toSorted());
});

describe.each(PLATFORMS)(
  'a page is one answer of at most 30 kB, for as many statements as it needs, on %s',
  (platform) => {
    const providers = [{ id: 'stub', issuer: stub.issuer, ...STUB_CLIENT }];
    const auth = { ...PAGES, session: { remembered: {} }, flows: { ...PAGES.flows, oidc: { providers }, admin: {} } };
    const t = sharedTestApp({ platform, auth });
    /** Signed in, with an authenticator, backup codes, an account at the provider and ten more sessions. */
    let ada: PlainBrowser;
    /** Where the pages of a login lead that is held. */
    let held: string | null;
    let mustEnrol: PlainBrowser;
    let userId: string;

    beforeAll(async () => {
      const user = await createUser(t.app);
      await t.app.get(PostgresUserDirectory).setRoles(user.id, ['admin']);
      const { cookie } = await enrol(t, user);
      userId = user.id;
      await t.app.get(IdentityStore).add(identityOf(user, { provider: 'stub', issuer: stub.issuer }));
      ada = new PlainBrowser(t.url);
      for (const one of cookie.split('; ')) ada.take(one);
      for (let i = 0; i < 10; i++) await signInAs(t.app, user.id, { aal: 2 });
      ({ to: held } = await ada.post('sign-in', { email: user.email, password: PASSWORD }));
      const { email } = await createUser(t.app, 'must-enrol@example.com');
      mustEnrol = new PlainBrowser(t.url);
      await mustEnrol.post('sign-in', { email, password: PASSWORD });
    });

    it.each(Object.entries(STATEMENTS))('%s: %i', async (page, most) => {
      const browser = page === 'enrol' ? mustEnrol : ada;
      const address = { 'two-factor': held!, 'admin-user': `admin-user?id=${userId}` }[page] ?? page;
      // What is decided once, and when a session was last used.
      await browser.open(address);
      t.queries.reset();
      const { status, text } = await browser.open(address);
      // The audit writes what it has heard when it likes.
      const asked = t.queries.statements.filter((text) => !text.startsWith('INSERT INTO "auth_audit_events"'));
      expect([status, asked.length]).toEqual([page === 'backup-codes' ? 303 : 200, most]);
      expect(Buffer.byteLength(text)).toBeLessThan(30_000);
      // Nothing else is needed for it: one stylesheet and one script, which every page has in common.
      const parts = [...text.matchAll(/\s(?:src|href)="([^"#]*)"/g)].map(([, part]) => part!);
      const loaded = parts.filter((part) => /\.(?:css|js)/.test(part));
      expect(loaded).toHaveLength(status === 200 ? 2 : 0);
      expect(text).not.toMatch(/<(?:img|iframe|object|video|audio)[\s>]/);
    });
  },
);
