import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { PostgresUserDirectory, SessionGuard, SessionService, TokenRevocationService } from 'nestjs-latchkey';
import { ApiKeyService } from 'nestjs-latchkey/flows';
import { withAuthPaths } from 'nestjs-latchkey/openapi';
import { signInAs } from 'nestjs-latchkey/testing';
import request from 'supertest';
import { createUser, PASSWORD, PLATFORMS } from '../support/app.js';
import { EVERY_FLOW } from '../support/every-flow.js';
import { emptyDocument, operationsOf, type Document } from '../support/openapi.js';
import { sharedTestApp } from '../support/shared-app.js';
import { PROVIDER } from '../support/token-kinds.js';

/** Such as get past the check of the body. */
const BODIES: Record<string, object> = {
  'api-keys': { name: 'Backup', scopes: ['notes:read'], expiresIn: 3_600 },
  'change-password': { currentPassword: PASSWORD, newPassword: 'a brand new password' },
  'change-email': { email: 'elsewhere@example.com' },
  'step-up': { method: 'password', password: PASSWORD },
  '2fa/totp/enable': { code: '123456' },
};

describe.each(PLATFORMS)('a request that has been let in, and then loses what let it in, on %s', (platform) => {
  const t = sharedTestApp({ platform, auth: EVERY_FLOW });
  afterEach(() => void jest.restoreAllMocks());

  /** From now on `meanwhile` happens to this account once the guard has let a request in. */
  const onceLetIn = (meanwhile: () => Promise<unknown>) => {
    const { canActivate } = Object.getOwnPropertyDescriptors(SessionGuard.prototype);
    jest.spyOn(SessionGuard.prototype, 'canActivate').mockImplementation(async function (this: SessionGuard, context) {
      const isIn = await canActivate.value!.call(this, context);
      await meanwhile();
      return isIn;
    });
  };

  it('F22: of a deleted account: no route has a fault, nor an answer that its document does not have', async () => {
    const document = withAuthPaths<Document>(emptyDocument('3.1.0'), t.app);
    const routes = operationsOf(document).filter(({ operation }) => operation.security?.length !== 0);
    const seen = new Map<string, number>();
    const unknown: string[] = [];
    let id = '';
    onceLetIn(() => t.db.query(`DELETE FROM users WHERE id = '${id}'`));
    for (const { method, path, operation } of routes) {
      ({ id } = await createUser(t.app));
      const cookie = await signInAs(t.app, id, { aal: 2 });
      const address = path.replace('{provider}', PROVIDER.provider).replaceAll(/\{\w+\}/g, id);
      const agent = request(t.url)[method as 'post'](address).set('Cookie', cookie);
      const body = Object.entries(BODIES).find(([end]) => path.endsWith(`/${end}`))?.[1];
      const { status, text } = await (method === 'get' || method === 'delete' ? agent : agent.send(body ?? {}));
      seen.set(path, status);
      // The provider of this test is at no address.
      const isFault = status >= 500 && !path.endsWith('/link');
      if (isFault || !operation.responses[status]) unknown.push(`${method} ${path}: ${status} ${text}`);
    }
    expect(unknown).toEqual([]);
    const ended = ['2fa/totp/setup', '2fa/email/enable', 'passkeys/options', 'api-keys', 'step-up'];
    expect(ended.map((end) => seen.get(`/auth/${end}`))).toEqual(ended.map(() => 401));
  });

  const ENDINGS: [string, (id: string) => Promise<unknown>][] = [
    ['its session', (id) => t.app.get(SessionService).revokeAllForUser(id)],
    ['everything', (id) => t.app.get(TokenRevocationService).revokeAllForUser(id)],
    ['its account', (id) => t.app.get(PostgresUserDirectory).disable(id)],
  ];
  it.each(ENDINGS)('F46: makes no API key and deletes no account if %s has ended by then', async (_, end) => {
    const { id } = await createUser(t.app);
    const cookie = await signInAs(t.app, id, { aal: 2 });
    onceLetIn(() => end(id));
    await request(t.url).post('/auth/api-keys').set('Cookie', cookie).send(BODIES['api-keys']).expect(401);
    jest.restoreAllMocks();
    expect(await t.app.get(ApiKeyService).listForUser(id)).toEqual([]);
    await t.app.get(PostgresUserDirectory).enable(id);
    const last = await signInAs(t.app, id, { aal: 2 });
    onceLetIn(() => end(id));
    await request(t.url).delete('/auth/account').set('Cookie', last).expect(401);
    expect(await t.app.get(PostgresUserDirectory).findById(id)).not.toBeNull();
  });
});
