import { describe, expect, it } from '@jest/globals';
import { withAuthPaths } from 'nestjs-latchkey/openapi';
import request from 'supertest';
import { PLATFORMS } from '../support/app.js';
import { EVERY_FLOW } from '../support/every-flow.js';
import { bodyFieldsOf, emptyDocument, operationsOf, type Document } from '../support/openapi.js';
import { sharedTestApp } from '../support/shared-app.js';
import { PROVIDER } from '../support/token-kinds.js';
import { presenterOf } from '../support/token-presenter.js';

/** What is decided by the application, and never by a body. */
const OWN_FIELDS = { roles: ['admin'], id: '1', emailVerifiedAt: 1, disabledAt: null, userId: '1' };
/** A provider may send what it likes beside its token (OpenID Connect Back-Channel Logout 1.0, 2.5). */
const OF_THE_PROVIDER = /backchannel-logout$/;

describe.each(PLATFORMS)('F21: what no body may have, on %s', (platform) => {
  const t = sharedTestApp({ platform, auth: EVERY_FLOW });

  it.each(Object.entries(OWN_FIELDS))(
    'F21: a field %s is refused and named by every route of the document with a body, and changes no account',
    async (field, value) => {
      const document = withAuthPaths<Document>(emptyDocument('3.1.0'), t.app);
      const takingBodies = operationsOf(document).filter(
        ({ path, operation }) => operation.requestBody && !OF_THE_PROVIDER.test(path),
      );
      expect(takingBodies.length).toBeGreaterThan(25);
      // Everybody may do all of it, so that nothing but the body is in the way.
      const { cookies } = await presenterOf(t, {});
      const accounts = () => t.db.query('SELECT * FROM users ORDER BY id');
      const before = await accounts();
      const taken: string[] = [];
      for (const { method, path, operation } of takingBodies) {
        expect(bodyFieldsOf(document, operation)).not.toContain(field);
        const filled = path.replace('{provider}', PROVIDER.provider).replaceAll(/\{\w+\}/g, '1');
        const agent = request(t.url);
        const answer = await agent[method as 'post'](filled)
          .set('Cookie', cookies)
          .send({ [field]: value });
        const { code, fields = {} } = answer.body as { code?: string; fields?: Record<string, string> };
        const refused = answer.status === 422 && code === 'INVALID_INPUT' && fields[field] === 'is not a field here';
        if (!refused) taken.push(`${method} ${path}: ${answer.status} ${answer.text}`);
      }
      expect(taken).toEqual([]);
      expect(await accounts()).toEqual(before);
    },
  );
});
