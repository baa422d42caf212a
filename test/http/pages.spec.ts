import { Controller, Get, Post } from '@nestjs/common';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { OptionalAuth, RedirectIfAuthenticated } from 'nestjs-latchkey';
import { signInAs } from 'nestjs-latchkey/testing';
import request from 'supertest';
import { createUser, PLATFORMS, startTestApp } from '../support/app.js';
import { sharedTestApp } from '../support/shared-app.js';

@Controller()
class PagesController {
  @Get('account')
  account() {
    return 'account';
  }

  @Post('account')
  save() {
    return 'saved';
  }

  @RedirectIfAuthenticated('/')
  @Get('login')
  login() {
    return 'log in';
  }

  @OptionalAuth()
  @Get()
  home() {
    return 'home';
  }
}

const HTML = { Accept: 'text/html,application/xhtml+xml;q=0.9,*/*;q=0.8' };

describe.each(PLATFORMS)('pages (T: 4.3, RequireAuth and RedirectIfAuthed) on %s', (platform) => {
  const t = sharedTestApp({ platform, controllers: [PagesController], auth: { loginPage: '/login' } });
  let cookie: string;
  beforeAll(async () => {
    cookie = await signInAs(t.app, (await createUser(t.app, 'ada@example.com')).id);
  });

  const get = (path: string, headers: Record<string, string> = {}) => request(t.url).get(path).set(headers);

  it('T: RequireAuth plain: 303 Location /login, also for a POST', async () => {
    const answer = await get('/account', HTML).expect(303);
    expect(answer.headers['location']).toBe('/login');
    expect(answer.headers['cache-control']).toBe('no-store');
    await request(t.url).post('/account').set(HTML).expect(303).expect('Location', '/login');
  });

  it('T: with HX-Request: true: HX-Redirect /login', async () => {
    const answer = await get('/account', { ...HTML, 'HX-Request': 'true' }).expect(401);
    expect(answer.headers['hx-redirect']).toBe('/login');
    expect(answer.headers['location']).toBeUndefined();
  });

  it('T: authenticated passes', async () => {
    await get('/account', { ...HTML, Cookie: cookie }).expect(200);
  });

  it('a client that asks for JSON is answered 401', async () => {
    await get('/account', { Accept: 'application/json' }).expect(401);
    await get('/account').expect(401);
  });

  it('T: RedirectIfAuthed both ways', async () => {
    await get('/login', HTML).expect(200);
    await get('/login', { ...HTML, Cookie: cookie })
      .expect(303)
      .expect('Location', '/');
    const htmx = await get('/login', { 'HX-Request': 'true', Cookie: cookie }).expect(403);
    expect(htmx.headers['hx-redirect']).toBe('/');
    expect((await get('/login', { Cookie: cookie }).expect(403)).body.code).toBe('ALREADY_AUTHENTICATED');
  });

  it('T: ResolveSession without a cookie, with a bad one, with a good one: never blocks', async () => {
    await get('/', HTML).expect(200);
    await get('/', { ...HTML, Cookie: '__Host-session=bad' }).expect(200);
    await get('/', { ...HTML, Cookie: cookie }).expect(200);
  });

  it('without `loginPage` a browser is answered 401 too', async () => {
    const plain = await startTestApp({ url: t.db.url, platform, controllers: [PagesController] });
    await request(plain.url).get('/account').set(HTML).expect(401);
    await plain.close();
  });

  it('R28: @RedirectIfAuthenticated takes no address elsewhere', () => {
    for (const path of ['https://evil.example', '//evil.example', '/\\evil.example', 'login', '', '/a\nb']) {
      expect(() => RedirectIfAuthenticated(path)).toThrow(TypeError);
    }
  });
});
