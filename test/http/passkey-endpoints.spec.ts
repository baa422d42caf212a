import { describe, expect, it } from '@jest/globals';
import request from 'supertest';
import { PLATFORMS, startTestApp } from '../support/app.js';
import { ORIGIN, PASSKEYS } from '../support/passkeys.js';

describe.each(PLATFORMS)('GET /.well-known/passkey-endpoints on %s', (platform) => {
  it.each([
    ['leads password managers to the page for passkeys', { page: '/account/passkeys' }, 200],
    ['is not answered without one', {}, 404],
  ])('%s', async (_, page, status) => {
    const flows = { ...PASSKEYS.flows, passkeys: { ...PASSKEYS.flows.passkeys, ...page } };
    const t = await startTestApp({ platform, auth: { ...PASSKEYS, flows } });
    try {
      const { body } = await request(t.url).get('/.well-known/passkey-endpoints').expect(status);
      const url = `${ORIGIN}/account/passkeys`;
      if (status === 200) expect(body).toEqual({ enroll: url, manage: url });
    } finally {
      await t.close();
    }
  });
});
