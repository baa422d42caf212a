import { beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { AuthError, EphemeralTokenService, minutes, SessionService, type AuthUser } from 'nestjs-latchkey';
import { Outbox } from 'nestjs-latchkey/engine';
import { MagicLinkService } from 'nestjs-latchkey/flows';
import { MemoryMailer } from 'nestjs-latchkey/testing';
import request from 'supertest';
import { SmtpMailer } from '../app/recipes/smtp.mailer.js';
import { createUser, startTestApp } from '../support/app.js';
import { FailingMailer } from '../support/flows.js';
import { LinkBrowser, MAGIC_LINK } from '../support/magic-link.js';
import { kindsTo, mailTo, newAddress } from '../support/registration.js';
import { sharedRacers } from '../support/racers.js';
import { sharedTestApp } from '../support/shared-app.js';
import { startSmtp } from '../support/smtp-server.js';
import { createProxiedDatabase } from '../support/tcp-proxy.js';

/** `ok`, or the code of the error. */
const outcome = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'ok',
    (error: unknown) => (error instanceof AuthError ? error.code : Promise.reject(error as Error)),
  );

const t = sharedTestApp({ auth: { ...MAGIC_LINK, mailer: FailingMailer } });
let links: MagicLinkService;
beforeAll(() => {
  links = t.app.get(MagicLinkService);
});
beforeEach(() => {
  t.clock.advance(minutes(15));
});

/** A link of this user, and the browser that asked. */
async function linkOf(user: AuthUser, of = { app: t.app, links }) {
  const { browser } = of.links.request(user.email);
  return { browsers: [browser], ...(await mailTo(of, user.email, 'magic_link')) };
}

describe('F24: two processes', () => {
  const racers = sharedRacers(() => t.db.url);

  it('F24: of 100 that open one link one has a session', async () => {
    // The other processes have the time of day.
    t.clock.advance(Date.now() - t.clock.now());
    for (let round = 0; round < 3; round++) {
      const user = await createUser(t.app);
      const { token, browsers } = await linkOf(user);
      const got = await racers.run({ kind: 'magic link', times: 50, tokens: [token], binding: browsers[0]! });
      expect(got).toEqual([user.id]);
      expect(await t.app.get(SessionService).listForUser(user.id)).toHaveLength(1);
    }
  });
});

describe('F22: an outage', () => {
  it('F22: a session that cannot be written leaves a link that still works', async () => {
    const { token, code, browsers } = await linkOf(await createUser(t.app));
    await t.db.query(`CREATE FUNCTION refuse_session() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '57014'; END $$`);
    await t.db.query('CREATE TRIGGER refuse BEFORE INSERT ON sessions EXECUTE FUNCTION refuse_session()');
    try {
      for (const proof of [{ token }, { code }]) {
        expect(await outcome(links.confirm(proof, { browsers }))).toBe('STORE_UNAVAILABLE');
      }
    } finally {
      await t.db.query('DROP FUNCTION refuse_session CASCADE');
    }
    expect(await outcome(links.confirm({ code }, { browsers }))).toBe('ok');
  });

  it('F22: while the database is away both steps are STORE_UNAVAILABLE, and nothing is lost or counted', async () => {
    const database = await createProxiedDatabase();
    const away = await startTestApp({ url: database.url, auth: MAGIC_LINK });
    try {
      const of = { app: away.app, links: away.app.get(MagicLinkService) };
      const { token, code, browsers } = await linkOf(await createUser(away.app), of);
      database.goAway();
      for (let i = 0; i < 6; i++) {
        expect(await outcome(of.links.confirm(i % 2 ? { token } : { code }, { browsers }))).toBe('STORE_UNAVAILABLE');
      }
      const { status, body } = await request(away.url).post('/auth/magic-link').send({ email: newAddress() });
      expect([status, body.code]).toEqual([503, 'STORE_UNAVAILABLE']);
      database.comeBack();
      expect(await outcome(of.links.confirm({ code }, { browsers }))).toBe('ok');
    } finally {
      await away.close();
      await database.drop();
    }
  }, 60_000);

  it('F15: a mail that is not sent costs no quota, and its link is void', async () => {
    const user = await createUser(t.app);
    const mailer = t.app.get(FailingMailer);
    const lost: string[] = [];
    mailer.instead = async (mail) => {
      if (mail.kind === 'magic_link') lost.push(mail.token);
      throw new Error('no');
    };
    const { browser } = links.request(user.email);
    for (let i = 0; i < 2; i++) links.request(user.email);
    await MemoryMailer.of(t.app);
    mailer.instead = undefined;
    expect(lost).toHaveLength(3);
    expect(await outcome(links.confirm({ token: lost[0]! }, { browsers: [browser] }))).toBe('INVALID_LINK');
    expect(await t.db.query('SELECT 1 FROM auth_ephemeral_tokens WHERE username = $1', [user.email])).toEqual([]);
    for (let i = 0; i < 4; i++) links.request(user.email);
    expect(await kindsTo(t, user.email)).toEqual(['magic_link', 'magic_link', 'magic_link']);
  });
});

