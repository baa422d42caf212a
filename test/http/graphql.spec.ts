import { beforeAll, describe, expect, it } from '@jest/globals';
import { Context, Mutation, Query, Resolver } from '@nestjs/graphql';
import { CurrentUser, HttpSessions, minutes, OptionalAuth, Public, RateLimit } from 'nestjs-latchkey';
import { signInAs } from 'nestjs-latchkey/testing';
import type { Request, Response } from 'express';
import request from 'supertest';
import { createUser } from '../support/app.js';
import { apollo } from '../support/graphql.js';
import { sharedTestApp } from '../support/shared-app.js';
import { hideSessions } from '../support/stored.js';
import { redisUrls } from '../support/variant.js';

@Resolver()
class MeResolver {
  constructor(private readonly http: HttpSessions) {}

  @Query('me')
  me(@CurrentUser('email') email: string) {
    return email;
  }

  @Public()
  @Query('open')
  open(@CurrentUser('email') email: string | null) {
    return email ?? 'nobody';
  }

  @OptionalAuth()
  @Query('who')
  who(@CurrentUser('email') email: string | null) {
    return email ?? 'nobody';
  }

  @Public()
  @Query('asked')
  async asked(@Context() { req, res }: { req: Request; res: Response }) {
    return (await this.http.current(req, res))?.user.email ?? 'nobody';
  }

  @Public()
  @Mutation('askAndLeave')
  async askAndLeave(@Context() { req, res }: { req: Request; res: Response }) {
    const before = await this.http.current(req, res);
    await this.http.end(req, res);
    return `${before?.user.email} ${(await this.http.current(req, res))?.user.email}`;
  }

  @Public()
  @Mutation('leave')
  async leave(@Context() { req, res }: { req: Request; res: Response }) {
    await this.http.end(req, res);
    return 'left';
  }

  @Public()
  @RateLimit({ event: 'email_send' })
  @Query('limited')
  limited() {
    return 'sent';
  }

  @Mutation('change')
  change(@CurrentUser('email') email: string) {
    return email;
  }
}

