import type { HttpServer } from '@nestjs/common';
import cookieParser from 'cookie-parser';
import type { IncomingMessage } from 'node:http';

type WithCookies = IncomingMessage & { cookies?: unknown };
type Next = () => void;
interface FastifyHooks {
  addHook(name: 'onRequest', hook: (request: { raw: WithCookies }, reply: unknown, done: Next) => void): unknown;
}

const parse = cookieParser() as unknown as (request: WithCookies, response: null, next: Next) => void;
const nothing = () => {};

/** Parses when somebody asks: filling in a request costs Express more than everything that our guard does with it. */
const lazily = {
  configurable: true,
  enumerable: true,
  get(this: WithCookies): unknown {
    this.cookies = undefined;
    parse(this, null, nothing);
    return this.cookies;
  },
  set(this: WithCookies, value: unknown): void {
    Object.defineProperty(this, 'cookies', { configurable: true, enumerable: true, writable: true, value });
  },
};

/**
 * `request.cookies` (on Fastify `request.raw.cookies`) as cookie-parser has them, for the host's handlers; a
 * cookie-parser that the host mounted before keeps its result. On the server itself, since a middleware of Nest's
 * matches the path of every request anew.
 */
export function mountCookieParser(adapter: HttpServer): void {
  const offer = (request: WithCookies): void => {
    if (!request.cookies) Object.defineProperty(request, 'cookies', lazily);
  };
  if (adapter.getType() === 'fastify') {
    const server = adapter.getInstance() as FastifyHooks;
    server.addHook('onRequest', ({ raw }, _reply, done) => {
      offer(raw);
      done();
    });
    return;
  }
  adapter.use((request: WithCookies, _response: unknown, next: Next) => {
    offer(request);
    next();
  });
}
