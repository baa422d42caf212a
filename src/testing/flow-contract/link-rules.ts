import assert from 'node:assert/strict';
import type { LinkedMailKind } from '../../mail/mail.js';
import type { AuthUser } from '../../user/user.directory.js';
import { is, isSame, type Answer, type Browser, type Contract, type Rule } from './contract.js';

/** Somebody who asks for a link, and then uses it. */
interface Asker {
  readonly browser: Browser;
  readonly to: string;
  /** Whose account it is about, if there is one yet. */
  readonly user?: AuthUser;
  readonly ask: (headers?: object) => Promise<Answer>;
  readonly use: (token: string) => Promise<Answer>;
}

interface LinkFlow {
  readonly kind: LinkedMailKind;
  /** What using the link asks of the directory. */
  readonly operation: 'register' | 'findByLogin' | 'setPasswordHash' | 'setEmail';
  readonly begin: (c: Contract) => Promise<Asker>;
}

/** The flows that mail a link to whoever asks for it. */
const LINK_FLOWS = {
  registration: {
    kind: 'registration',
    operation: 'register',
    begin: async (c) => {
      const [browser, to, password] = [await c.browser(), c.email(), c.password()];
      const ask = (headers?: object) => browser.send('POST', 'register', { email: to, password }, undefined, headers);
      return { browser, to, ask, use: (token) => browser.post('register/confirm', { token, password }) };
    },
  },
  magicLink: {
    kind: 'magic_link',
    operation: 'findByLogin',
    begin: async (c) => {
      const [browser, user] = [await c.browser(), await c.account(c.password())];
      const ask = (headers?: object) => browser.send('POST', 'magic-link', { email: user.email }, undefined, headers);
      return { browser, user, to: user.email, ask, use: (token) => browser.post('magic-link/confirm', { token }) };
    },
  },
  passwordReset: {
    kind: 'password_reset',
    operation: 'setPasswordHash',
    begin: async (c) => {
      const [browser, user, password] = [await c.browser(), await c.account(c.password()), c.password()];
      const ask = (headers?: object) =>
        browser.send('POST', 'forgot-password', { email: user.email }, undefined, headers);
      const use = (token: string) => browser.post('reset-password', { token, password });
      return { browser, user, to: user.email, ask, use };
    },
  },
  emailChange: {
    kind: 'email_change',
    operation: 'setEmail',
    begin: async (c) => {
      const [browser, user, to] = [await c.browser(), await c.account(c.password()), c.email()];
      const session = await c.logIn(user);
      const ask = (headers?: object) => browser.send('POST', 'change-email', { email: to }, session, headers);
      return { browser, user, to, ask, use: (token) => browser.post('confirm-email-change', { token }) };
    },
  },
} as const satisfies Readonly<Record<string, LinkFlow>>;

type LinkFlowName = keyof typeof LINK_FLOWS;
const NAMES = Object.keys(LINK_FLOWS) as LinkFlowName[];

const FORGED = {
  Host: 'elsewhere.example',
  'X-Forwarded-Host': 'elsewhere.example',
  Forwarded: 'host=elsewhere.example',
};

/** What holds for every flow that mails a link. */
export function linkRules(name: LinkFlowName): readonly Rule[] {
  const { kind, operation, begin }: LinkFlow = LINK_FLOWS[name];
  const asked = async (c: Contract, headers?: object) => {
    const asker = await begin(c);
    is(await asker.ask(headers), 202);
    return { ...asker, ...(await c.mail(kind, asker.to)) };
  };
  const rules: Rule[] = [
    [
      `F10: ${name}: the mailed token opens nothing elsewhere, and is not spent there`,
      async (c) => {
        const { token, use } = await asked(c);
        const bearer = { Authorization: `Bearer ${token}` };
        is(await (await c.browser()).send('GET', 'session', undefined, undefined, bearer), 401);
        for (const other of NAMES) {
          if (other === name || c.config.flows[other] === undefined) continue;
          is(await (await LINK_FLOWS[other].begin(c)).use(token), 400, 'INVALID_LINK');
        }
        is(await use(token), 200);
      },
    ],
    [
      `F15: ${name}: the answer waits for no mail, and one that is not sent costs nothing`,
      async (c) => {
        const { ask, to } = await begin(c);
        const answered = await ask();
        is(answered, 202);
        for (let i = 0; i < 3; i++) {
          const answer = await c.whileMailHangs(ask);
          isSame(answer, answered, 'a request whose mail is not sent');
        }
        const before = await c.mails(to);
        is(await ask(), 202);
        assert.equal(await c.mails(to), before + 1, 'after mails that were not sent there is none');
      },
    ],
    [
      `F18: ${name}: the mailed link is built from baseUrl, whatever the request says`,
      async (c) => {
        const { origin } = new URL(c.config.baseUrl!);
        const { link, text } = await asked(c, FORGED);
        assert.equal(new URL(link).origin, origin, 'the link leads elsewhere');
        assert(!text.includes('elsewhere'), 'the mail names what the request said');
      },
    ],
    [
      `F22: ${name}: while the directory is away it is 503, nothing is granted, and the link is not spent`,
      async (c) => {
        const { token, use, browser } = await asked(c);
        await c.whileAway(operation, async () => is(await use(token), 503));
        assert(!browser.has(c.sessionCookie), 'there is a session');
        is(await use(token), 200);
      },
    ],
    [
      `F24: ${name}: of several uses of one link at once one succeeds`,
      async (c) => {
        const { token, use } = await asked(c);
        const answers = await Promise.all([1, 2, 3, 4, 5].map(() => use(token)));
        const statuses = answers.map(({ status }) => status).toSorted((a, b) => a - b);
        assert.deepEqual(statuses, [200, 400, 400, 400, 400], 'not exactly one use succeeded');
      },
    ],
  ];
  // Who is about to register has nowhere to sign out.
  if (name !== 'registration')
    rules.push([
      `F25: ${name}: a link from before its user signed out everywhere is void`,
      async (c) => {
        const { token, use, user, browser } = await asked(c);
        is(await (await c.browser()).send('POST', 'logout-all', undefined, await c.logIn(user!)), 200);
        is(await use(token), 400, 'INVALID_LINK');
        assert(!browser.has(c.sessionCookie), 'there is a session');
      },
    ]);
  return rules;
}
