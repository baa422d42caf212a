import { Controller, Get, Post } from '@nestjs/common';
import {
  CurrentUser,
  EphemeralTokenService,
  JwtCodecService,
  OptionalAuth,
  Public,
  RateLimit,
  SessionService,
  type AuthUser,
} from 'nestjs-latchkey';
import { ModulesContainer } from '@nestjs/core';
import { AllowApiKey } from 'nestjs-latchkey/flows';
import { signInAs } from 'nestjs-latchkey/testing';
import request from 'supertest';
import { mountedRoutes } from '../../src/openapi/mounted-routes.js';
import { createUser, PASSWORD, type TestApp } from '../support/app.js';
import { flowVisitsOf } from './flow-routes.js';

@Controller()
export class PagesController {
  @Public()
  @Get('public')
  open() {
    return { open: true };
  }

  @Get('guarded')
  guarded(@CurrentUser() user: AuthUser) {
    return { id: user.id };
  }

  @AllowApiKey('notes:read')
  @Get('by-key')
  byKey(@CurrentUser() user: AuthUser) {
    return { id: user.id };
  }

  @OptionalAuth()
  @Get('optional')
  optional(@CurrentUser() user: AuthUser | null) {
    return { id: user?.id ?? null };
  }

  @Public()
  @RateLimit({ event: 'email_send', by: 'ip' })
  @Post('limited')
  limited() {
    return { sent: true };
  }
}

/** What a request comes with. */
type Credential = 'none' | 'live' | 'ended' | 'password' | 'wrong password' | 'once';

export interface Visit {
  readonly name: string;
  readonly credential: Credential;
  /** The answer while nothing is wrong. */
  readonly healthy: number;
  /** Whether it can be answered without PostgreSQL or Redis. */
  readonly needsNothing?: boolean;
  /** Whether something is written for it. */
  readonly writes?: boolean;
  send(): request.Test;
  /** For one that can be done once (`once`): whether it has, although its answer was lost. */
  readonly happened?: () => Promise<boolean>;
  /** For one that ends what it comes with, opens a session or mails: what must hold once it got its healthy answer. */
  readonly done?: (answer: request.Response) => Promise<boolean>;
}

export interface Visits {
  readonly all: readonly Visit[];
  /** The single-use token that none of them has used. */
  readonly token: string;
  readonly owner: AuthUser;
}

/**
 * Logs people in, and answers how they visit every public route, with every kind of credential that it can come with. What
 * ends a session has one of its own. In between time may pass.
 */
export async function visitorsOf(t: TestApp, name: string): Promise<() => Promise<Visits>> {
  const owner = await createUser(t.app, `${name}-owner@example.com`);
  const leaving = await createUser(t.app, `${name}-leaving@example.com`);
  const sessions = t.app.get(SessionService);
  const cookies = { live: '', logout: '', one: '', all: '', ended: '' };
  for (const key of ['live', 'logout', 'one', 'ended'] as const) cookies[key] = await signInAs(t.app, owner.id);
  cookies.all = await signInAs(t.app, leaving.id);
  const bearer = (await sessions.create(owner.id)).token;
  const other = await sessions.create(owner.id);
  const ended = (await sessions.create(owner.id)).token;
  await request(t.url).post('/auth/logout').set('Cookie', cookies.ended).set('Authorization', `Bearer ${ended}`);
  return async () => {
    const visits = await visitsOf(t, owner, { cookies, bearer, other, ended });
    return { ...visits, all: [...visits.all, ...(await flowVisitsOf(t, name))] };
  };
}

/** The public routes of ours that none of these visits: every route of a flow has to be here. */
export function missingRoutes({ app }: TestApp, visits: readonly Visit[]): string[] {
  const mounted = mountedRoutes(app.get(ModulesContainer), { ignoreGlobalPrefix: false });
  const visited = new Set(visits.map(({ name }) => name.split(',')[0]));
  const names = mounted.map(({ method, path }) => `${method.toUpperCase()} ${path.replace('/auth/', '')}`);
  return names.map((name) => name.replaceAll(/\{(\w+)\}/g, ':$1')).filter((name) => !visited.has(name));
}

interface Credentials {
  readonly cookies: Record<'live' | 'logout' | 'one' | 'all' | 'ended', string>;
  readonly bearer: string;
  readonly other: { readonly token: string; readonly session: { readonly handle: string } };
  readonly ended: string;
}

