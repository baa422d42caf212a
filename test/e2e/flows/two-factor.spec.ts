import { beforeEach, describe, expect, it } from '@jest/globals';
import { minutes, seconds, SessionService, type AuthUser } from 'nestjs-latchkey';
import { signInAs, totpOf } from 'nestjs-latchkey/testing';
import request from 'supertest';
import { encode } from 'uqr';
import { createUser, PLATFORMS } from '../../support/app.js';
import { eventsHeard, sharedTestApp } from '../../support/shared-app.js';
import { newMails } from '../../support/flows.js';
import { modulesOf } from '../../support/qr.js';
import { cookiesIn, enrol, pastTheLimits, pendingLogin, TWO_FACTOR, type Enrolled } from '../../support/two-factor.js';

describe.each(PLATFORMS)('authenticator apps and backup codes on %s', (platform) => {
  const t = sharedTestApp({ platform, auth: TWO_FACTOR });
  const heard = eventsHeard(t);
  let ada: AuthUser;
  beforeEach(async () => {
    t.clock.advance(pastTheLimits);
    ada = await createUser(t.app);
    await newMails(t.app);
    heard.length = 0;
  });

  const post = (path: string, cookie: string, body: object = {}) =>
    request(t.url).post(`/auth/${path}`).set('Cookie', cookie).send(body);
  const session = (cookie: string) => request(t.url).get('/auth/session').set('Cookie', cookie);
  const state = async (cookie: string) =>
    (await request(t.url).get('/auth/2fa').set('Cookie', cookie).expect(200)).body;
  const code = ({ secret }: Pick<Enrolled, 'secret'>) => totpOf(secret, t.clock);
  const verify = async (response: string, method = 'totp', user = ada) => {
    const { token, challenge } = await pendingLogin(t, user);
    return post('2fa/verify', challenge, { token, method, code: response });
  };
  const setUp = async (cookie: string) => (await post('2fa/totp/setup', cookie).expect(200)).body;
  const told = () => heard.filter(({ type }) => type.startsWith('factor.')).map(({ type }) => type);

  it('is set up with a secret, its address and its QR code, and proved by a code', async () => {
    const cookie = await signInAs(t.app, ada.id);
    expect(await state(cookie)).toEqual({
      methods: [],
      totpDisabled: false,
      backupCodesLeft: 0,
      trustedBrowsers: 0,
    });
    const setup = await post('2fa/totp/setup', cookie).expect(200);
    expect(setup.get('Cache-Control')).toBe('no-store');
    const { secret, uri, qr } = setup.body;
    expect(secret).toMatch(/^[A-Z2-7]{32}$/);
    expect(new URL(uri).searchParams.get('secret')).toBe(secret);
    expect(new URL(uri).searchParams.get('issuer')).toBe('app.example.com');
    expect(qr).toMatch(/^<svg[^]*<\/svg>$/);
    expect(qr).not.toMatch(/script|style|href/);
    expect(modulesOf(qr)).toEqual(encode(uri).data);
    const enabled = await post('2fa/totp/enable', cookie, { code: code({ secret }) }).expect(200);
    expect(enabled.body).toEqual({
      status: 'authenticated',
      user: { id: ada.id, email: ada.email },
      expiresAt: expect.any(String),
      backupCodes: expect.any(Array),
    });
    const elevated = cookiesIn(enabled);
    expect((await session(elevated).expect(200)).body.session).toMatchObject({ aal: 2, amr: ['password', 'totp'] });
    // F84
    await session(cookie).expect(401);
    expect(await state(elevated)).toEqual({
      methods: ['totp', 'backup-code'],
      totpDisabled: false,
      backupCodesLeft: 4,
      trustedBrowsers: 0,
    });
    expect(told()).toEqual(['factor.added', 'factor.used']);
    expect((await newMails(t.app)).map(({ kind }) => kind)).toEqual(['first_factor_added']);
  });

  it('F47: logs in with the code of now, of the step before and of the step after', async () => {
    const enrolled = await enrol(t, ada);
    for (const shift of [-30, 0, 30]) {
      t.clock.advance(minutes(2));
      const shown = totpOf(enrolled.secret, { now: () => t.clock.now() + seconds(shift) });
      const done = await verify(shown);
      expect(done.status).toBe(200);
      expect((await session(cookiesIn(done)).expect(200)).body.session).toMatchObject({ aal: 2 });
    }
    for (const shift of [-60, 60]) {
      t.clock.advance(minutes(3));
      expect((await verify(totpOf(enrolled.secret, { now: () => t.clock.now() + seconds(shift) }))).status).toBe(401);
    }
  });

  it('F48: a set-up that is left asks for nothing, and one beside an app leaves that as it is', async () => {
    const cookie = await signInAs(t.app, ada.id);
    await setUp(cookie);
    expect((await pendingLogin(t, ada)).body['status']).toBe('authenticated');
    const enrolled = await enrol(t, ada);
    const { secret: next } = await setUp(enrolled.cookie);
    expect((await verify(code(enrolled))).status).toBe(200);
    t.clock.advance(seconds(30));
    expect((await verify(code({ secret: next }))).status).toBe(401);
    await post('2fa/totp/enable', enrolled.cookie, { code: code({ secret: next }) }).expect(200);
    t.clock.advance(seconds(30));
    expect((await verify(code(enrolled))).status).toBe(401);
    expect((await verify(code({ secret: next }))).status).toBe(200);
  });

  it('F48: a set-up ends after ten minutes, with a later one, and belongs to its session', async () => {
    const [cookie, other] = [await signInAs(t.app, ada.id), await signInAs(t.app, ada.id)];
    const first = await setUp(cookie);
    await post('2fa/totp/enable', other, { code: code(first) }).expect(401);
    const second = await setUp(cookie);
    await post('2fa/totp/enable', cookie, { code: code(first) }).expect(401);
    t.clock.advance(minutes(10));
    await post('2fa/totp/enable', cookie, { code: code(second) }).expect(401);
    const third = await setUp(cookie);
    t.clock.advance(minutes(4));
    await post('2fa/totp/enable', cookie, { code: code(third) }).expect(200);
  });

  it('F49: a code counts once: at a login, after its enrolment, and at a step-up after a login', async () => {
    const cookie = await signInAs(t.app, ada.id);
    const { secret } = await setUp(cookie);
    const enabled = await post('2fa/totp/enable', cookie, { code: code({ secret }) }).expect(200);
    expect((await verify(code({ secret }))).status).toBe(401);
    t.clock.advance(seconds(30));
    const used = code({ secret });
    expect((await verify(used)).status).toBe(200);
    expect((await verify(used)).status).toBe(401);
    await post('step-up', cookiesIn(enabled), { method: 'totp', code: used }).expect(401);
    // Nor one that is older than one that was used.
    t.clock.advance(minutes(2));
    const older = code({ secret });
    expect((await verify(totpOf(secret, { now: () => t.clock.now() + seconds(30) }))).status).toBe(200);
    expect((await verify(older)).status).toBe(401);
  });

  it('F49: a code of a step-up cannot be used for a login', async () => {
    const enrolled = await enrol(t, ada);
    await post('step-up', enrolled.cookie, { method: 'totp', code: code(enrolled) }).expect(200);
    expect((await verify(code(enrolled))).status).toBe(401);
  });

  it('F50: no route tells the secret again, and no other user can have the row', async () => {
    const enrolled = await enrol(t, ada);
    for (const path of ['2fa', 'session', 'step-up', 'sessions']) {
      const { text } = await request(t.url).get(`/auth/${path}`).set('Cookie', enrolled.cookie).expect(200);
      expect(text).not.toContain(enrolled.secret);
    }
    const bob = await createUser(t.app);
    const his = await enrol(t, bob);
    await t.db.query(`UPDATE auth_totp a SET secret = b.secret FROM auth_totp b
      WHERE a.user_id = '${bob.id}' AND b.user_id = '${ada.id}'`);
    expect((await verify(code(enrolled), 'totp', bob)).status).toBe(401);
    expect((await verify(code(his), 'totp', bob)).status).toBe(401);
    expect((await verify(code(enrolled))).status).toBe(200);
    const [{ secret: stored }] = (await t.db.query(`SELECT secret FROM auth_totp WHERE user_id = '${ada.id}'`)) as [
      { secret: string },
    ];
    expect(stored).not.toContain(enrolled.secret);
  });

  it('F51, F12: five wrong codes over methods, challenges, step-up and enrolment: the sixth anywhere is 429', async () => {
    const enrolled = await enrol(t, ada);
    const next = await setUp(enrolled.cookie);
    expect((await verify('000000')).status).toBe(401);
    expect((await verify('0000-0000-0000-0000', 'backup-code')).status).toBe(401);
    await post('step-up', enrolled.cookie, { method: 'totp', code: '000000' }).expect(401);
    await post('step-up', enrolled.cookie, { method: 'backup-code', code: 'nonsense' }).expect(401);
    await post('2fa/totp/enable', enrolled.cookie, { code: '000000' }).expect(401);
    expect((await verify(code(enrolled))).status).toBe(429);
    expect((await verify(enrolled.backupCodes[0]!, 'backup-code')).status).toBe(429);
    await post('step-up', enrolled.cookie, { method: 'totp', code: code(enrolled) }).expect(429);
    await post('2fa/totp/enable', enrolled.cookie, { code: code(next) }).expect(429);
    // F13: others go on.
    const bob = await createUser(t.app);
    const his = await enrol(t, bob);
    expect((await verify(code(his), 'totp', bob)).status).toBe(200);
  });

  it('F51: 100 wrong codes in a row disable the app and nothing else; a backup code revives it', async () => {
    const enrolled = await enrol(t, ada);
    await t.db.query(`UPDATE auth_totp SET failures = 99 WHERE user_id = '${ada.id}'`);
    await newMails(t.app);
    heard.length = 0;
    expect((await verify('000000')).status).toBe(401);
    expect(told()).toEqual(['factor.disabled', 'factor.refused']);
    expect((await newMails(t.app)).map(({ kind }) => kind)).toEqual(['factor_disabled']);
    expect(await state(enrolled.cookie)).toMatchObject({ totpDisabled: true });
    t.clock.advance(pastTheLimits);
    // It is still asked for.
    expect((await pendingLogin(t, ada)).body['methods']).toEqual(['totp', 'backup-code']);
    expect((await verify(code(enrolled))).status).toBe(401);
    expect((await verify(enrolled.backupCodes[0]!, 'backup-code')).status).toBe(200);
    t.clock.advance(seconds(30));
    expect((await verify(code(enrolled))).status).toBe(200);
  });

  it('F51: right codes in between begin the count anew', async () => {
    const enrolled = await enrol(t, ada);
    await t.db.query(`UPDATE auth_totp SET failures = 99 WHERE user_id = '${ada.id}'`);
    expect((await verify(code(enrolled))).status).toBe(200);
    expect((await verify('000000')).status).toBe(401);
    t.clock.advance(seconds(30));
    expect((await verify(code(enrolled))).status).toBe(200);
  });

  it('F51: a new enrolment revives it too', async () => {
    const enrolled = await enrol(t, ada);
    await t.db.query(`UPDATE auth_totp SET disabled_at = now() WHERE user_id = '${ada.id}'`);
    const next = await setUp(enrolled.cookie);
    await post('2fa/totp/enable', enrolled.cookie, { code: code(next) }).expect(200);
    t.clock.advance(seconds(30));
    expect((await verify(code(next))).status).toBe(200);
  });

  it('F52: a backup code logs in once, its owner only, and not after new ones', async () => {
    const enrolled = await enrol(t, ada);
    const [first, second, third] = enrolled.backupCodes as [string, string, string];
    const done = await verify(first.toLowerCase().replaceAll('-', ' '), 'backup-code');
    expect(done.status).toBe(200);
    const cookie = cookiesIn(done);
    expect((await session(cookie).expect(200)).body.session).toMatchObject({
      aal: 2,
      amr: ['password', 'backup-code'],
    });
    expect((await verify(first, 'backup-code')).status).toBe(401);
    const bob = await createUser(t.app);
    const his = await enrol(t, bob);
    expect((await verify(second, 'backup-code', bob)).status).toBe(401);
    expect((await verify(his.backupCodes[0]!, 'backup-code')).status).toBe(401);
    // With the selector of Ada's own, too.
    expect((await verify(second.slice(0, 3) + his.backupCodes[0]!.slice(3), 'backup-code')).status).toBe(401);
    const renewed = await post('2fa/backup-codes', cookie).expect(200);
    expect(renewed.body.backupCodes).toHaveLength(4);
    expect((await verify(third, 'backup-code')).status).toBe(401);
    expect((await verify(renewed.body.backupCodes[0], 'backup-code')).status).toBe(200);
    expect((await newMails(t.app)).map(({ kind }) => kind)).toContain('backup_codes_replaced');
  });

  it('F52: the codes are stored as slow hashes, and no code is in its row', async () => {
    const { backupCodes } = await enrol(t, ada);
    const rows = (await t.db.query(`SELECT * FROM auth_backup_codes WHERE user_id = '${ada.id}'`)) as {
      selector: string;
      code_hash: string;
    }[];
    expect(rows.map(({ selector }) => selector).toSorted()).toEqual(
      backupCodes.map((one) => one.slice(0, 3)).toSorted(),
    );
    for (const { code_hash } of rows) expect(code_hash).toMatch(/^\$argon2id\$/);
    for (const one of backupCodes) expect(JSON.stringify(rows)).not.toContain(one.replaceAll('-', '').slice(3));
  });

  it.each<[string, object]>([
    ['2fa/totp/setup', {}],
    ['2fa/totp/disable', {}],
    ['2fa/backup-codes', {}],
  ])('F55: POST %s needs a fresh session of two factors where the account has one', async (path, body) => {
    await enrol(t, ada);
    const one = await signInAs(t.app, ada.id, { proofs: ['password', 'totp'], age: minutes(16) });
    const stale = await post(path, one, body).expect(401);
    expect(stale.body).toMatchObject({ code: 'STEP_UP_REQUIRED', required: { maxAge: 900 } });
    expect(stale.body.methods).toEqual(['password', 'totp', 'backup-code']);
    // F57: a fresh session that has proved no second factor, such as one from before it.
    const { token } = await t.app.get(SessionService).create(ada.id, { amr: ['password'] });
    const fresh = `${one.split('=')[0]}=${token}`;
    const weak = await post(path, fresh, body).expect(401);
    expect(weak.body).toMatchObject({ code: 'STEP_UP_REQUIRED', required: { aal: 2 } });
    expect(weak.body.methods).toEqual(['totp', 'backup-code']);
    expect(await state(one)).toMatchObject({ methods: ['totp', 'backup-code'] });
  });

  it('F55: without a factor a session must be fresh', async () => {
    const cookie = await signInAs(t.app, ada.id, { age: minutes(15) });
    expect((await post('2fa/totp/setup', cookie).expect(401)).body).toMatchObject({
      code: 'STEP_UP_REQUIRED',
      required: { maxAge: 900 },
      methods: ['password'],
    });
    await post('2fa/totp/enable', cookie, { code: '000000' }).expect(401);
  });

  it.each<['add' | 'remove' | 'regenerate', string]>([
    ['add', 'first_factor_added'],
    ['remove', 'factor_removed'],
    ['regenerate', 'backup_codes_replaced'],
  ])('F55, F57: to %s ends the other sessions, and the owner is told', async (what, kind) => {
    const before = await signInAs(t.app, ada.id);
    let cookie: string;
    if (what === 'add') ({ cookie } = await enrol(t, ada));
    else {
      const enrolled = await enrol(t, ada);
      const other = await verify(code(enrolled));
      const path = what === 'remove' ? '2fa/totp/disable' : '2fa/backup-codes';
      const changed = await post(path, enrolled.cookie).expect(200);
      cookie = cookiesIn(changed);
      await session(cookiesIn(other)).expect(401);
      await session(enrolled.cookie).expect(401);
    }
    await session(before).expect(401);
    expect((await session(cookie).expect(200)).body.session).toMatchObject({ aal: 2 });
    const mails = (await newMails(t.app)).filter(({ kind: one }) => one === kind);
    expect(mails).toHaveLength(1);
    expect(mails[0]!.to.address).toBe(ada.email);
  });

  it('the last factor takes the backup codes with it: nothing is asked any more', async () => {
    const enrolled = await enrol(t, ada);
    const disabled = await post('2fa/totp/disable', enrolled.cookie).expect(200);
    expect(await state(cookiesIn(disabled))).toEqual({
      methods: [],
      totpDisabled: false,
      backupCodesLeft: 0,
      trustedBrowsers: 0,
    });
    expect((await pendingLogin(t, ada)).body['status']).toBe('authenticated');
    expect(told()).toContain('factor.removed');
  });

  it('F23: a login that waits for a factor enrols none', async () => {
    await enrol(t, ada);
    const { token, challenge } = await pendingLogin(t, ada);
    await post('2fa/totp/setup', challenge, { token }).expect(401);
    await post('2fa/totp/enable', challenge, { token, code: '000000' }).expect(401);
    await post('2fa/totp/setup', challenge).expect(401);
    await post('2fa/totp/disable', challenge).expect(401);
    await post('2fa/backup-codes', challenge).expect(401);
  });

  it('F21, F66: closed bodies, from its own pages only, and no GET', async () => {
    const cookie = await signInAs(t.app, ada.id);
    for (const path of ['2fa/totp/setup', '2fa/totp/enable', '2fa/totp/disable', '2fa/backup-codes']) {
      const body = path.endsWith('enable') ? { code: '000000' } : {};
      for (const more of [{ userId: ada.id }, { secret: 'MZXW6' }, { aal: 2 }]) {
        const refused = await post(path, cookie, { ...body, ...more }).expect(422);
        expect(Object.keys(refused.body.fields)).toEqual(Object.keys(more));
      }
      await post(path, cookie, body).set('Sec-Fetch-Site', 'cross-site').expect(403);
      await request(t.url).get(`/auth/${path}`).set('Cookie', cookie).expect(404);
    }
  });

  it('F27: no secret, code or sealed text is in an event or a mail', async () => {
    const enrolled = await enrol(t, ada);
    await verify('000000');
    await verify(enrolled.backupCodes[0]!, 'backup-code');
    const out = JSON.stringify([heard, await newMails(t.app)]);
    for (const secret of [enrolled.secret, ...enrolled.backupCodes]) expect(out).not.toContain(secret);
  });
});
