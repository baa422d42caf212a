import { generateKeyPairSync } from 'node:crypto';
import { beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import {
  EphemeralTokenService,
  hours,
  minutes,
  PostgresUserDirectory,
  SessionService,
  type AuthUser,
} from 'nestjs-latchkey';
import { MemoryMailer, signInAs } from 'nestjs-latchkey/testing';
import request from 'supertest';
import { createUser, PASSWORD, PLATFORMS } from '../../support/app.js';
import { eventsHeard, sharedTestApp } from '../../support/shared-app.js';
import { SoftwareAuthenticator, type Tampering } from '../../support/authenticator.js';
import { cookiesOf, ORIGIN, PasskeyClient, PASSKEYS } from '../../support/passkeys.js';

/** One lie for each thing that a proof says (WebAuthn Level 3, section 7.2). */
const LIES: Readonly<Record<string, Tampering>> = {
  'the signature': { signature: (bytes) => flipped(bytes, bytes.length - 1) },
  'a signature that is none': { signature: () => Buffer.from('00', 'hex') },
  'the key': { key: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey },
  'the signed data': { authenticatorData: (data) => flipped(data, 33) },
  'the origin': { origin: 'https://app.example.com.evil.example' },
  'the scheme of the origin': { origin: 'http://app.example.com' },
  'the rpId': { rpId: 'evil.example' },
  'the type': { type: 'webauthn.create' },
  'the type of the credential': { credentialType: 'password' },
  'id and rawId': { rawId: 'b3RoZXI' },
  'a frame of another site': { clientData: { crossOrigin: true } },
  'a frame of another site, by its top': { clientData: { topOrigin: 'https://evil.example' } },
  'the challenge': { challenge: 'A'.repeat(43) },
  'no presence': { userPresent: false, userVerified: false },
};

describe.each(PLATFORMS)('passkeys on %s', (platform) => {
  const t = sharedTestApp({ platform, auth: PASSKEYS });
  const heard = eventsHeard(t);
  let client: PasskeyClient;
  let ada: AuthUser;
  let cookie: string;

  beforeAll(() => {
    client = new PasskeyClient(t);
  });
  beforeEach(async () => {
    t.clock.advance(minutes(20));
    ada = await createUser(t.app);
    cookie = await signInAs(t.app, ada.id);
    await mails();
    heard.length = 0;
  });

  const types = () => heard.map(({ type }) => type);
  const mails = async () => (await MemoryMailer.of(t.app)).sent.splice(0).map(({ kind, to }) => [kind, to.address]);
  const get = (path: string, by = cookie) => request(t.url).get(`/auth/${path}`).set('Cookie', by);
  const remove = (id: string, by: string) => request(t.url).delete(`/auth/passkeys/${id}`).set('Cookie', by);
  const stored = async (authenticator: SoftwareAuthenticator) =>
    (
      await t.db.query(`SELECT sign_count, last_used_at IS NOT NULL AS used, clone_suspected_at IS NOT NULL AS suspected
        FROM auth_passkeys WHERE credential_id = '${authenticator.credentialId}'`)
    )[0];
  const live = async (by: string) => (await get('session', by)).status === 200;

  describe('adding', () => {
    it('makes one with the options, tells the owner, and shows it in the list', async () => {
      const own = await client.signIn(ada);
      const { body: options } = await client.post('passkeys/options', {}, [own]).expect(200);
      expect(options).toEqual({
        rp: { name: 'Notes', id: 'app.example.com' },
        user: { id: expect.stringMatching(/^[\w-]{86}$/), name: ada.email, displayName: ada.email },
        challenge: expect.stringMatching(/^[\w-]{43}$/),
        pubKeyCredParams: [-7, -8, -257].map((alg) => ({ type: 'public-key', alg })),
        timeout: minutes(5),
        excludeCredentials: [],
        authenticatorSelection: { residentKey: 'required', requireResidentKey: true, userVerification: 'preferred' },
        attestation: 'none',
      });
      const response = new SoftwareAuthenticator(ORIGIN).register(options);
      const added = await client.post('passkeys', { response, name: ' Laptop ' }, [own]).expect(201);
      const shown = {
        id: expect.any(String),
        name: 'Laptop',
        createdAt: new Date(t.clock.now()).toISOString(),
        lastUsedAt: null,
        cloneSuspectedAt: null,
        aaguid: null,
        transports: ['internal', 'hybrid'],
        multiDevice: false,
        backedUp: false,
      };
      expect(added.body).toEqual(shown);
      expect((await get('passkeys', own).expect(200)).body).toEqual([shown]);
      expect(heard).toContainEqual(
        expect.objectContaining({ type: 'factor.added', userId: ada.id, factor: 'passkey', ip: '127.0.0.1' }),
      );
      expect((await MemoryMailer.of(t.app)).last('first_factor_added').text).toContain(': passkey "Laptop". From');
      expect(await mails()).toEqual([['first_factor_added', ada.email]]);
      // F70: the challenge is spent.
      await client.post('passkeys', { response }, [own]).expect(400);
    });

    it('F55: ends the other sessions, and this one goes on', async () => {
      const [own, other] = [await client.signIn(ada), await client.signIn(ada)];
      await client.register(ada, { by: own });
      expect([await live(own), await live(other), await live(cookie)]).toEqual([true, false, false]);
    });

    it('gives all passkeys of a user one handle, and asks authenticators that have one already for none', async () => {
      const { authenticator } = await client.register(ada);
      const [row] = await t.db.query(`SELECT user_handle FROM auth_passkeys WHERE user_id = '${ada.id}'`);
      const handle = String(row!['user_handle']);
      const { body } = await client.post('passkeys/options', {}, [await client.signIn(ada)]).expect(200);
      expect(body.user.id).toBe(handle);
      expect(body.excludeCredentials).toEqual([
        { type: 'public-key', id: authenticator.credentialId, transports: ['internal', 'hybrid'] },
      ]);
      expect(Buffer.from(handle, 'base64url')).toHaveLength(64);
    });

    it('F70: refuses an invented challenge, one of another session, one that was replaced, and one of a login', async () => {
      const { body: options } = await client.post('passkeys/options', {}, [cookie]).expect(200);
      const device = new SoftwareAuthenticator(ORIGIN);
      const add = (challenge: string, by = cookie) =>
        client.post('passkeys', { response: device.register(options, { challenge }) }, [by]);
      await add('A'.repeat(43)).expect(400);
      await add(options.challenge, await signInAs(t.app, ada.id)).expect(400);
      const other = await createUser(t.app);
      await add(options.challenge, await signInAs(t.app, other.id)).expect(400);
      const { options: ofLogin } = await client.loginOptions();
      await add(ofLogin.challenge).expect(400);
      const { body: later } = await client.post('passkeys/options', {}, [cookie]).expect(200);
      const refused = await add(options.challenge).expect(400);
      expect(refused.body).toMatchObject({ code: 'PASSKEY_REFUSED' });
      // Negative control, and the end of its life.
      await add(later.challenge).expect(201);
      const by = await client.signIn(ada);
      const { body: last } = await client.post('passkeys/options', {}, [by]).expect(200);
      t.clock.advance(minutes(5));
      await add(last.challenge, by).expect(400);
    });

    it.each(Object.entries(LIES).filter(([name]) => !/sign|key/.test(name)))(
      'F71: stores nothing and spends nothing if %s is wrong',
      async (name, lie) => {
        const { body: options } = await client.post('passkeys/options', {}, [cookie]).expect(200);
        const device = new SoftwareAuthenticator(ORIGIN);
        const wrong = name === 'the type' ? { type: 'webauthn.get' } : lie;
        const refused = await client.post('passkeys', { response: device.register(options, wrong) }, [cookie]);
        // What is no passkey at all is a matter of form.
        expect([refused.status, refused.body.code]).toEqual(
          name === 'the type of the credential' ? [422, 'INVALID_INPUT'] : [400, 'PASSKEY_REFUSED'],
        );
        expect(await stored(device)).toBeUndefined();
        expect(types()).not.toContain('factor.added');
        // It was the lie.
        await client.post('passkeys', { response: device.register(options) }, [cookie]).expect(201);
      },
    );

    it('F73: refuses a credential id that is registered, whosever it is', async () => {
      const { authenticator } = await client.register(ada);
      const eve = await createUser(t.app);
      const by = await client.signIn(eve);
      const { body: options } = await client.post('passkeys/options', {}, [by]).expect(200);
      const refused = await client.post('passkeys', { response: authenticator.register(options) }, [by]).expect(400);
      expect(refused.body.code).toBe('PASSKEY_REFUSED');
      expect((await get('passkeys', by)).body).toEqual([]);
    });

    it('F73: needs a fresh session that has proved as much as the account can, and no held login', async () => {
      const stale = await signInAs(t.app, ada.id, { authenticatedAt: t.clock.now() - hours(1) });
      const refused = await client.post('passkeys/options', {}, [stale]).expect(401);
      expect(refused.body).toMatchObject({
        code: 'STEP_UP_REQUIRED',
        required: { maxAge: 900 },
        methods: ['password'],
      });
      const { body: options } = await client.post('passkeys/options', {}, [cookie]).expect(200);
      const response = new SoftwareAuthenticator(ORIGIN).register(options);
      await client.register(ada, { by: cookie });
      // From before there was a second factor: one is not enough any more.
      const again = await client.post('passkeys', { response }, [cookie]).expect(401);
      expect(again.body).toMatchObject({ code: 'STEP_UP_REQUIRED', required: { aal: 2 }, methods: ['passkey'] });
      const held = await client.post('login', { email: ada.email, password: PASSWORD }).expect(200);
      expect(held.body).toMatchObject({ status: 'second_factor', methods: ['passkey'] });
      for (const path of ['passkeys/options', 'passkeys']) {
        await client.post(path, { response }, cookiesOf(held)).expect(401);
        await client.post(path, { response }).set('Authorization', `Bearer ${held.body.token}`).expect(401);
      }
    });

    it('stops at 20, and says so', async () => {
      const { id } = await client.register(ada);
      await t.db
        .query(`INSERT INTO auth_passkeys (id, user_id, user_handle, credential_id, public_key, name, created_at)
        SELECT gen_random_uuid(), user_id, user_handle, 'c' || n || user_id, public_key, 'n', created_at
          FROM auth_passkeys, generate_series(1, 18) n WHERE id = '${id}'`);
      const by = await client.signIn(ada);
      const { body: options } = await client.post('passkeys/options', {}, [by]).expect(200);
      await client.register(ada, { by });
      const full = await client.post('passkeys/options', {}, [await client.signIn(ada)]).expect(409);
      expect(full.body).toMatchObject({ code: 'PASSKEY_LIMIT' });
      const late = { response: new SoftwareAuthenticator(ORIGIN).register(options) };
      expect((await client.post('passkeys', late, [by])).status).toBe(400);
    });

    it('F21: refuses fields that are not expected, and names that are none', async () => {
      const { body: options } = await client.post('passkeys/options', {}, [cookie]).expect(200);
      const response = new SoftwareAuthenticator(ORIGIN).register(options);
      for (const more of [
        { userId: 'x' },
        { name: '' },
        { name: 'a\u202eb' },
        { name: 'n'.repeat(101) },
        { name: 7 },
      ]) {
        const refused = await client.post('passkeys', { response, ...more }, [cookie]).expect(422);
        expect(Object.keys(refused.body.fields)).toEqual(Object.keys(more));
      }
      for (const wrong of [undefined, 'x', { ...response, id: 7 }, { ...response, response: { clientDataJSON: '' } }]) {
        await client.post('passkeys', { response: wrong }, [cookie]).expect(422);
      }
    });
  });

  describe('logging in', () => {
    it('F72: opens a session of two factors, without a name', async () => {
      const { authenticator } = await client.register(ada);
      heard.length = 0;
      const answer = await client.logIn(authenticator);
      expect([answer.status, answer.body]).toMatchObject([200, { status: 'authenticated', user: { id: ada.id } }]);
      const session = cookiesOf(answer).find((one) => one.includes('session='))!;
      expect((await get('session', session)).body.session).toMatchObject({ aal: 2, amr: ['passkey'] });
      expect(heard).toContainEqual(
        expect.objectContaining({ type: 'login.succeeded', factors: ['passkey'], userId: ada.id }),
      );
      expect(await stored(authenticator)).toEqual({ sign_count: '2', used: true, suspected: false });
    });

    it('F70: refuses a proof twice, in another browser, with a challenge for something else, and late', async () => {
      const { authenticator } = await client.register(ada);
      const by = await client.signIn(ada);
      const { options, browser } = await client.loginOptions();
      const { browser: other } = await client.loginOptions();
      const response = authenticator.use(options);
      expect((await client.post('passkey-login', { response }, other)).body.code).toBe('INVALID_CREDENTIALS');
      await client.post('passkey-login', { response }).expect(401);
      const { body: toRegister } = await client.post('passkeys/options', {}, [by]).expect(200);
      const { body: toStepUp } = await client.post('step-up/passkey/options', {}, [by]).expect(200);
      for (const { challenge } of [toRegister, toStepUp]) {
        const wrong = { response: authenticator.use(options, { challenge }) };
        await client.post('passkey-login', wrong, browser).expect(401);
      }
      // And one for a login neither steps up nor registers.
      const step = { method: 'passkey', response: authenticator.use(options) };
      await client.post('step-up', step, [by]).expect(401);
      const fresh = { response: authenticator.use(options) };
      await client.post('passkey-login', fresh, browser).expect(200);
      await client.post('passkey-login', fresh, browser).expect(401);
      const late = await client.loginOptions();
      t.clock.advance(minutes(5));
      await client.post('passkey-login', { response: authenticator.use(late.options) }, late.browser).expect(401);
    });

    it.each(Object.entries(LIES))('F71: opens nothing and writes nothing if %s is wrong', async (name, lie) => {
      const { authenticator } = await client.register(ada);
      heard.length = 0;
      const before = await t.db.query('SELECT count(*) FROM sessions');
      const kept = await stored(authenticator);
      const refused = await client.logIn(authenticator, lie);
      expect(refused.status).toBe(name === 'the type of the credential' ? 422 : 401);
      expect(cookiesOf(refused)).toEqual([]);
      expect(await t.db.query('SELECT count(*) FROM sessions')).toEqual(before);
      expect(await stored(authenticator)).toEqual(kept);
      expect(types()).not.toContain('login.succeeded');
      expect((await client.logIn(authenticator)).status).toBe(200);
    });

    it('F72: refuses one without user verification', async () => {
      const { authenticator } = await client.register(ada);
      const refused = await client.logIn(authenticator, { userVerified: false });
      expect([refused.status, refused.body.code]).toEqual([401, 'INVALID_CREDENTIALS']);
    });

    it('F73: refuses another user handle, none, and an unknown passkey', async () => {
      const { authenticator } = await client.register(ada);
      for (const userHandle of [null, '', Buffer.alloc(64).toString('base64url')]) {
        expect((await client.logIn(authenticator, { userHandle })).status).toBe(401);
      }
      expect((await client.logIn(new SoftwareAuthenticator(ORIGIN))).status).toBe(401);
      expect((await client.logIn(authenticator)).status).toBe(200);
    });

    it('F25: refuses the passkey of a disabled account', async () => {
      const { authenticator } = await client.register(ada);
      await t.app.get(PostgresUserDirectory).disable(ada.id);
      expect((await client.logIn(authenticator)).status).toBe(401);
    });

    it('F74: refuses a counter that is not above the last one, tells of it, and spends the challenge', async () => {
      const { authenticator, id } = await client.register(ada, { name: 'Key', by: cookie });
      await client.logIn(authenticator);
      await mails();
      heard.length = 0;
      const { options, browser } = await client.loginOptions();
      const response = authenticator.use(options, { signCount: 2 });
      await client.post('passkey-login', { response }, browser).expect(401);
      expect(await stored(authenticator)).toEqual({ sign_count: '2', used: true, suspected: true });
      const alarm = { type: 'passkey.clone_suspected', userId: ada.id, passkeyId: id };
      expect(heard).toContainEqual(expect.objectContaining(alarm));
      expect(await mails()).toEqual([['passkey_clone_suspected', ada.email]]);
      // One alarm for one use, however often it is sent.
      await client.post('passkey-login', { response }, browser).expect(401);
      expect(types().filter((type) => type === 'passkey.clone_suspected')).toHaveLength(1);
      expect((await get('passkeys')).body[0].cloneSuspectedAt).not.toBeNull();
      // The one that counts on goes on.
      expect((await client.logIn(authenticator)).status).toBe(200);
    });

    it('F74: knows no counter where there is none', async () => {
      const synced = new SoftwareAuthenticator(ORIGIN, { counts: false });
      await client.register(ada, { authenticator: synced });
      for (const _ of [1, 2]) expect((await client.logIn(synced)).status).toBe(200);
      expect(await stored(synced)).toEqual({ sign_count: '0', used: true, suspected: false });
    });

    it('F75: the options are the same for everybody but for the challenge', async () => {
      const ask = async (by: readonly string[] = []) => {
        const answer = await client.post('passkey-login/options', {}, by).expect(200);
        return answer.text.replace(/"challenge":"[\w-]{43}"/, '');
      };
      const before = await ask();
      expect(JSON.parse(before.replace('{,', '{'))).toEqual({
        timeout: minutes(5),
        rpId: 'app.example.com',
        userVerification: 'required',
      });
      await client.register(ada);
      expect(await ask()).toBe(before);
      expect(await ask([cookie])).toBe(before);
    });

    it('F16: is limited by address, and needs the same origin', async () => {
      const post = (path: string) => client.post(path).set('Sec-Fetch-Site', 'cross-site');
      await post('passkey-login').expect(403);
      await post('passkey-login/options').expect(403);
      expect((await client.post('passkey-login/options')).headers['ratelimit-policy']).toContain('passkey_ip');
    });
  });

  describe('as a second factor', () => {
    const begin = async () => {
      const held = await client.post('login', { email: ada.email, password: PASSWORD }).expect(200);
      const { token } = held.body as { token: string };
      const { body: options } = await client.post('2fa/passkey/options', { token }, cookiesOf(held)).expect(200);
      return { token, options, browser: cookiesOf(held) };
    };
    const verify = (held: Awaited<ReturnType<typeof begin>>, response: object) =>
      client.post('2fa/verify', { token: held.token, method: 'passkey', response }, held.browser);
    const opened = async (answer: Awaited<ReturnType<typeof verify>>) =>
      (
        await get(
          'session',
          cookiesOf(answer).find((one) => one.includes('session=')),
        )
      ).body.session;

    it.each([
      [true, ['password', 'passkey']],
      [false, ['password', 'passkey-presence']],
    ])('F72: with user verification %s the session has proved %j', async (userVerified, amr) => {
      const { authenticator } = await client.register(ada);
      const held = await begin();
      expect(held.options).toMatchObject({
        allowCredentials: [{ id: authenticator.credentialId }],
        userVerification: 'preferred',
      });
      // An authenticator that is told which key need not say whose it is.
      const response = authenticator.use(held.options, { userVerified, userHandle: null });
      const answer = await verify(held, response).expect(200);
      expect(await opened(answer)).toMatchObject({ aal: 2, amr });
      expect(heard).toContainEqual(expect.objectContaining({ type: 'factor.used', factor: amr[1], userId: ada.id }));
    });

    it("F73: another user's passkey does not do, nor a challenge of another login", async () => {
      const [{ authenticator }, eve] = [await client.register(ada), await createUser(t.app)];
      const { authenticator: hers } = await client.register(eve);
      const [held, other] = [await begin(), await begin()];
      await verify(held, hers.use(held.options)).expect(401);
      await verify(held, authenticator.use(other.options)).expect(401);
      await verify(held, authenticator.use((await client.loginOptions()).options)).expect(401);
      await verify(held, authenticator.use(held.options)).expect(200);
    });

    it('R9: wrong ones count with those of other methods', async () => {
      const { authenticator } = await client.register(ada);
      const held = await begin();
      const wrong = () => verify(held, authenticator.use(held.options, { challenge: 'A'.repeat(43) }));
      for (let i = 0; i < 5; i++) await wrong().expect(401);
      await verify(held, authenticator.use(held.options)).expect(429);
    });

    it('F74: a copy is told of here as well', async () => {
      const { authenticator } = await client.register(ada);
      await client.logIn(authenticator);
      const held = await begin();
      await verify(held, authenticator.use(held.options, { signCount: 1 })).expect(401);
      expect(types()).toContain('passkey.clone_suspected');
      expect(await stored(authenticator)).toMatchObject({ suspected: true });
    });

    it('asks nobody without a passkey, and takes a code or a response', async () => {
      const { authenticator } = await client.register(ada);
      const held = await begin();
      const response = authenticator.use(held.options);
      const body = { token: held.token, method: 'passkey' };
      await client.post('2fa/verify', body, held.browser).expect(422);
      await client.post('2fa/verify', { ...body, response, code: '1' }, held.browser).expect(422);
      await client.post('2fa/passkey/options', { token: held.token }).expect(401);
      await client.post('2fa/passkey/options', { token: 'A'.repeat(43) }, held.browser).expect(401);
    });
  });

  describe('stepping up', () => {
    it('F83: by the own passkey, and by no other', async () => {
      const { authenticator } = await client.register(ada);
      const { authenticator: hers } = await client.register(await createUser(t.app));
      const by = await signInAs(t.app, ada.id, { proofs: ['passkey'], authenticatedAt: t.clock.now() - hours(1) });
      const { body: options } = await client.post('step-up/passkey/options', {}, [by]).expect(200);
      const step = (response: object, as = by) => client.post('step-up', { method: 'passkey', response }, [as]);
      await step(hers.use(options)).expect(401);
      await step(authenticator.use(options), await client.signIn(ada)).expect(401);
      const { body } = await step(authenticator.use(options)).expect(200);
      expect(body).toMatchObject({ aal: 2, authenticatedAt: new Date(t.clock.now()).toISOString() });
      await step(authenticator.use(options)).expect(401);
    });
  });

  describe('stepping up with less than a whole proof', () => {
    /** A session that has proved no more than this, an hour ago. */
    const sessionOf = async (...amr: string[]) => {
      const proved = { aal: 1, amr, authenticatedAt: t.clock.now() - hours(1) } as const;
      return `__Host-session=${(await t.app.get(SessionService).create(ada.id, proved)).token}`;
    };
    const asked = async () => {
      const { authenticator } = await client.register(ada);
      const by = await sessionOf('password');
      const { body: options } = await client.post('step-up/passkey/options', {}, [by]).expect(200);
      const step = (response: object) => client.post('step-up', { method: 'passkey', response }, [by]);
      return { authenticator, options, step, by };
    };

    it('F72: without user verification it is one factor, and two with the password of the session', async () => {
      const { authenticator, options, step } = await asked();
      const { body } = await step(authenticator.use(options, { userVerified: false })).expect(200);
      expect(body).toMatchObject({ aal: 2 });
      const only = await sessionOf('passkey-presence');
      const { body: again } = await client.post('step-up/passkey/options', {}, [only]).expect(200);
      const response = authenticator.use(again, { userVerified: false });
      const stepped = await client.post('step-up', { method: 'passkey', response }, [only]).expect(200);
      expect(stepped.body).toMatchObject({ aal: 1 });
    });

    it('F74: a counter that went back is refused, and told', async () => {
      const { authenticator, options, step, by } = await asked();
      await t.db.query('UPDATE auth_passkeys SET sign_count = 100 WHERE user_id = $1', [ada.id]);
      heard.length = 0;
      await step(authenticator.use(options, { signCount: 1 })).expect(401);
      expect(heard).toContainEqual(expect.objectContaining({ type: 'passkey.clone_suspected', userId: ada.id }));
      const { body: state } = await request(t.url).get('/auth/step-up').set('Cookie', by).expect(200);
      expect(state).toMatchObject({ aal: 1, amr: ['password'] });
    });
  });

  describe('removing', () => {
    it('F55: needs a fresh session of two factors, ends the others, and tells the owner', async () => {
      const { authenticator, id } = await client.register(ada, { name: 'Laptop' });
      const [own, other] = [await client.signIn(ada), await client.signIn(ada)];
      await remove(id, cookie).expect(401);
      const stale = await signInAs(t.app, ada.id, { proofs: ['passkey'], authenticatedAt: t.clock.now() - hours(1) });
      await remove(id, stale).expect(401);
      await mails();
      await remove(id, own).expect(200);
      expect([await live(own), await live(other), await live(cookie)]).toEqual([true, false, false]);
      expect((await MemoryMailer.of(t.app)).last('factor_removed').text).toContain(': passkey "Laptop".');
      expect(await mails()).toEqual([['factor_removed', ada.email]]);
      expect(heard).toContainEqual(
        expect.objectContaining({ type: 'factor.removed', factor: 'passkey', userId: ada.id }),
      );
      expect((await client.logIn(authenticator)).status).toBe(401);
      await remove(id, own).expect(404);
    });

    it("R16: nobody removes or renames another user's", async () => {
      const { id } = await client.register(ada, { by: cookie });
      const eve = await signInAs(t.app, (await createUser(t.app)).id);
      const rename = (by: string, to: string) =>
        request(t.url).patch(`/auth/passkeys/${to}`).set('Cookie', by).send({ name: 'Phone' });
      expect((await remove(id, eve).expect(404)).body.code).toBe('PASSKEY_NOT_FOUND');
      await rename(eve, id).expect(404);
      for (const none of ['x', '%00', '0b9d2c6e-0000-4000-8000-000000000000']) await rename(cookie, none).expect(404);
      await rename(cookie, id).expect(200);
      expect((await get('passkeys')).body).toMatchObject([{ id, name: 'Phone' }]);
    });

    it('F64: the last one of an account without a password stays, also of two removals at once', async () => {
      const [one, two] = [await client.register(ada), await client.register(ada)];
      await t.db.query(`UPDATE users SET password_hash = '!' WHERE id = '${ada.id}'`);
      const own = await client.signIn(ada, ['passkey']);
      const answers = await Promise.all([one, two].map(({ id }) => remove(id, own)));
      expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 409]);
      expect(answers.find(({ status }) => status === 409)!.body.code).toBe('LAST_LOGIN_METHOD');
      expect((await get('passkeys', own)).body).toHaveLength(1);
    });
  });

  it('T6: nothing tells a challenge, a key or an assertion', async () => {
    const { authenticator } = await client.register(ada);
    const { options, browser } = await client.loginOptions();
    const response = authenticator.use(options);
    const answers = [
      await client.post('passkey-login', { response: authenticator.use(options, LIES['the signature']) }, browser),
      await client.post('passkey-login', { response }, browser),
    ];
    const told = JSON.stringify([heard, answers.map(({ text }) => text)]);
    for (const secret of [options.challenge, response.response.signature, response.response.clientDataJSON]) {
      expect(told).not.toContain(secret);
    }
    expect(await t.app.get(EphemeralTokenService).peek('passkey_assert', options.challenge)).toBeNull();
  });
});

function flipped(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[at]! ^= 1;
  return copy;
}