async function visitsOf(t: TestApp, owner: AuthUser, { cookies, bearer, other, ended }: Credentials): Promise<Visits> {
  const jwt = t.app.get(JwtCodecService).encode(owner.id).token;
  const token = await t.app.get(EphemeralTokenService).issue('password_reset', { username: owner.email });

  const get = (path: string, headers: Record<string, string> = {}) => request(t.url).get(path).set(headers);
  const post = (path: string, headers: Record<string, string> = {}) => request(t.url).post(path).set(headers);
  const isDead = (headers: Record<string, string>) => async () => (await get('/guarded', headers)).status === 401;
  const ending = (name: string, headers: Record<string, string>, send: () => request.Test) =>
    ({ name, credential: 'live', healthy: 200, writes: true, send, done: isDead(headers) }) as const;
  const of = (token: string) => ({ Authorization: `Bearer ${token}` });
  const live = { Cookie: cookies.live };
  const credentials = { email: owner.email, password: PASSWORD };
  return {
    owner,
    token,
    all: [
      { name: 'a public page', credential: 'none', healthy: 200, needsNothing: true, send: () => get('/public') },
      {
        name: 'a guarded page, anonymous',
        credential: 'none',
        healthy: 401,
        needsNothing: true,
        send: () => get('/guarded'),
      },
      {
        name: 'a guarded page, a junk cookie',
        credential: 'none',
        healthy: 401,
        needsNothing: true,
        send: () => get('/guarded', { Cookie: '__Host-session=junk' }),
      },
      {
        name: 'an optional page, anonymous',
        credential: 'none',
        healthy: 200,
        needsNothing: true,
        send: () => get('/optional'),
      },
      { name: 'a guarded page, cookie', credential: 'live', healthy: 200, send: () => get('/guarded', live) },
      {
        name: 'a guarded page, bearer token',
        credential: 'live',
        healthy: 200,
        send: () => get('/guarded', of(bearer)),
      },
      { name: 'a guarded page, JWT', credential: 'live', healthy: 200, send: () => get('/guarded', of(jwt)) },
      { name: 'an optional page, cookie', credential: 'live', healthy: 200, send: () => get('/optional', live) },
      {
        name: 'a guarded page, ended cookie',
        credential: 'ended',
        healthy: 401,
        send: () => get('/guarded', { Cookie: cookies.ended }),
      },
      {
        name: 'a guarded page, ended bearer token',
        credential: 'ended',
        healthy: 401,
        send: () => get('/guarded', of(ended)),
      },
      { name: 'GET session', credential: 'live', healthy: 200, send: () => get('/auth/session', live) },
      { name: 'GET sessions', credential: 'live', healthy: 200, send: () => get('/auth/sessions', live) },
      { name: 'a limited page', credential: 'none', healthy: 201, writes: true, send: () => post('/limited') },
      {
        name: 'POST login',
        credential: 'password',
        healthy: 200,
        writes: true,
        send: () => post('/auth/login').send(credentials),
        done: async ({ headers }) => {
          const cookie = headers['set-cookie']![0]!.split(';')[0]!;
          return (await get('/guarded', { Cookie: cookie })).status === 200;
        },
      },
      {
        name: 'POST token',
        credential: 'password',
        healthy: 200,
        writes: true,
        send: () => post('/auth/token').send(credentials),
        done: async ({ body }) => (await get('/guarded', of((body as { token: string }).token))).status === 200,
      },
      {
        name: 'POST login, wrong password',
        credential: 'wrong password',
        healthy: 401,
        writes: true,
        send: () => post('/auth/login').send({ ...credentials, password: 'not this one' }),
      },
      ending('POST logout', { Cookie: cookies.logout }, () => post('/auth/logout', { Cookie: cookies.logout })),
      {
        name: 'POST logout, anonymous',
        credential: 'none',
        healthy: 200,
        needsNothing: true,
        send: () => post('/auth/logout'),
      },
      ending('DELETE sessions/:handle', of(other.token), () =>
        request(t.url).delete(`/auth/sessions/${other.session.handle}`).set({ Cookie: cookies.one }),
      ),
      ending('POST logout-all', { Cookie: cookies.all }, () => post('/auth/logout-all', { Cookie: cookies.all })),
    ],
  };
}
