import { beforeEach, describe, expect, it } from '@jest/globals';
import {
  days,
  EphemeralTokenService,
  hours,
  minutes,
  JwtCodecService,
  type Mail,
  PostgresUserDirectory,
  RateLimitService,
  seconds,
  type AuthUser,
} from 'nestjs-latchkey';
import { EmailChangeService } from 'nestjs-latchkey/flows';
import { MemoryMailer, signInAs } from 'nestjs-latchkey/testing';
import request from 'supertest';
import { createUser, PASSWORD, PLATFORMS } from '../../support/app.js';
import { eventsHeard, sharedTestApp } from '../../support/shared-app.js';
import { MAIL, newMails } from '../../support/flows.js';
import { randomFrom } from '../../support/random.js';

const NEW_PASSWORD = 'a password that only Ada knows';

describe.each(PLATFORMS)('the change of an e-mail address on %s', (platform) => {
  const t = sharedTestApp({
    platform,
    auth: { ...MAIL, flows: { emailChange: {} }, jwt: { sessions: true }, rateLimits: { backoff: { base: 0 } } },
  });
  const heard = eventsHeard(t);
  let ada: AuthUser;
  let cookie: string;
  let next: string;
  let accounts = 0;
  const users = () => t.app.get(PostgresUserDirectory);
  beforeEach(async () => {
    t.clock.advance(hours(1));
    ada = await createUser(t.app, `ada${++accounts}@example.com`);
    next = `ada${accounts}@new.example.com`;
    cookie = await signInAs(t.app, ada.id);
    await newMails(t.app);
    heard.length = 0;
  });

  const post = (path: string, body: object, ...cookies: string[]) =>
    request(t.url).post(`/auth/${path}`).set('Cookie', cookies).send(body);
  const change = (email: string = next) => post('change-email', { email }, cookie);
  const confirm = (token: string) => post('confirm-email-change', { token });
  const revert = (token: string) => post('revert-email-change', { token });
  const askForLink = async (email: string = next) => {
    await change(email).expect(202);
    return (await MemoryMailer.of(t.app)).last('email_change').token;
  };
  const changed = async () => {
    await confirm(await askForLink()).expect(200);
    return (await MemoryMailer.of(t.app)).last('email_changed').token;
  };
  const addressOf = async ({ id }: AuthUser) => (await users().findById(id))!.email;
  const login = (email: string, password: string) => post('login', { email, password });
  const session = (of: string) => request(t.url).get('/auth/session').set('Cookie', of);

  it('F43: takes effect when the new mailbox has answered, and not before', async () => {
    const token = await askForLink();
    expect(await newMails(t.app)).toEqual([
      expect.objectContaining({ kind: 'email_change', to: { name: '', address: next }, userId: ada.id }),
    ]);
    expect(await addressOf(ada)).toBe(ada.email);
    await confirm(token).expect(200);
    expect(await users().findById(ada.id)).toMatchObject({ email: next, emailVerifiedAt: t.clock.now() });
    await login(next, PASSWORD).expect(200);
    await login(ada.email, PASSWORD).expect(401);
    await session(cookie).expect(200);
    expect(heard.filter(({ type }) => type === 'email.changed')).toEqual([
      { type: 'email.changed', at: t.clock.now(), userId: ada.id },
    ]);
  });

  it('F26: the old address is told, with a link that works for a week, and no other secret', async () => {
    await changed();
    const mails = await newMails(t.app);
    expect(mails.map(({ kind, to }) => [kind, to.address])).toEqual([
      ['email_change', next],
      ['email_changed', ada.email],
    ]);
    expect(mails[1]).toMatchObject({ link: expect.stringContaining('/revert-email#'), validFor: days(7) });
    expect(mails[1]!.text).not.toContain(next);
  });

  it('F42: a session that is not fresh has to prove who it is first, and no mail goes out', async () => {
    t.clock.advance(minutes(15));
    const refused = await change().expect(401);
    expect(refused.body).toMatchObject({ code: 'STEP_UP_REQUIRED', required: { maxAge: 900 } });
    expect(refused.get('WWW-Authenticate')).toMatch(/insufficient_user_authentication/);
    expect(refused.get('Set-Cookie')).toBeUndefined();
    expect(await newMails(t.app)).toEqual([]);
    cookie = await signInAs(t.app, ada.id, { authenticatedAt: t.clock.now() - minutes(15) + 1 });
    await change().expect(202);
  });

  it('F45: confirming opens no session, and needs none', async () => {
    const answer = await confirm(await askForLink()).expect(200);
    expect(answer.get('Set-Cookie')).toBeUndefined();
    expect(answer.body).toEqual({ message: expect.any(String) });
  });

  it('F44: an address that is taken when it is asked for: the same answer, and no mail', async () => {
    const eve = await createUser(t.app, `eve${accounts}@example.com`);
    const free = await change().expect(202);
    expect(await newMails(t.app)).toHaveLength(1);
    const taken = await change(eve.email).expect(202);
    expect(taken.text).toBe(free.text);
    expect(await newMails(t.app)).toEqual([]);
  });

  it('F44: asking for a taken address voids the earlier link and costs quota, as asking for a free one does', async () => {
    const eve = await createUser(t.app, `eve${accounts}@example.com`);
    const earlier = await askForLink();
    await change(eve.email).expect(202);
    await newMails(t.app);
    await confirm(earlier).expect(400);
    await change(eve.email).expect(202);
    await newMails(t.app); // one after the other
    await change(`free${accounts}@example.com`).expect(202);
    expect(await newMails(t.app)).toEqual([]);
  });

  it('F14: whether a mailbox may get no more mails, as only that of an account can, is nothing that its asker learns', async () => {
    const own = `own${accounts}@example.com`;
    const full = `full${accounts}@example.com`;
    // What three requests for a login link leave behind, if this is the address of an account.
    for (let i = 0; i < 3; i++) await t.app.get(RateLimitService).consume('email_send', full);
    const earlier = await askForLink(own);
    for (let i = 0; i < 2; i++) {
      await change(full).expect(202);
      expect(await newMails(t.app)).toHaveLength(i === 0 ? 1 : 0); // the earlier one
    }
    await confirm(earlier).expect(400);
    await change(own).expect(202);
    expect(await newMails(t.app)).toEqual([]);
  });

  it('F16: one mailbox gets three mails, whoever asks', async () => {
    for (let i = 0; i < 5; i++) {
      const other = await createUser(t.app);
      await post('change-email', { email: next }, await signInAs(t.app, other.id)).expect(202);
    }
    expect(await newMails(t.app)).toHaveLength(3);
  });

  it('F44: an address that is taken when it is confirmed: INVALID_LINK, and nothing has changed', async () => {
    const token = await askForLink();
    await newMails(t.app);
    await createUser(t.app, next);
    const refused = await confirm(token).expect(400);
    expect(refused.body.code).toBe('INVALID_LINK');
    expect(await addressOf(ada)).toBe(ada.email);
    expect(await newMails(t.app)).toEqual([]);
  });

  it('F43: in any order of requests and confirmations only a proven address takes effect, and only the last', async () => {
    const links = ['b', 'c', 'd'].map((name) => `${name}${accounts}@example.com`);
    const tokens: string[] = [];
    for (const email of links) tokens.push(await askForLink(email));
    // The first two are void.
    await confirm(tokens[0]!).expect(400);
    await confirm(tokens[1]!).expect(400);
    expect(await addressOf(ada)).toBe(ada.email);
    await confirm(tokens[2]!).expect(200);
    expect(await addressOf(ada)).toBe(links[2]);
    for (const token of tokens) await confirm(token).expect(400);
    expect(await addressOf(ada)).toBe(links[2]);
  });

  it('F43: random interleavings of requests and confirmations of two addresses: never one that has not answered', async () => {
    const random = randomFrom(43);
    const limits = t.app.get(RateLimitService);
    let changes = 0;
    for (let round = 0; round < 8; round++) {
      const user = await createUser(t.app);
      const answered = new Set([user.email]);
      let last: string | null = null;
      const ask = async (email: string) => {
        const now = (await users().findById(user.id))!;
        t.app.get(EmailChangeService).request(now, email);
        await MemoryMailer.of(t.app);
        if (email !== now.email) last = email;
      };
      const answer = async (email: string) => {
        const mail = (await MemoryMailer.of(t.app)).to(email).findLast(({ kind }) => kind === 'email_change');
        const { status } = mail ? await confirm((mail as Mail<'email_change'>).token) : { status: 400 };
        expect([200, 400]).toContain(status);
        if (status === 200) answered.add(email);
        return status === 200;
      };
      for (let step = 0; step < 8; step++) {
        await limits.clear('email_send', user.id);
        await limits.clear('mail_ip', '127.0.0.1');
        const one = () => `${random() < 0.5 ? 'a' : 'b'}${user.id}@example.com`;
        const [email, work] = [one(), random() < 0.5 ? ask : answer];
        if (random() < 0.5) {
          const done = await work(email);
          // The last request voids the earlier ones.
          if (done) expect([last ?? email, await addressOf(user)]).toEqual([email, email]);
          if (done) changes++;
        } else {
          await Promise.all([work(email), answer(one()), ask(one()), answer(one())]);
          // Whichever it was.
          last = null;
        }
        expect(answered).toContain(await addressOf(user));
      }
    }
    expect(changes).toBeGreaterThan(2);
  });

  it('F24: of 20 confirmations at once one succeeds', async () => {
    const token = await askForLink();
    await t.app.get(RateLimitService).clear('mail_ip', '127.0.0.1');
    const answers = await Promise.all(Array.from({ length: 19 }, async () => (await confirm(token)).status));
    expect(answers.filter((status) => status === 200)).toHaveLength(1);
    expect(answers.filter((status) => status === 400)).toHaveLength(18);
  });

  it.each<[string, () => Promise<unknown>]>([
    ['the password was changed', () => users().setPassword(ada.id, NEW_PASSWORD)],
    ['the user has signed out everywhere', () => users().invalidateTokens(ada.id, t.clock.now())],
    ['the account was disabled', () => users().disable(ada.id)],
    ['the account was deleted', () => users().delete(ada.id)],
    [
      'the address was changed otherwise',
      () => users().setEmail(ada.id, { from: ada.email, to: `x${accounts}@example.com`, verifiedAt: 1 }),
    ],
  ])('F25: after %s the link is nothing', async (_, meanwhile) => {
    const token = await askForLink();
    await meanwhile();
    await confirm(token).expect(400);
  });

  it('F25: a link that is asked for, but not mailed before the user signs out everywhere, is not mailed', async () => {
    const asked = await users().findById(ada.id);
    await users().invalidateTokens(ada.id, t.clock.now());
    t.app.get(EmailChangeService).request(asked!, next);
    expect(await newMails(t.app)).toEqual([]);
  });

  it('F37: what was mailed to the old address is void', async () => {
    const reset = await t.app.get(EphemeralTokenService).issue('password_reset', { username: ada.email });
    await changed();
    expect(await t.app.get(EphemeralTokenService).peek('password_reset', reset)).toBeNull();
  });

  it('is expired after exactly an hour, and the link to revert after exactly a week', async () => {
    const late = await askForLink();
    t.clock.advance(hours(1));
    await confirm(late).expect(400);
    cookie = await signInAs(t.app, ada.id);
    const undo = await changed();
    t.clock.advance(days(7));
    await revert(undo).expect(400);
    expect(await addressOf(ada)).toBe(next);
  });

  it('F17: an address of another program that is somebody else’s in our spelling moves nobody', async () => {
    const [eve] = await t.db.query<{ id: string }>(
      `INSERT INTO users (email, password_hash) VALUES ($1, '!') RETURNING id`,
      [ada.email.replace('a', 'ａ')],
    );
    await post('change-email', { email: next }, await signInAs(t.app, eve!.id)).expect(202);
    expect(await newMails(t.app)).toEqual([]);
    expect(await addressOf(ada)).toBe(ada.email);
  });

  it('F46: the takeover: a stolen session moves the account, and the revert throws the attacker out', async () => {
    const stolen = await signInAs(t.app, ada.id);
    const mailbox = `eve${accounts}@evil.example`;
    // Eve moves the account twice, sets a password and keeps sessions of both kinds.
    await post('change-email', { email: mailbox }, stolen).expect(202);
    await confirm((await MemoryMailer.of(t.app)).last('email_change').token).expect(200);
    const [undo] = (await newMails(t.app)).filter(({ to }) => to.address === ada.email) as { token?: string }[];
    await users().setPassword(ada.id, 'a password of Eve');
    t.clock.advance(1);
    const again = (await login(mailbox, 'a password of Eve').expect(200)).get('Set-Cookie')![0]!.split(';')[0]!;
    const second = `eve${accounts}@two.example`;
    await post('change-email', { email: second }, again).expect(202);
    await confirm((await MemoryMailer.of(t.app)).last('email_change').token).expect(200);
    const evesUndo = (await MemoryMailer.of(t.app)).last('email_changed').token;
    const jwt = (await post('token', { email: second, password: 'a password of Eve' }).expect(200)).body
      .token as string;
    const evesReset = await t.app.get(EphemeralTokenService).issue('password_reset', { username: second });
    await newMails(t.app);

    t.clock.advance(days(2));
    await revert(undo!.token!).expect(200);
    expect(await addressOf(ada)).toBe(ada.email);
    await session(again).expect(401);
    await request(t.url).get('/auth/session').set('Authorization', `Bearer ${jwt}`).expect(401);
    for (const email of [mailbox, second, ada.email]) await login(email, 'a password of Eve').expect(401);
    await login(ada.email, PASSWORD).expect(401);
    await revert(evesUndo).expect(400);
    const tokens = t.app.get(EphemeralTokenService);
    expect(await tokens.peek('password_reset', evesReset)).toBeNull();

    const mails = await newMails(t.app);
    expect(new Map(mails.map(({ kind, to }) => [kind, to.address]))).toEqual(
      new Map([
        ['email_reverted', second],
        ['password_reset', ada.email],
      ]),
    );
    const reset = mails.find(({ kind }) => kind === 'password_reset') as { token?: string } | undefined;
    expect(await tokens.peek('password_reset', reset!.token!)).toEqual({ username: ada.email });
    expect(heard.filter(({ type }) => type === 'email.reverted')).toHaveLength(1);
    await revert(undo!.token!).expect(400);
    await users().setPassword(ada.id, NEW_PASSWORD);
    t.clock.advance(1);
    await login(ada.email, NEW_PASSWORD).expect(200);
  });

  it('F46: a thief who moves the account twice and takes the second change back does not void the link of the owner', async () => {
    const owners = await changed();
    await t.app.get(RateLimitService).clear('mail_ip', '127.0.0.1');
    const moved = async (email: string) => {
      // As on a machine whose clock is behind.
      t.clock.advance(-seconds(1));
      await t.app.get(RateLimitService).clear('email_send', ada.id);
      await confirm(await askForLink(email)).expect(200);
      return (await MemoryMailer.of(t.app)).last('email_changed').token;
    };
    const thiefs = [await moved(`eve${accounts}@two.example`), await moved(`eve${accounts}@three.example`)];
    await revert(thiefs[0]!).expect(200);
    expect(await addressOf(ada)).toBe(next);
    cookie = await signInAs(t.app, ada.id);
    thiefs.push(await moved(`eve${accounts}@four.example`));
    await revert(owners).expect(200);
    expect(await addressOf(ada)).toBe(ada.email);
    for (const token of thiefs) await revert(token).expect(400);
    expect(await addressOf(ada)).toBe(ada.email);
  });

  it('F46: an account without a password has none after the revert either', async () => {
    await users().setPasswordHash(ada.id, '!');
    t.clock.advance(1);
    cookie = await signInAs(t.app, ada.id);
    const undo = await changed();
    await newMails(t.app);
    await revert(undo).expect(200);
    expect(await users().findPasswordHash(ada.id)).toBe('!');
    expect((await newMails(t.app)).map(({ kind }) => kind)).toEqual(['email_reverted']);
  });

  it('F46: a revert to an address that somebody else has by now changes nothing', async () => {
    const undo = await changed();
    await createUser(t.app, ada.email);
    await revert(undo).expect(400);
    expect(await addressOf(ada)).toBe(next);
    await login(next, PASSWORD).expect(200);
  });

  it('F22: while the change cannot be written the link is not spent', async () => {
    const token = await askForLink();
    await newMails(t.app);
    await t.db.query(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$`);
    await t.db.query(`CREATE TRIGGER refuse BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION refuse()`);
    await confirm(token).expect(503);
    expect(await newMails(t.app)).toEqual([]);
    await t.db.query('DROP TRIGGER refuse ON users');
    const undo = await confirm(token)
      .expect(200)
      .then(async () => (await MemoryMailer.of(t.app)).last('email_changed').token);
    await t.db.query(`CREATE TRIGGER refuse BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION refuse()`);
    await revert(undo).expect(503);
    expect(await addressOf(ada)).toBe(next);
    await t.db.query('DROP TRIGGER refuse ON users');
    await t.db.query('DROP FUNCTION refuse');
    await login(next, PASSWORD).expect(200);
    await revert(undo).expect(200);
  });

  it('F10: a token of another flow, or of the other step, opens nothing and is not spent', async () => {
    const tokens = t.app.get(EphemeralTokenService);
    const reset = await tokens.issue('password_reset', { username: ada.email });
    const step = await askForLink();
    await confirm(reset).expect(400);
    await revert(reset).expect(400);
    await revert(step).expect(400);
    expect(await tokens.peek('password_reset', reset)).not.toBeNull();
    await confirm(step).expect(200);
    const undo = (await MemoryMailer.of(t.app)).last('email_changed').token;
    await confirm(undo).expect(400);
    const jwt = t.app.get(JwtCodecService).encode(ada.id).token;
    await confirm(jwt).expect(400);
    await revert(undo).expect(200);
  });

  it.each<[string, string, object, string]>([
    ['roles', 'change-email', { email: 'a@example.com', roles: ['admin'] }, 'roles'],
    ['an id', 'change-email', { email: 'a@example.com', id: '1' }, 'id'],
    ['a verified address', 'change-email', { email: 'a@example.com', emailVerifiedAt: 1 }, 'emailVerifiedAt'],
    ['two mailboxes', 'change-email', { email: 'a@example.com,b@evil.example' }, 'email'],
    ['no address', 'change-email', {}, 'email'],
    ['a list', 'change-email', { email: ['a@example.com'] }, 'email'],
    ['a user id', 'confirm-email-change', { token: 'x', userId: '1' }, 'userId'],
    ['no token', 'confirm-email-change', {}, 'token'],
    ['a number', 'revert-email-change', { token: 7 }, 'token'],
  ])('F21: a body with %s is 422 and names it', async (_, path, body, field) => {
    const refused = await post(path, body, cookie).expect(422);
    expect(refused.body).toMatchObject({ code: 'INVALID_INPUT', fields: { [field]: expect.any(String) } });
    expect(Object.keys(refused.body.fields)).toEqual([field]);
    expect(await newMails(t.app)).toEqual([]);
  });

  it('JSON that is sent as a form is refused, and no piece of it comes back', async () => {
    const sent = JSON.stringify({ token: 'CANARY' });
    const form = (path: string) => request(t.url).post(`/auth/${path}`).type('form').send(sent);
    const refused = await form('confirm-email-change').expect(422);
    // Fastify parses no forms unless it is told to.
    expect(refused.body.code).toBe('INVALID_INPUT');
    expect(refused.text).not.toContain('CANARY');
  });

  it('F16: three mails for one account, and the answer does not change; a page of another site is refused', async () => {
    const answers = new Set<string>();
    for (let i = 0; i < 5; i++) answers.add((await change(`many${i}.${accounts}@example.com`).expect(202)).text);
    expect(answers.size).toBe(1);
    expect(await newMails(t.app)).toHaveLength(3);
    await change().set('Sec-Fetch-Site', 'cross-site').expect(403);
    await post('change-email', { email: next }).expect(401);
  });
});
