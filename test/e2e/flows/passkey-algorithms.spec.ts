import { beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { AuthUser } from 'nestjs-latchkey';
import request from 'supertest';
import { createUser, PASSWORD, PLATFORMS } from '../../support/app.js';
import { SoftwareAuthenticator, type Tampering } from '../../support/authenticator.js';
import { coseKeys } from '../../support/cose-keys.js';
import { ORIGIN, cookiesOf, PasskeyClient, PASSKEYS } from '../../support/passkeys.js';
import { sharedTestApp } from '../../support/shared-app.js';

describe.each(PLATFORMS)('the keys of passkeys on %s', (platform) => {
  const t = sharedTestApp({ platform, auth: PASSKEYS });
  let client: PasskeyClient;
  let ada: AuthUser;
  beforeAll(() => {
    client = new PasskeyClient(t);
  });
  beforeEach(async () => {
    ada = await createUser(t.app);
  });

  describe.each([
    ['ES256', -7],
    ['EdDSA', -8],
    ['RS256', -257],
  ] as const)('%s', (_, algorithm) => {
    const made = () => new SoftwareAuthenticator(ORIGIN, { algorithm });

    it('F72: is offered, logs in, and is a second factor', async () => {
      const { body: options } = await client.post('passkeys/options', {}, [await client.signIn(ada)]);
      expect(options.pubKeyCredParams).toContainEqual({ type: 'public-key', alg: algorithm });
      const { authenticator } = await client.register(ada, { authenticator: made() });
      const { status, body } = await client.logIn(authenticator);
      expect([status, body.user?.id]).toEqual([200, ada.id]);
      const held = await client.post('login', { email: ada.email, password: PASSWORD }).expect(200);
      const { token } = held.body as { token: string };
      const { body: asked } = await client.post('2fa/passkey/options', { token }, cookiesOf(held)).expect(200);
      const second = { token, method: 'passkey', response: authenticator.use(asked) };
      const done = await client.post('2fa/verify', second, cookiesOf(held)).expect(200);
      const { body: current } = await request(t.url).get('/auth/session').set('Cookie', cookiesOf(done)).expect(200);
      expect(current.session).toMatchObject({ aal: 2, amr: ['password', 'passkey'] });
    });

    it.each<[string, () => Tampering]>([
      ['another key of its kind', () => ({ key: coseKeys(algorithm).privateKey })],
      ['a key of another kind', () => ({ key: coseKeys(algorithm === -8 ? -7 : -8).privateKey })],
      ['a signature with a bit that is flipped', () => ({ signature: (bytes) => flipped(bytes, bytes.length - 1) })],
      ['a signature of one byte', () => ({ signature: () => Buffer.alloc(1) })],
      ['a signature of zeros', () => ({ signature: (bytes) => Buffer.alloc(bytes.length) })],
      ['other data than the signed', () => ({ authenticatorData: (data) => flipped(data, 33) })],
    ])('F71: opens nothing with %s', async (__, lie) => {
      const { authenticator } = await client.register(ada, { authenticator: made() });
      const refused = await client.logIn(authenticator, lie());
      expect([refused.status, refused.body.code]).toEqual([401, 'INVALID_CREDENTIALS']);
      expect((await client.logIn(authenticator)).status).toBe(200);
    });
  });

  it.each<[string, [label: number, value: unknown], status: number]>([
    ['an algorithm that is not offered (ES384)', [3, -35], 400],
    ['no algorithm', [3, 0], 400],
    ['a point that is not on its curve', [-2, Buffer.alloc(32, 1)], 201],
  ])('F71: a passkey with %s logs nobody in', async (_, [label, value], status) => {
    const authenticator = new SoftwareAuthenticator(ORIGIN);
    const cose = new Map([...authenticator.keys.cose, [label, value]]);
    Object.assign(authenticator, { keys: { ...authenticator.keys, cose } });
    const cookie = await client.signIn(ada);
    const { body: options } = await client.post('passkeys/options', {}, [cookie]).expect(200);
    // No attestation is asked for, so nothing proves that a new key is of use.
    await client.post('passkeys', { response: authenticator.register(options) }, [cookie]).expect(status);
    expect((await client.logIn(authenticator)).status).toBe(401);
  });
});

function flipped(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[at]! ^= 1;
  return copy;
}
