import { Controller, Get, Header, Post, Req, Res, Sse } from '@nestjs/common';
import { afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { CurrentUser, days, minutes, HttpSessions, Public, type AuthUser, type HttpRequest } from 'nestjs-latchkey';
import { signInAs } from 'nestjs-latchkey/testing';
import type { ServerResponse } from 'node:http';
import { of } from 'rxjs';
import request, { type Response } from 'supertest';
import { createUser, PASSWORD, PLATFORMS } from '../support/app.js';
import { sharedTestApp } from '../support/shared-app.js';

type AnyResponse = ServerResponse & { raw?: ServerResponse; hijack?: () => void };
const rawOf = (response: AnyResponse): ServerResponse => response.raw ?? response;

/** Handlers with cookies of their own, each written in another way. */
@Controller('own')
class CookiesController {
  constructor(private readonly http: HttpSessions) {}

  @Header('Set-Cookie', 'theme=dark')
  @Get('decorator')
  decorator() {
    return {};
  }

  @Get('setHeader')
  setHeader(@Res({ passthrough: true }) response: AnyResponse) {
    rawOf(response).setHeader('Set-Cookie', 'theme=dark');
    return {};
  }

  @Get('writeHead')
  writeHead(@Res() response: AnyResponse) {
    response.hijack?.();
    rawOf(response).writeHead(200, { 'Set-Cookie': 'theme=dark' });
    rawOf(response).end('{}');
  }

  @Get('writeHead-list')
  writeHeadList(@Res() response: AnyResponse) {
    response.hijack?.();
    rawOf(response).writeHead(200, ['Set-Cookie', 'theme=dark', 'Set-Cookie', 'tab=1']);
    rawOf(response).end('{}');
  }

  @Get('append')
  append(@Res({ passthrough: true }) response: AnyResponse) {
    rawOf(response).appendHeader('Set-Cookie', 'theme=dark');
    return {};
  }

  @Get('stream')
  stream(@Res() response: AnyResponse) {
    response.hijack?.();
    rawOf(response).setHeader('Set-Cookie', 'theme=dark');
    rawOf(response).flushHeaders();
    rawOf(response).end('{}');
  }

  @Sse('sse')
  @Header('Set-Cookie', 'theme=dark')
  sse() {
    return of({ data: 'x' });
  }

  @Get('plain')
  plain() {
    return {};
  }

  @Get('clears')
  clears(@Res({ passthrough: true }) response: AnyResponse) {
    rawOf(response).setHeader('Set-Cookie', '__Host-session=; Max-Age=0; Path=/; Secure');
    return {};
  }

  @Post('rotate')
  async rotate(@Req() req: HttpRequest, @Res({ passthrough: true }) res: object) {
    return { rotated: await this.http.rotate(req, res) };
  }

  @Post('rotate-and-leave')
  async rotateAndLeave(@Req() req: HttpRequest, @Res({ passthrough: true }) res: object) {
    await this.http.rotate(req, res);
    await this.http.end(req, res);
    return {};
  }

  @Public()
  @Header('Set-Cookie', 'theme=dark')
  @Post('login')
  async logIn(@Req() req: HttpRequest, @Res({ passthrough: true }) res: object) {
    const proof = { proofs: ['test'], verify: async () => this.user };
    await this.http.start(req, res, proof);
    await this.http.start(req, res, proof);
    return {};
  }

  @Get('me')
  me(@CurrentUser('email') email: string) {
    return { email };
  }

  user: AuthUser | null = null;
}

const SCHEMES = ['database', 'signed-cookie'] as const;

describe.each(PLATFORMS.flatMap((platform) => SCHEMES.map((scheme) => ({ platform, scheme }))))(
  'the cookies of an answer on $platform, scheme $scheme',
  ({ platform, scheme }) => {
    const t = sharedTestApp({ platform, controllers: [CookiesController], auth: { session: { scheme } } });
    let user: AuthUser;
    let start: number;
    beforeAll(async () => {
      user = await createUser(t.app, 'ada@example.com');
      t.app.get(CookiesController).user = user;
      start = t.clock.now();
    });
    afterEach(() => t.clock.set(start));

    /** The cookie of a session that the next request renews. */
    const dueCookie = async () => {
      const login = await request(t.url).post('/auth/login').send({ email: user.email, password: PASSWORD });
      t.clock.advance(days(29));
      return login.get('Set-Cookie')![0]!.split(';')[0]!;
    };
    const cookiesOf = (answer: Response) => answer.get('Set-Cookie') ?? [];
    const ours = (answer: Response) => cookiesOf(answer).filter((one) => one.startsWith('__Host-session='));

    it.each(['decorator', 'setHeader', 'writeHead', 'append', 'stream', 'sse'])(
      'H26: a renewal beside the cookie of a handler, by %s: both, once each',
      async (way) => {
        const answer = await request(t.url)
          .get(`/own/${way}`)
          .set('Cookie', await dueCookie());
        expect(answer.status).toBe(200);
        expect(cookiesOf(answer).filter((one) => one === 'theme=dark')).toHaveLength(1);
        expect(ours(answer)).toEqual([expect.stringMatching(/^__Host-session=[^;]+; Max-Age=2592000; Path=\/;/)]);
        expect(cookiesOf(answer)).toHaveLength(2);
      },
    );

    it('H26: beside two cookies of a handler', async () => {
      const answer = await request(t.url)
        .get('/own/writeHead-list')
        .set('Cookie', await dueCookie());
      expect(cookiesOf(answer).toSorted()).toEqual([expect.stringMatching(/^__Host-session=/), 'tab=1', 'theme=dark']);
    });

    it('H26: a login beside the cookie of a handler: both, and one of ours for two logins', async () => {
      const answer = await request(t.url).post('/own/login').expect(201);
      expect(cookiesOf(answer)).toEqual(['theme=dark', ...ours(answer), expect.stringContaining('-device=')]);
      expect(ours(answer)).toHaveLength(1);
      expect((await request(t.url).get('/own/me').set('Cookie', ours(answer)[0]!.split(';')[0]!)).status).toBe(200);
    });

    it('H27: a handler that clears the cookie itself wins over the renewal', async () => {
      const answer = await request(t.url)
        .get('/own/clears')
        .set('Cookie', await dueCookie());
      expect(cookiesOf(answer)).toEqual(['__Host-session=; Max-Age=0; Path=/; Secure']);
    });

    it.each([
      ['/auth/logout', true],
      ['/auth/logout-all', true],
      ['/own/rotate', false],
      ['/own/rotate-and-leave', true],
    ])('H27: POST %s of a session that is due for renewal: one cookie', async (path, clears) => {
      const cookie = await dueCookie();
      const answer = await request(t.url).post(path).set('Cookie', cookie);
      expect(answer.status).toBeLessThan(300);
      expect(cookiesOf(answer)).toHaveLength(1);
      expect(ours(answer)[0]!.startsWith('__Host-session=;')).toBe(clears);
      const next = clears ? cookie : ours(answer)[0]!.split(';')[0]!;
      expect((await request(t.url).get('/own/me').set('Cookie', next)).status).toBe(clears ? 401 : 200);
    });

    it('H27: ending the own session by its handle: one cookie', async () => {
      const cookie = await dueCookie();
      const { body } = await request(t.url).get('/auth/session').set('Cookie', cookie);
      t.clock.set(start);
      const again = await dueCookie();
      const session = await request(t.url).get('/auth/session').set('Cookie', again);
      expect(body.session.handle).not.toBe(session.body.session.handle);
      t.clock.advance(days(29));
      const answer = await request(t.url)
        .delete(`/auth/sessions/${session.body.session.handle}`)
        .set('Cookie', ours(session)[0]!.split(';')[0]!);
      expect(answer.status).toBe(200);
      expect(cookiesOf(answer)).toEqual([expect.stringMatching(/^__Host-session=; Max-Age=0;/)]);
    });

    it('H26: a renewal whose answer was lost is in the next answers too, except those to polling', async () => {
      const cookie = await dueCookie();
      const renewalOf = async (path: string) => ours(await request(t.url).get(path).set('Cookie', cookie).expect(200));
      expect(await renewalOf('/own/plain')).toHaveLength(1);
      t.clock.advance(minutes(5) - 1);
      expect(await renewalOf('/own/plain')).toEqual([
        expect.stringMatching(/^__Host-session=[^;]+; Max-Age=25\d{5}; /),
      ]);
      expect(await renewalOf('/auth/session?extend=false')).toEqual([]);
      t.clock.advance(1);
      // A signed cookie shows that it is not the renewed one.
      expect(await renewalOf('/own/plain')).toHaveLength(scheme === 'database' ? 0 : 1);
    });

    it('H26: a request that is not due sets no cookie', async () => {
      const cookie = await signInAs(t.app, user.id);
      expect(cookiesOf(await request(t.url).get('/own/plain').set('Cookie', cookie))).toEqual([]);
    });
  },
);
