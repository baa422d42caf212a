import { afterAll, describe, expect, it } from '@jest/globals';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { PostgresUserDirectory } from 'nestjs-latchkey';
import { signInAs } from 'nestjs-latchkey/testing';
import request from 'supertest';
import { createUser, PLATFORMS } from '../support/app.js';
import { POSTED_PAGES } from '../support/page-routes.js';
import { PAGES } from '../support/pages.js';
import { NO_IP_LIMITS } from '../support/registration.js';
import { sharedTestApp } from '../support/shared-app.js';
import { startStubProvider, STUB_CLIENT } from '../support/stub-provider.js';

const FIELDS =
  'email password next remember code token chosen method trust name scopes days id handle newPassword current'.split(
    ' ',
  );
/** `String(of)` and `Number(of)` throw. */
const NO_TEXT = { toString: 1, valueOf: 1 };
const filledWith = (value: unknown) => JSON.stringify(Object.fromEntries(FIELDS.map((name) => [name, value])));
const BODIES = [
  filledWith(NO_TEXT),
  filledWith([1, null, { a: NO_TEXT }]),
  filledWith(null),
  filledWith(1e308),
  filledWith('x\u0000\ud800'),
  '[1, 2]',
];
const QUERIES = ['?id[toString]=1&id[valueOf]=1&handle[toString]=1&handle[valueOf]=1', '?id=a&id=b&handle=a&handle=b'];

const INPUTS = [...BODIES.map((body) => ({ body, query: '' })), ...QUERIES.map((query) => ({ body: '{}', query }))];

const stub = await startStubProvider();
afterAll(() => stub.close());

// With `extended`, a query has objects in it.
describe.each([...PLATFORMS, 'express, query parser extended'])('pages on %s', (named) => {
  const platform = named === 'fastify' ? 'fastify' : 'express';
  const providers = [{ id: 'stub', issuer: stub.issuer, ...STUB_CLIENT, signUp: true }];
  const t = sharedTestApp({
    platform,
    auth: { ...PAGES, rateLimits: NO_IP_LIMITS, flows: { ...PAGES.flows, oidc: { providers }, admin: {} } },
    startAt: Date.now(),
    configure: (app) => {
      if (named.endsWith('extended')) (app as NestExpressApplication).set('query parser', 'extended');
    },
  });

  const adminsCookie = async () => {
    const { id } = await createUser(t.app);
    await t.app.get(PostgresUserDirectory).setRoles(id, ['admin']);
    return signInAs(t.app, id);
  };

  const isLive = async (cookie: string) =>
    (await request(t.url).get('/auth/session').set('Cookie', cookie)).status === 200;

  it.each([true, false])('F87: no body and no query is a fault of the server, logged in: %s', async (isLoggedIn) => {
    const faults: string[] = [];
    let cookie = '';
    for (const form of POSTED_PAGES) {
      for (const { body, query } of INPUTS) {
        // Some of the forms end it, or the account.
        if (isLoggedIn && !(await isLive(cookie))) cookie = await adminsCookie();
        const { status } = await request(t.url)
          .post(`/auth/p/${form}${query}`)
          .set({ 'Sec-Fetch-Site': 'same-origin', 'Content-Type': 'application/json', Cookie: cookie })
          .send(body);
        if (status >= 500) faults.push(`${form}${query} ${body}: ${status}`);
      }
    }
    expect(faults).toEqual([]);
  });
});
