import { describe, expect, it } from '@jest/globals';
import { withAuthPaths } from 'nestjs-latchkey/openapi';
import { signInAs } from 'nestjs-latchkey/testing';
import request from 'supertest';
import { createUser, PLATFORMS } from '../support/app.js';
import { EVERY_FLOW } from '../support/every-flow.js';
import { bodyFieldsOf, emptyDocument, operationsOf, type Document } from '../support/openapi.js';
import { sharedTestApp } from '../support/shared-app.js';
import { PROVIDER } from '../support/token-kinds.js';

/** As JSON, since `JSON.stringify` writes no `__proto__` and no number beyond a double. */
const VALUES = [
  'null',
  'true',
  '1e999',
  '-1',
  '0.5',
  '9007199254740993',
  '""',
  '"\\u0000"',
  '"a\\u0000@example.com"',
  '"\\ud800"',
  '"\\udfff@example.com"',
  '"\\u202e"',
  '"__proto__"',
  '"constructor"',
  `"${'a'.repeat(60_000)}"`,
  `"${'A'.repeat(43)}"`,
  '[]',
  '["a"]',
  '[null, {}]',
  '{}',
  '{"__proto__": {"email": "a@example.com"}}',
  '{"toString": 1, "valueOf": 1}',
  '{"length": 1e308, "0": "a"}',
  `${'['.repeat(500)}${']'.repeat(500)}`,
];
/** Fastify reads `null` as no body. */
const WHOLE = ['1', '"a"', '[]', '[{}]', '{"__proto__": {"isAdmin": true}}', '{"constructor": {"prototype": {}}}'];
/** In the place of an id, a handle or a provider, as the address has it. */
const PLACES = [
  '%00',
  '%ff',
  '%ed%a0%80',
  '__proto__',
  'constructor',
  '..%2f..',
  '%2e%2e',
  'a'.repeat(2_000),
  '%e2%80%ae',
  "'",
  '*',
];

describe.each(PLATFORMS)('F21: values that a client makes up, on %s', (platform) => {
  const t = sharedTestApp({ platform, auth: EVERY_FLOW });
  const routes = () => operationsOf(withAuthPaths<Document>(emptyDocument('3.1.0'), t.app));
  const send = async (method: string, path: string, cookie: string, body?: string) => {
    const agent = request(t.url)[method as 'post'](path).set('Cookie', cookie);
    return body === undefined ? agent : agent.set('Content-Type', 'application/json').send(body);
  };
  const filled = (path: string, by: string) => path.replace('{provider}', PROVIDER.provider).replaceAll(/\{\w+\}/g, by);

  it.each([true, false])(
    'no body is a fault, and none does anything, logged in: %s',
    async (isLoggedIn) => {
      const { id } = await createUser(t.app);
      const document = withAuthPaths<Document>(emptyDocument('3.1.0'), t.app);
      const accounts = () => t.db.query('SELECT * FROM users ORDER BY id');
      const before = await accounts();
      const seen: string[] = [];
      let bodies = 0;
      for (const { method, path, operation } of routes().filter((one) => one.operation.requestBody)) {
        const cookie = isLoggedIn ? await signInAs(t.app, id, { aal: 2 }) : '';
        const fields = bodyFieldsOf(document, operation);
        const each = fields.flatMap((field) =>
          VALUES.map((value) => {
            const others = fields
              .filter((one) => one !== field)
              .map((one) => `${JSON.stringify(one)}: "${'A'.repeat(43)}"`);
            return `{${[`${JSON.stringify(field)}: ${value}`, ...others].join(', ')}}`;
          }),
        );
        for (const body of [...WHOLE, ...each]) {
          bodies++;
          const { status } = await send(method, filled(path, '1'), cookie, body);
          if (status >= 500 || (status < 300 && status !== 202))
            seen.push(`${method} ${path} ${status} ${body.slice(0, 120)}`);
        }
      }
      expect(seen).toEqual([]);
      expect(await accounts()).toEqual(before);
      expect(bodies).toBeGreaterThan(1_000);
    },
    120_000,
  );

  it('no part of an address is a fault', async () => {
    const { id } = await createUser(t.app);
    const seen: string[] = [];
    for (const { method, path } of routes()) {
      for (const place of PLACES) {
        if (!path.includes('{')) continue;
        const cookie = await signInAs(t.app, id, { aal: 2 });
        const address = path.replaceAll(/\{\w+\}/g, place);
        const { status } = await send(method, address, cookie);
        if (status >= 500 || status < 300) seen.push(`${method} ${address.slice(0, 80)} ${status}`);
      }
    }
    expect(seen).toEqual([]);
    expect(Object.keys({})).toEqual([]);
    expect(({} as { isAdmin?: boolean }).isAdmin).toBeUndefined();
  }, 120_000);
});
