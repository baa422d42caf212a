import { beforeEach, describe, expect, it } from '@jest/globals';
import {
  AuthTransaction,
  hours,
  minutes,
  PostgresUserDirectory,
  RateLimitService,
  SessionService,
  type AuthUser,
} from 'nestjs-latchkey';
import { AuditLog } from 'nestjs-latchkey/engine';
import { AdminService } from 'nestjs-latchkey/flows';
import { signInAs } from 'nestjs-latchkey/testing';
import { createUser, PASSWORD, PLATFORMS, startTestApp } from '../support/app.js';
import { PAGES, PlainBrowser, type PageAnswer } from '../support/pages.js';
import { eventsHeard, sharedTestApp } from '../support/shared-app.js';
import { createProxiedDatabase } from '../support/tcp-proxy.js';

interface ListedHandle {
  readonly handle: string;
  readonly current: boolean;
}

const HOSTILE = '"><script>alert(1)</script>';
const SHOWN = ['admin', 'admin-user', 'admin-events', 'admin-limits'];
const DONE = ['admin-disable', 'admin-enable', 'admin-end-session', 'admin-end-sessions'];

describe.each(PLATFORMS)('the pages for operators on %s', (platform) => {
  const t = sharedTestApp({
    platform,
    auth: { ...PAGES, jwt: { sessions: true }, session: { maxPerUser: 40 }, flows: { ...PAGES.flows, admin: {} } },
  });
  const heard = eventsHeard(t);
  const users = () => t.app.get(PostgresUserDirectory);
  let ada: AuthUser;
  let bob: AuthUser;
  let browser: PlainBrowser;
  beforeEach(async () => {
    t.clock.advance(hours(1));
    [ada, bob] = [await createUser(t.app), await createUser(t.app)];
    browser = new PlainBrowser(t.url);
    heard.length = 0;
  });

  const visitAs = async (roles: string[], age = 0) => {
    await users().setRoles(ada.id, roles);
    const cookie = await signInAs(t.app, ada.id, age === 0 ? {} : { authenticatedAt: t.clock.now() - age });
    const [name, value] = cookie.split(/=(.*)/s) as [string, string];
    browser.cookies.set(name, value);
  };
  const written = () => t.app.get(AuditLog).flush();
  const sessionsOf = async ({ id }: AuthUser) => (await t.app.get(SessionService).listForUser(id)).length;

  it('nobody sees them without a role, a session, or a fresh proof, and nothing is done', async () => {
    for (const page of SHOWN) expect((await browser.open(page)).to).toMatch(/^sign-in\?again/);
    for (const page of DONE) expect((await browser.post(`${page}?id=${bob.id}`)).to).toMatch(/^sign-in\?again/);
    await visitAs(['user', 'administrator']);
    for (const page of SHOWN) expect((await browser.open(page)).status).toBe(403);
    for (const page of DONE) expect((await browser.post(`${page}?id=${bob.id}`)).status).toBe(403);
    await visitAs(['admin'], minutes(20));
    for (const page of SHOWN) expect((await browser.open(page)).to).toMatch(/^step-up\?next=admin/);
    for (const page of DONE) expect((await browser.post(`${page}?id=${bob.id}`)).to).toBe('step-up?next=admin');
    expect((await users().findById(bob.id))!.disabledAt).toBeNull();
    expect(heard.filter(({ type }) => type === 'admin.acted')).toEqual([]);
  });

  it('an auditor sees everything and does nothing', async () => {
    await visitAs(['auditor']);
    for (const page of SHOWN) expect((await browser.open(`${page}?id=${bob.id}`)).status).toBe(200);
    expect((await browser.open(`admin-user?id=${bob.id}`)).text).not.toContain('admin-disable');
    for (const page of DONE) expect((await browser.post(`${page}?id=${bob.id}`)).status).toBe(403);
    expect((await users().findById(bob.id))!.disabledAt).toBeNull();
  });

  it('what a transaction around it takes back is not told', async () => {
    const undo = new Error('undo');
    const acted = t.app.get(AuthTransaction).run(async () => {
      await t.app.get(AdminService).disable(bob.id, { id: ada.id, ip: null });
      throw undo;
    });
    await expect(acted).rejects.toBe(undo);
    expect((await users().findById(bob.id))!.disabledAt).toBeNull();
    expect(heard.filter(({ type }) => type === 'admin.acted')).toEqual([]);
  });

  it('a form of a foreign page does nothing', async () => {
    await visitAs(['admin']);
    for (const page of DONE) {
      const answer = await browser.post(`${page}?id=${bob.id}`, {}, { 'Sec-Fetch-Site': 'cross-site' });
      expect(answer.status).toBe(403);
    }
    expect((await users().findById(bob.id))!.disabledAt).toBeNull();
  });

  it('an admin finds an account, disables it, and lets it in again', async () => {
    await visitAs(['admin']);
    expect((await browser.open('account')).text).toContain('<a href="admin">');
    await signInAs(t.app, bob.id);
    const found = await browser.open(`admin?q=${encodeURIComponent(bob.email.toUpperCase())}`);
    expect(found.text).toContain(`admin-user?id=${bob.id}`);
    expect(found.text).not.toContain(`admin-user?id=${ada.id}`);
    expect((await browser.open('admin?q=nobody-has-this')).text).toContain('There is no such account.');

    expect((await browser.post(`admin-disable?id=${bob.id}`)).to).toBe(`admin-user?id=${bob.id}&done`);
    expect([(await users().findById(bob.id))!.disabledAt, await sessionsOf(bob)]).toEqual([t.clock.now(), 0]);
    const page = await browser.open(`admin-user?id=${bob.id}&done`);
    expect(page.text).toContain('role="status">That has been done.');
    expect(page.text).toContain(`action="admin-enable?id=${bob.id}"`);
    expect((await browser.open(`admin?q=${bob.email}`)).text).toContain('class="lk-badge">Disabled');

    // Told once, and by whom.
    expect(heard.filter(({ type }) => type === 'session.revoked' || type === 'admin.acted')).toEqual([
      expect.objectContaining({ type: 'session.revoked', userId: bob.id, reason: 'disabled' }),
      expect.objectContaining({ type: 'admin.acted', userId: bob.id, action: 'disable' }),
    ]);
    await browser.post(`admin-enable?id=${bob.id}`);
    expect((await users().findById(bob.id))!.disabledAt).toBeNull();
    const acted = { type: 'admin.acted', userId: bob.id, adminId: ada.id, ip: expect.any(String), at: t.clock.now() };
    expect(heard.filter(({ type }) => type === 'admin.acted')).toEqual([
      { ...acted, action: 'disable' },
      { ...acted, action: 'enable' },
    ]);
  });

  it('an admin ends all sessions of somebody, and keeps their own', async () => {
    await visitAs(['admin']);
    const cookie = await signInAs(t.app, bob.id);
    expect((await browser.open(`admin-user?id=${bob.id}`)).text).toContain('aal 1');
    await browser.post(`admin-end-sessions?id=${bob.id}`);
    const answer = await fetch(`${t.url}/auth/session`, { headers: { cookie } });
    expect([answer.status, await sessionsOf(bob), await sessionsOf(ada)]).toEqual([401, 0, 1]);
    expect(heard).toContainEqual(expect.objectContaining({ type: 'admin.acted', action: 'end_sessions' }));
  });

  it('an admin ends one session of somebody, and no other', async () => {
    await visitAs(['admin']);
    const [ended, kept] = [await signInAs(t.app, bob.id), await signInAs(t.app, bob.id)];
    const statusOf = async (cookie: string) => (await fetch(`${t.url}/auth/session`, { headers: { cookie } })).status;
    const page = `admin-user?id=${bob.id}`;
    const actionsIn = ({ text }: PageAnswer) =>
      [...text.matchAll(/action="(admin-end-session\?[^"]+)"/g)].map(([, action]) => action!.replaceAll('&amp;', '&'));
    const handle = async () =>
      ((await (await fetch(`${t.url}/auth/sessions`, { headers: { cookie: ended } })).json()) as ListedHandle[]).find(
        ({ current }) => current,
      )!.handle;
    const action = `admin-end-session?id=${bob.id}&handle=${await handle()}`;
    expect(actionsIn(await browser.open(page))).toContain(action);
    // Not by the handle alone.
    expect((await browser.post(action.replace(bob.id, ada.id))).status).toBe(404);
    expect((await browser.post(action)).to).toBe(`${page}&done`);
    expect([await statusOf(ended), await statusOf(kept), await sessionsOf(ada)]).toEqual([401, 200, 1]);
    expect((await browser.post(action)).status).toBe(404);
    expect(heard.filter(({ type }) => type === 'session.revoked' || type === 'admin.acted')).toEqual([
      expect.objectContaining({ type: 'session.revoked', userId: bob.id, reason: 'revoked_by_handle' }),
      expect.objectContaining({ type: 'admin.acted', userId: bob.id, adminId: ada.id, action: 'end_session' }),
    ]);
    await visitAs(['auditor']);
    expect(actionsIn(await browser.open(page))).toEqual([]);
    expect((await browser.post(`admin-end-session?id=${bob.id}`)).status).toBe(403);
    expect(await statusOf(kept)).toBe(200);
  });

  it('a session and an event are called what people call them', async () => {
    await visitAs(['admin']);
    await signInAs(t.app, bob.id, { aal: 2 });
    expect((await browser.open(`admin-user?id=${bob.id}`)).text).toContain('aal 2, Password, Authenticator app');
    await browser.post('sign-in', { email: bob.email, password: PASSWORD });
    await written();
    await visitAs(['admin']);
    expect((await browser.open('admin-events')).text).toMatch(
      /<strong>Signed in<\/strong> <span[^>]*>login\.succeeded/,
    );
  });

  it('nobody disables their own account', async () => {
    await visitAs(['admin']);
    expect((await browser.open(`admin-user?id=${ada.id}`)).text).not.toContain('admin-disable');
    for (const id of [ada.id, ada.id.toUpperCase()]) {
      expect((await browser.post(`admin-disable?id=${id}`)).status).toBe(422);
    }
    expect((await users().findById(ada.id))!.disabledAt).toBeNull();
  });

  it.each(['', 'x', '../account', '00000000-0000-4000-8000-000000000000', `%00`, HOSTILE])(
    'an id that nobody has, %j, is a page of 404',
    async (id) => {
      await visitAs(['admin']);
      const query = id === '%00' ? id : encodeURIComponent(id);
      for (const answer of [
        await browser.open(`admin-user?id=${query}`),
        await browser.post(`admin-disable?id=${query}`),
        await browser.post(`admin-end-sessions?id=${query}`),
      ]) {
        expect([answer.status, answer.text.includes('There is no such account.')]).toEqual([404, true]);
      }
    },
  );

  it('the audit is paged, of all and of one, and names who did what', async () => {
    await visitAs(['admin']);
    await browser.post(`admin-end-sessions?id=${bob.id}`);
    for (let i = 0; i < 30; i++) await signInAs(t.app, bob.id);
    await written();
    const first = await browser.open(`admin-events?user=${bob.id}`);
    const nextOf = ({ text }: { text: string }) => /admin-events\?user=[^"]*/.exec(text)![0].replaceAll('&amp;', '&');
    expect(nextOf(first)).toMatch(/^admin-events\?user=[\w-]+&before=\d+$/);
    const last = await browser.open(nextOf(await browser.open(nextOf(first))));
    expect(last.text).toContain('admin.acted');
    expect(last.text).toContain(`adminId: ${ada.id}`);
    expect(last.text).not.toContain('rel="next"');
    const lines = (text: string) => text.match(/<li>/g)!.length;
    expect(lines(first.text)).toBe(25);
    expect(lines((await browser.open('admin-events')).text)).toBe(25);
    for (const page of ['admin?q=', 'admin?after=', 'admin-events?user=']) {
      for (const value of ['%00', '%', '%25_', '\\', 'x'.repeat(2_000)]) {
        expect((await browser.open(page + value)).status).toBe(200);
      }
    }
    for (const before of ['x', '0', '-1', '999999999999999999', '1e3']) {
      expect((await browser.open(`admin-events?before=${before}`)).status).toBe(200);
    }
  });

  it('shows who is refused by a limit, and until when', async () => {
    await visitAs(['admin']);
    const limits = t.app.get(RateLimitService);
    for (let i = 0; i < 200; i++) await limits.record('2fa_attempt', 'mallory@example.com');
    const { text } = await browser.open('admin-limits');
    expect(text).toMatch(/<bdi>mallory@example\.com<\/bdi>[^]*2fa_attempt · refused until/);
  });

  it('F87: what comes from outside is text', async () => {
    const email = `"<svg/onload=alert(1)>"@example.com`;
    await t.db.query('UPDATE users SET email = $2 WHERE id = $1', [bob.id, email]);
    await t.app.get(SessionService).create(bob.id, { userAgent: HOSTILE, ip: '192.0.2.7' });
    await fetch(`${t.url}/auth/login`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'user-agent': HOSTILE },
      body: JSON.stringify({ email: 'nobody@example.com', password: PASSWORD }),
    });
    await written();
    await visitAs(['admin']);
    for (const page of [`admin?q=${encodeURIComponent(HOSTILE)}`, 'admin', `admin-user?id=${bob.id}`, 'admin-events']) {
      const { text, status } = await browser.open(page);
      expect([status, /<svg|<script>/.test(text)]).toEqual([200, false]);
    }
  });

  it('F22: an outage is a page of 503, and nothing is done', async () => {
    await visitAs(['admin']);
    const proxied = await createProxiedDatabase();
    const own = await startTestApp({
      url: proxied.url,
      platform,
      auth: { ...PAGES, flows: { ...PAGES.flows, admin: {} }, cache: { enabled: true } },
    });
    try {
      const admin = await createUser(own.app);
      await own.app.get(PostgresUserDirectory).setRoles(admin.id, ['admin']);
      const [name, value] = (await signInAs(own.app, admin.id)).split(/=(.*)/s) as [string, string];
      const visitor = new PlainBrowser(own.url);
      visitor.cookies.set(name, value);
      expect((await visitor.open('admin')).status).toBe(200);
      proxied.goAway();
      for (const page of SHOWN) expect((await visitor.open(`${page}?id=${admin.id}`)).status).toBe(503);
      for (const page of DONE) expect((await visitor.post(`${page}?id=${admin.id}`)).status).toBe(503);
      proxied.comeBack();
      expect(visitor.cookies.get(name)).toBe(value);
    } finally {
      await own.close();
      await proxied.drop();
    }
  });

  it('F87: no page is larger than 30 kB, whatever others have typed', async () => {
    const quotes = (length: number) => '"'.repeat(length);
    await t.db.query(
      `INSERT INTO users (email, password_hash) SELECT $1 || lpad(i::text, 4, '0') || '@example.com', '!'
       FROM generate_series(1, 60) i`,
      [quotes(230)],
    );
    const limits = t.app.get(RateLimitService);
    for (let i = 0; i < 60; i++) {
      for (let n = 0; n < 10; n++) await limits.record('2fa_attempt', quotes(90) + i);
    }
    for (let i = 0; i < 25; i++) {
      await t.app.get(SessionService).create(bob.id, { userAgent: quotes(500), ip: '192.0.2.7' });
    }
    // The latest ones, once the events of all that have been written.
    await written();
    await t.db.query(
      `INSERT INTO auth_audit_events (type, at, login, ip, facts)
       SELECT 'login.failed', to_timestamp($1), $2, '192.0.2.7', jsonb_build_object('reason', $2::text)
       FROM generate_series(1, 60)`,
      [t.clock.now() / 1000, quotes(254)],
    );
    await visitAs(['admin']);
    for (const page of [`admin?q=${quotes(9)}`, `admin-user?id=${bob.id}`, 'admin-events', 'admin-limits']) {
      const { text } = await browser.open(page);
      if (!page.startsWith('admin-user')) expect(text).toContain(`${'&quot;'.repeat(42)}…`);
      expect(Buffer.byteLength(text)).toBeLessThan(30_000);
    }
  });

  it('the sessions of an account are paged', async () => {
    for (let i = 0; i < 30; i++) await t.app.get(SessionService).create(bob.id, { ip: `192.0.2.${100 + i}` });
    await written();
    await visitAs(['admin']);
    const shown = async (page: string) => (await browser.open(page)).text.match(/192\.0\.2\.\d+<\/bdi> · aal/g) ?? [];
    const first = await browser.open(`admin-user?id=${bob.id}`);
    expect(first.text).toContain(`href="admin-user?id=${bob.id}&amp;from=25" rel="next"`);
    const pages = [await shown(`admin-user?id=${bob.id}`), await shown(`admin-user?id=${bob.id}&from=25`)];
    expect(pages.map(({ length }) => length)).toEqual([25, 5]);
    expect(new Set(pages.flat()).size).toBe(30);
    for (const from of ['x', '-1', '1e3', '99999']) {
      expect((await browser.open(`admin-user?id=${bob.id}&from=${from}`)).status).toBe(200);
    }
  });

  it('F87: no page is larger than 30 kB', async () => {
    for (let i = 0; i < 60; i++) await createUser(t.app);
    await visitAs(['admin']);
    for (const page of ['admin', `admin-user?id=${bob.id}`, 'admin-events', 'admin-limits']) {
      expect(Buffer.byteLength((await browser.open(page)).text)).toBeLessThan(30_000);
    }
    const { text } = await browser.open('admin');
    expect(text).toMatch(/href="admin\?q=&amp;after=[^"]+" rel="next"/);
  });
});