describe('GraphQL (Apollo on Express) behind the global guard', () => {
  const t = sharedTestApp({
    providers: [MeResolver],
    imports: [
      apollo(
        'type Query { me: String open: String who: String limited: String asked: String } type Mutation { change: String leave: String askAndLeave: String }',
      ),
    ],
  });
  let cookie: string;
  beforeAll(async () => {
    cookie = await signInAs(t.app, (await createUser(t.app, 'ada@example.com')).id);
  });

  const ask = (query: string, headers: Record<string, string> = {}) =>
    request(t.url).post('/graphql').set(headers).send({ query });

  it('knows the user; public and optional fields behave', async () => {
    const { body, headers } = await ask('{ me who open }', { Cookie: cookie });
    expect(body).toEqual({ data: { me: 'ada@example.com', who: 'ada@example.com', open: 'nobody' } });
    expect(headers['cache-control']).toBe('no-store');
  });

  it('refuses the guarded field with our code, and answers the others', async () => {
    const { body } = await ask('{ me who open }');
    expect(body.data).toEqual({ me: null, who: 'nobody', open: 'nobody' });
    expect(body.errors).toHaveLength(1);
    expect(body.errors[0]).toMatchObject({
      path: ['me'],
      message: 'Authentication required.',
      extensions: { code: 'UNAUTHENTICATED' },
    });
  });

  const aliases = (field: string, count = 500) =>
    `{ ${Array.from({ length: count }, (_, i) => `a${i}: ${field}`).join(' ')} }`;
  const strangers = { Cookie: `__Host-session=${'A'.repeat(43)}` };

  it.each([
    ['me', 'a random cookie', () => strangers, null, 500],
    ['who', 'a random cookie', () => strangers, 'nobody', 0],
    ['me', 'a live session', () => ({ Cookie: cookie }), 'ada@example.com', 0],
    ['who', 'a random bearer token', () => ({ Authorization: `Bearer ${'A'.repeat(43)}` }), 'nobody', 0],
  ])('H6: 500 aliases of `%s` with %s: one lookup', async (field, _, headers, expected, errors) => {
    t.queries.reset();
    const { body } = await ask(aliases(field), headers());
    expect(new Set(Object.values(body.data))).toEqual(new Set([expected]));
    expect(body.errors ?? []).toHaveLength(errors);
    expect(t.queries.statements.length).toBeLessThanOrEqual(1);
  });

  it('H6: 500 aliases of a public field that asks who it is: one lookup', async () => {
    for (const [headers, who] of [
      [strangers, 'nobody'],
      [{ Authorization: 'Bearer a.b.c' }, 'nobody'],
      [{ Cookie: cookie }, 'ada@example.com'],
    ] as const) {
      t.queries.reset();
      const { body } = await ask(aliases('asked'), headers);
      expect(new Set(Object.values(body.data))).toEqual(new Set([who]));
      expect(t.queries.statements.length).toBeLessThanOrEqual(1);
    }
    const left = await signInAs(t.app, (await createUser(t.app, 'eve@example.com')).id);
    const { body } = await ask('mutation { askAndLeave }', { Cookie: left });
    expect(body.data).toEqual({ askAndLeave: 'eve@example.com undefined' });
  });

  it('H6: 500 aliases of a limited field: as many are counted as the limit admits, and hardly more are asked for', async () => {
    t.queries.reset();
    const { body } = await ask(aliases('limited'));
    expect(Object.values(body.data).filter((answer) => answer === 'sent')).toHaveLength(3);
    expect(t.queries.statements.length).toBeLessThanOrEqual(4);
    expect((await ask(aliases('limited'))).body.errors).toHaveLength(500);
  });

  it('H6: 500 aliases while the database is away: one lookup, and every field is told', async () => {
    const live = await signInAs(t.app, (await createUser(t.app)).id);
    const restore = await hideSessions(t.db);
    try {
      t.queries.reset();
      const { body } = await ask(aliases('me'), { Cookie: live });
      const codes = (body.errors as { extensions: { statusCode: number } }[]).map(({ extensions }) => extensions);
      expect(new Set(codes.map(({ statusCode }) => statusCode))).toEqual(new Set([503]));
      expect(codes).toHaveLength(500);
      expect(t.queries.statements.length).toBeLessThanOrEqual(1);
    } finally {
      await restore();
    }
  });

  // Their table is hidden, so only where they are in PostgreSQL.
  if (redisUrls() === null) {
    it('H6: 500 aliases of a limited field while nothing can be counted: asked once, and every field is told', async () => {
      await t.db.query('ALTER TABLE auth_rate_limit_events RENAME TO hidden');
      try {
        t.clock.advance(minutes(10));
        t.queries.reset();
        const { body } = await ask(aliases('limited'));
        expect(body.errors).toHaveLength(500);
        expect(body.errors[499].extensions.statusCode).toBe(503);
        expect(t.queries.statements.length).toBeLessThanOrEqual(3);
      } finally {
        await t.db.query('ALTER TABLE hidden RENAME TO auth_rate_limit_events');
      }
      expect((await ask('{ limited }')).body.data).toEqual({ limited: 'sent' });
    });
  }

  it('H6: a request that has logged out is nobody in the fields that follow', async () => {
    const left = await signInAs(t.app, (await createUser(t.app)).id);
    const { body } = await ask('mutation { first: change leave second: change }', { Cookie: left });
    expect(body.data).toEqual({ first: expect.any(String), leave: 'left', second: null });
    expect(body.errors[0].extensions.code).toBe('UNAUTHENTICATED');
  });

  it('R29: refuses a mutation from a foreign page', async () => {
    const { body } = await ask('mutation { change }', { Cookie: cookie, Origin: 'https://evil.example' });
    expect(body.errors[0].extensions.code).toBe('CROSS_ORIGIN_REQUEST');
    expect((await ask('mutation { change }', { Cookie: cookie })).body).toEqual({
      data: { change: 'ada@example.com' },
    });
  });
});
