import {
  Controller,
  createParamDecorator,
  Get,
  Module,
  type INestApplication,
  type ModuleMetadata,
} from '@nestjs/common';
import type { ExecutionContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import type { Running } from '../../harness/contender.js';
import type { Headers } from '../../harness/http-load.js';

export type Platform = 'express' | 'fastify';

/** What every contender answers `GET /me` with, and nothing else. */
export interface Me {
  readonly id: string;
  readonly email: string;
}

/** A session that is really there, and whose it is. */
export interface LiveSession {
  readonly headers: Headers;
  readonly user: Me;
}

export interface GuardedArgs {
  readonly platform: Platform;
  readonly databaseUrl: string;
  /** Who the sessions are for. */
  readonly users: readonly Me[];
  /** False for one who has made them in an earlier round: they hold. */
  readonly makesSessions: boolean;
}

export interface GuardedHello {
  readonly url: string;
  readonly sessions: readonly LiveSession[];
}

export type GuardedServer = Running<GuardedHello>;

/** Connections to the database, of everybody who uses it. */
export const POOL_SIZE = 10;
export const SECRET = 'the benchmark protects nothing: 0123456789';

/** What a hand-written guard or a peer has put on the request. */
export interface RequestWithUser {
  headers: Record<string, string | undefined>;
  user?: Me;
}

const RequestUser = createParamDecorator(
  (_: undefined, context: ExecutionContext) => context.switchToHttp().getRequest<RequestWithUser>().user,
);

@Controller('me')
export class MeController {
  @Get()
  me(@RequestUser() { id, email }: Me): Me {
    return { id, email };
  }
}

/** A listening application of this module, nothing logged. */
export async function listen(
  metadata: ModuleMetadata,
  platform: Platform,
  configure: (app: INestApplication) => void | Promise<void> = () => {},
): Promise<{ url: string; app: INestApplication }> {
  @Module(metadata)
  class GuardedModule {}
  const adapter = platform === 'express' ? new ExpressAdapter() : new FastifyAdapter();
  const app = await NestFactory.create(GuardedModule, adapter, { logger: ['error'] });
  await configure(app);
  await app.listen(0, '127.0.0.1');
  const { port } = app.getHttpServer().address() as { port: number };
  return { url: `http://127.0.0.1:${port}/me`, app };
}

/** The `Cookie` header that a browser would send back. */
export function cookieOf(setCookies: readonly string[]): string {
  return setCookies.map((line) => line.slice(0, line.indexOf(';'))).join('; ');
}
