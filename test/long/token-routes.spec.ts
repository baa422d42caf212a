import { writeFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from '@jest/globals';
import request, { type Response } from 'supertest';
import { createUser, PLATFORMS } from '../support/app.js';
import { routesOf, type AppRoute } from '../support/app-routes.js';
import { page } from '../support/docs.js';
import { EVERY_FLOW } from '../support/every-flow.js';
import { SESSION } from '../support/mailed-codes.js';
import { sharedTestApp } from '../support/shared-app.js';
import { PROVIDER, sessionCookie, tokenKinds, type IssuedToken } from '../support/token-kinds.js';
import { KeysController, TOKEN_PLACES } from '../support/token-places.js';
import { browser, BROWSER, presenterOf, type Presenter } from '../support/token-presenter.js';

const DOCS = 'docs/tokens.md';
const [BEGIN, END] = ['<!-- route-matrix -->', '<!-- /route-matrix -->'] as const;
const KINDS = tokenKinds();
/** Those that a call can end, and that are issued anew for each. */
const SESSIONS = ['a session', 'a session JWT'];
const CARRIERS = {
  Cookie: (token: string) => ({ Cookie: sessionCookie(token) }),
  'Authorization: Bearer': (token: string) => ({ Authorization: `Bearer ${token}` }),
};
/** Every field that a form of the pages has. */
const FIELDS = ['token', 'code', 'password', 'newPassword', 'email', 'next', 'name', 'id', 'provider'];
/** Of the form of a token, and none. */
const NONE = '-'.repeat(43);

const nameOf = ({ method, path }: AppRoute) => `${method.toUpperCase()} ${path.replace(/^\/auth\//, '')}`;
const outcome = ({ status, body, headers }: Response) =>
  [status, body.code as string | undefined, headers['location']].filter(Boolean).join(' ');
/** A page sends on who is not logged in, or has not proved enough. */
const isRefusal = (answered: string) =>
  /^(401 (UNAUTHENTICATED|INVALID_TOKEN|STEP_UP_REQUIRED)|303 (sign-in\?again|step-up))/.test(answered);

/** By platform: what opens each route, by who sends it how. */
const results = new Map<string, Map<string, string>>();

describe.each(PLATFORMS)('F10: every kind of token at every route of the application, on %s', (platform) => {
  const opened = new Map<string, string>();
  results.set(platform, opened);
  const t = sharedTestApp({ platform, auth: EVERY_FLOW, controllers: [KeysController] });
  let presenter: Presenter;
  const issued = new Map<string, IssuedToken>();
  beforeAll(async () => {
    presenter = await presenterOf(t, {});
    for (const kind of KINDS.keys()) if (!SESSIONS.includes(kind)) issued.set(kind, await issue(kind));
  });

  async function issue(kind: string, { user, handle } = presenter): Promise<IssuedToken> {
    return KINDS.get(kind)!(t, { user, handle, challengeId: await browser() });
  }
  async function call({ method, path }: AppRoute, headers: Record<string, string>, body?: object): Promise<string> {
    const place = path.replace(':provider', PROVIDER.provider).replace(/:\w+/, presenter.handle);
    const sent = request(t.url)[method](place).set(headers).redirects(0);
    return outcome(await (body ? sent.type('form').send(body) : sent));
  }
  const spent = async () => {
    const gone: string[] = [];
    for (const [kind, { isLive }] of issued) if (!(await isLive())) gone.push(kind);
    return gone;
  };

  it.each(Object.entries(CARRIERS))(
    'in the place of a session, as %s',
    async (carrier, headersOf) => {
      for (const route of routesOf(t.app)) {
        const without = await call(route, {});
        const counted: string[] = [];
        for (const kind of KINDS.keys()) {
          const own = SESSIONS.includes(kind)
            ? await issue(kind, { ...presenter, user: await createUser(t.app) })
            : null;
          const answered = await call(route, headersOf((own ?? issued.get(kind)!).token));
          if (answered !== without && !isRefusal(answered)) counted.push(kind);
        }
        const name = nameOf(route);
        // Who is not asked for a session may be told more with one, and with nothing else.
        if (!isRefusal(without)) expect([name, SESSIONS]).toEqual([name, expect.arrayContaining(counted)]);
        expect([name, await spent()]).toEqual([name, []]);
        const who =
          counted.length > 0 ? `${counted.join(' or ')} as \`${carrier}\`` : 'a login that is held, in no session';
        const open = isRefusal(without) ? who : 'no session needed';
        opened.set(name, [...new Set([opened.get(name) ?? open, open])].join(', '));
      }
    },
    120_000,
  );

  it('in every other field and cookie of a page: nothing is spent but by the page that the kind is for', async () => {
    const flows = ['2fa', 'passkey', 'register', 'oidc', 'link'].map((flow) => `${SESSION}-${flow}=${BROWSER}`);
    const sent = (token: string) => ({
      headers: { Cookie: [`${SESSION}-pages=${token}`, `${SESSION}-trusted=${token}`, ...flows].join('; ') },
      body: { chosen: 'totp', ...Object.fromEntries(FIELDS.map((field) => [field, token])) },
    });
    for (const route of routesOf(t.app).filter(({ method, path }) => method === 'post' && path.includes('/p/'))) {
      const name = nameOf(route);
      const own = Object.entries(TOKEN_PLACES).flatMap(([place, { takes }]) =>
        place.startsWith(`${name} `) ? [takes].flat() : [],
      );
      const none = sent(NONE);
      const without = await call(route, none.headers, none.body);
      for (const [kind, { token }] of issued) {
        if (own.includes(kind)) continue;
        const { headers, body } = sent(token);
        // A JWT is too long for some fields.
        const allowed = kind.includes('JWT') ? [without, '422'] : [without];
        expect([name, kind, allowed]).toEqual([name, kind, expect.arrayContaining([await call(route, headers, body)])]);
      }
      expect([name, await spent()]).toEqual([name, []]);
    }
  }, 120_000);
});

describe(DOCS, () => {
  it('has the list of what opens which route; `WRITE_DOCS=1` writes it', () => {
    const [one, other] = [...results.values()];
    expect(one).toEqual(other);
    const list = listOf(one!);
    const text = page(DOCS);
    const [from, to] = [text.indexOf(BEGIN), text.indexOf(END)];
    const written = text.slice(from + BEGIN.length, to).trim();
    if (process.env['WRITE_DOCS'] === '1' && written !== list) {
      writeFileSync(DOCS, `${text.slice(0, from)}${BEGIN}\n\n${list}\n\n${text.slice(to)}`);
    } else expect(written).toBe(list);
  });
});

function listOf(opened: ReadonlyMap<string, string>): string {
  const groups = [...new Set(opened.values())].map((who) => {
    const routes = [...opened].filter(([, by]) => by === who).map(([name]) => `\`${name}\``);
    return `- ${who}: ${routes.join(', ')}`;
  });
  return groups.join('\n');
}
