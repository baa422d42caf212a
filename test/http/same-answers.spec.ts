import { beforeAll, describe, expect, it } from '@jest/globals';
import { PostgresUserDirectory } from 'nestjs-latchkey';
import { withAuthPaths } from 'nestjs-latchkey/openapi';
import request, { type Response } from 'supertest';
import { createUser, PLATFORMS } from '../support/app.js';
import { EVERY_FLOW } from '../support/every-flow.js';
import { bodyFieldsOf, emptyDocument, operationsOf, type Document } from '../support/openapi.js';
import { newAddress } from '../support/registration.js';
import { sharedTestApp } from '../support/shared-app.js';

/** Everything that a client sees but the time of day; of what is random, the length. */
function seen({ status, text, headers }: Response) {
  const cookies = [headers['set-cookie'] ?? []].flat();
  const masked = cookies.map((one) => one.replace(/=[^;]+/, (value) => `=${value.length}`));
  return { status, text, headers: { ...headers, date: '', 'set-cookie': masked } };
}

describe.each(PLATFORMS)('F14: what anybody may ask about an address, on %s', (platform) => {
  const t = sharedTestApp({ platform, auth: { ...EVERY_FLOW, trustedProxies: ['127.0.0.1'] } });
  const kinds: [kind: string, email: string][] = [];
  beforeAll(async () => {
    const change: Record<string, (id: string) => Promise<unknown>> = {
      known: () => Promise.resolve(),
      disabled: (id) => t.app.get(PostgresUserDirectory).disable(id),
      passwordless: (id) => t.db.query(`UPDATE users SET password_hash = '!' WHERE id = $1`, [id]),
      unverified: (id) => t.db.query('UPDATE users SET email_verified_at = NULL WHERE id = $1', [id]),
    };
    for (const [kind, becomes] of Object.entries(change)) {
      const { id, email } = await createUser(t.app);
      await becomes(id);
      kinds.push([kind, email]);
    }
    kinds.push(['unknown', newAddress()]);
  });

  it('F14: every public route that takes an address gives the five kinds of account the same status, bytes and headers', async () => {
    const document = withAuthPaths<Document>(emptyDocument('3.1.0'), t.app);
    const routes = operationsOf(document).filter(
      ({ operation }) => operation.security?.length === 0 && bodyFieldsOf(document, operation).includes('email'),
    );
    const statuses: Record<string, number> = {};
    for (const { path, operation } of routes) {
      const isLogin = bodyFieldsOf(document, operation).includes('password') && !path.includes('register');
      const answers: [string, object][] = [];
      for (const [i, [kind, email]] of kinds.entries()) {
        const body = isLogin ? { email, password: 'none of the passwords' } : { email };
        // Each from an address of its own, so that what is left of the limits is the same.
        const answer = await request(t.url).post(path).set('X-Forwarded-For', `203.0.113.${i}`).send(body);
        answers.push([kind, seen(answer)]);
        statuses[path] = answer.status;
      }
      for (const [kind, answer] of answers) expect([path, kind, answer]).toEqual([path, kind, answers[0]![1]]);
    }
    expect(statuses).toEqual({
      '/auth/login': 401,
      '/auth/token': 401,
      '/auth/register': 202,
      '/auth/register/resend': 202,
      '/auth/forgot-password': 202,
      '/auth/magic-link': 202,
    });
  });
});