describe('what is sent', () => {
  const own = () => new LinkBrowser(t);

  it('F21: what a body may not have is 422, and has no effect', async () => {
    const { email } = await createUser(t.app);
    const others = { roles: ['admin'], id: '1', userId: '1', emailVerifiedAt: 1, disabledAt: null, account: '1' };
    for (const [key, value] of Object.entries(others)) {
      for (const [path, body] of [
        ['magic-link', { email }],
        ['magic-link/confirm', { token: 'A'.repeat(43) }],
      ] as const) {
        const answer = await own().post(path, { ...body, [key]: value });
        expect([answer.status, answer.body.fields]).toEqual([422, { [key]: 'is not a field here' }]);
      }
    }
    expect(await kindsTo(t, email)).toEqual([]);
  });

  it.each([{}, { token: 'A'.repeat(43), code: 'BBBB-BBBB' }, { token: 5 }, { code: ['x'] }, { code: 'x'.repeat(41) }])(
    'the wrong shape of a proof is 422: %j',
    async (body) => {
      const answer = await own().confirm(body);
      expect([answer.status, answer.body.code]).toEqual([422, 'INVALID_INPUT']);
    },
  );

  it.each([
    'https://evil.example',
    '//evil.example',
    '/\\evil.example',
    '\\\\evil.example',
    '/\t/evil.example',
    '/\n/evil.example',
    'javascript:alert(1)',
    'data:text/html,x',
    'evil.example',
    '@evil.example',
    ' /notes',
    '/notes\r\nSet-Cookie: x=1',
    '/ñ',
    '',
    null,
    ['/notes'],
    `/${'n'.repeat(2_000)}`,
  ])('F20: %j is no place to go to: 422, and no mail', async (returnTo) => {
    const { email } = await createUser(t.app);
    const answer = await own().post('magic-link', { email, returnTo });
    expect([answer.status, Object.keys(answer.body.fields)]).toEqual([422, ['returnTo']]);
    if (typeof returnTo === 'string' && returnTo.length < 2_000) {
      expect(() => links.request(email, { returnTo })).toThrow(expect.objectContaining({ code: 'INVALID_INPUT' }));
    }
    expect(await kindsTo(t, email)).toEqual([]);
  });

  it('F20: a place that somebody has written into the stored link is not handed back', async () => {
    const user = await createUser(t.app);
    const browser = own();
    const { token } = await browser.ask(user.email, { returnTo: '/notes' });
    await t.db.query(
      `UPDATE auth_ephemeral_tokens SET payload = payload || '{"returnTo":"//evil.example"}' WHERE username = $1`,
      [user.email],
    );
    const { status, body } = await browser.confirm({ token });
    expect([status, body.status, body.returnTo]).toEqual([200, 'authenticated', undefined]);
  });

  it('F18: no header of the request gets into the link', async () => {
    const { email } = await createUser(t.app);
    const forged = { Host: 'evil.example', 'X-Forwarded-Host': 'evil.example', Forwarded: 'host=evil.example' };
    expect((await own().post('magic-link', { email }, forged)).status).toBe(202);
    const { link, text } = await mailTo(t, email, 'magic_link');
    expect(link).toMatch(/^https:\/\/app\.example\.com\/log-in#/);
    expect(text).not.toContain('evil');
  });

  it('F76: the cookie of one flow is nothing in another, nor is a link that was made in another way', async () => {
    const user = await createUser(t.app);
    const { token, browsers } = await linkOf(user);
    const tokens = t.app.get(EphemeralTokenService);
    expect(await outcome(links.confirm({ token }, { browsers: [token] }))).toBe('INVALID_LINK');
    expect(await tokens.peek('register', token)).toBeNull();
    expect(await outcome(links.confirm({ token }, { browsers }))).toBe('ok');
  });
});

it('F17: over SMTP the mail goes to one mailbox, with the link and the code in it', async () => {
  const smtp = await startSmtp();
  process.env['SMTP_URL'] = `smtp://127.0.0.1:${smtp.port}`;
  process.env['MAIL_FROM'] = 'notes@example.com';
  const app = await startTestApp({ auth: { ...MAGIC_LINK, mailer: SmtpMailer } });
  try {
    const { email } = await createUser(app.app);
    const browser = new LinkBrowser(app);
    for (const name of [email, `${email},eve@example.com`, `Ada <${email}>`]) {
      await browser.post('magic-link', { email: name });
    }
    await app.app.get(Outbox).idle();
    const { received } = smtp;
    expect(received.map(({ recipients }) => recipients)).toEqual([[email]]);
    const text = received[0]!.text.replaceAll('=\r\n', '');
    const code = /[B-Z]{4}-[B-Z]{4}/.exec(text)?.[0];
    expect(text).toMatch(/https:\/\/app\.example\.com\/log-in#[\w-]{43}/);
    expect((await browser.confirm({ code })).status).toBe(200);
  } finally {
    await app.close();
    await smtp.stop();
  }
});
