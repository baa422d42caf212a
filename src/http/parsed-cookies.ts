import type { HttpServer } from '@nestjs/common';
import cookieParser from 'cookie-parser';
import type { IncomingMessage, ServerResponse } from 'node:http';

type CookieParser = (request: IncomingMessage, response: ServerResponse, next: () => void) => void;
interface FastifyHooks {
  addHook(
    name: 'onRequest',
    hook: (request: { raw: IncomingMessage }, reply: { raw: ServerResponse }, done: () => void) => void,
  ): unknown;
}

/**
 * `request.cookies` (on Fastify `request.raw.cookies`) for the host's handlers; a cookie-parser that the host mounted
 * before keeps its result. On the server itself, since a middleware of Nest's matches the path of every request anew.
 */
export function mountCookieParser(adapter: HttpServer): void {
  const parse = cookieParser() as unknown as CookieParser;
  if (adapter.getType() !== 'fastify') return void adapter.use(parse);
  const server = adapter.getInstance() as FastifyHooks;
  server.addHook('onRequest', (request, reply, done) => parse(request.raw, reply.raw, done));
}
