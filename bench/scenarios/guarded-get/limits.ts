import { hash, randomBytes } from 'node:crypto';
import { Injectable, UnauthorizedException, type CanActivate, type ExecutionContext } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import type { FastifyInstance } from 'fastify';
import { Pool } from 'pg';
import type { Start } from '../../harness/contender.js';
import {
  listen,
  MeController,
  POOL_SIZE,
  type GuardedArgs,
  type GuardedHello,
  type LiveSession,
  type Me,
  type RequestWithUser,
} from './guarded-app.js';

// What is possible at all: the least that somebody would write for the same answers, into the same tables as ours.

interface Row extends Me {
  readonly session_id: string;
  readonly expires_at: Date;
  readonly absolute_expires_at: Date;
  readonly authenticated_at: Date;
  readonly disabled_at: Date | null;
  readonly tokens_invalidated_after: Date | null;
}

const COOKIE = /(?:^|; )session=([\w-]+)/;
const SELECT = `SELECT u.id, u.email, s.id AS session_id, s.expires_at, s.absolute_expires_at, s.authenticated_at,
  u.disabled_at, u.tokens_invalidated_after FROM sessions s JOIN users u ON u.id = s.user_id`;

/** No authentication at all. */
export const bareHandler: Start<GuardedArgs, GuardedHello> = async ({ platform, users }) => {
  const user = users[0]!;
  const { url, app } = await listen({ controllers: [MeController] }, platform, (application) => {
    before(application, platform, (request) => void (request.user = user));
  });
  return { hello: { url, sessions: users.map(() => ({ headers: {}, user })) }, close: () => app.close() };
};

/** A global guard that hashes the token and looks into a Map, which nobody ever invalidates. */
export const mapGuard: Start<GuardedArgs, GuardedHello> = async (args) => {
  const pool = new Pool({ connectionString: args.databaseUrl, max: POOL_SIZE });
  const sessions = args.makesSessions ? await insertSessions(pool, args.users) : [];
  const kept = new Map((await pool.query<Row>(SELECT)).rows.map((row) => [row.session_id, row]));

  @Injectable()
  class MapGuard implements CanActivate {
    canActivate(context: ExecutionContext): boolean {
      const request = context.switchToHttp().getRequest<RequestWithUser>();
      const id = sessionIdOf(request);
      const row = id === null ? undefined : kept.get(id);
      if (!isLive(row)) throw new UnauthorizedException();
      request.user = row;
      return true;
    }
  }
  const { url, app } = await listen(
    { controllers: [MeController], providers: [{ provide: APP_GUARD, useClass: MapGuard }] },
    args.platform,
  );
  return { hello: { url, sessions }, close: () => Promise.all([app.close(), pool.end()]) };
};

/** A middleware (on Fastify a hook) that asks the database with one prepared join. */
export const preparedJoin: Start<GuardedArgs, GuardedHello> = async (args) => {
  const pool = new Pool({ connectionString: args.databaseUrl, max: POOL_SIZE });
  const sessions = args.makesSessions ? await insertSessions(pool, args.users) : [];
  const text = `${SELECT} WHERE s.id = $1`;
  const { url, app } = await listen({ controllers: [MeController] }, args.platform, (application) => {
    before(application, args.platform, async (request) => {
      const id = sessionIdOf(request);
      const row = id === null ? undefined : (await pool.query<Row>({ name: 'find', text, values: [id] })).rows[0];
      if (!isLive(row)) return 401;
      request.user = row;
      return undefined;
    });
  });
  return { hello: { url, sessions }, close: () => Promise.all([app.close(), pool.end()]) };
};

function sessionIdOf({ headers }: RequestWithUser): string | null {
  const token = COOKIE.exec(headers['cookie'] ?? '')?.[1];
  return token?.length === 43 ? hash('sha256', Buffer.from(token, 'base64url'), 'hex') : null;
}

function isLive(row: Row | undefined): row is Row {
  if (!row || row.disabled_at) return false;
  const now = Date.now();
  return (
    now < row.expires_at.getTime() &&
    now < row.absolute_expires_at.getTime() &&
    (!row.tokens_invalidated_after || row.authenticated_at > row.tokens_invalidated_after)
  );
}

async function insertSessions(pool: Pool, users: readonly Me[]): Promise<LiveSession[]> {
  const sessions = [];
  for (const user of users) {
    const token = randomBytes(32);
    await pool.query(
      `INSERT INTO sessions (id, user_id, created_at, expires_at, authenticated_at, last_seen_at, absolute_expires_at)
       VALUES ($1, $2, now(), now() + interval '30 days', now(), now(), now() + interval '90 days')`,
      [hash('sha256', token, 'hex'), user.id],
    );
    sessions.push({ headers: { cookie: `session=${token.toString('base64url')}` }, user });
  }
  return sessions;
}

type Check = (request: RequestWithUser) => Promise<401 | undefined> | void;

/** Before Nest's own handling, the way that each of the two servers does it fastest. */
function before(
  app: { use(handler: unknown): unknown; getHttpAdapter(): { getInstance(): unknown } },
  platform: string,
  check: Check,
): void {
  if (platform === 'fastify') {
    const server = app.getHttpAdapter().getInstance() as FastifyInstance;
    server.addHook('onRequest', async (request, reply) => {
      if (await check(request as unknown as RequestWithUser)) await reply.code(401).send();
    });
    return;
  }
  type Response = { writeHead(status: number): { end(): void } };
  app.use(async (request: RequestWithUser, response: Response, next: () => void) => {
    const refused = await check(request);
    if (refused) response.writeHead(refused).end();
    else next();
  });
}
