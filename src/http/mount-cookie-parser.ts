import type { HttpServer } from '@nestjs/common';
import cookieParser from 'cookie-parser';
import type { IncomingMessage } from 'node:http';

type WithCookies = IncomingMessage & { cookies?: unknown; signedCookies?: unknown };
type Next = () => void;

const parse = cookieParser() as unknown as (request: object, response: null, next: Next) => void;

/** Parses when somebody asks: filling in a request costs Express more than everything that our guard does with it. */
const lazily = {
  configurable: true,
  enumerable: true,
  get(this: WithCookies): unknown {
    const read: { headers: IncomingMessage['headers']; cookies?: unknown } = { headers: this.headers };
    parse(read, null, () => {});
    this.cookies = read.cookies;
    return read.cookies;
  },
  set(this: WithCookies, value: unknown): void {
    Object.defineProperty(this, 'cookies', { configurable: true, enumerable: true, writable: true, value });
  },
};

/**
 * `request.cookies` (on Fastify `request.raw.cookies`) as cookie-parser has them, for the host's handlers and
 * middleware; the result of the host's own cookie-parser stays: mount it with `app.use`. It is mounted on the server
 * itself, since for the middleware of a module Nest matches the path of every request again.
 */
export function mountCookieParser(adapter: HttpServer): void {
  adapter.use((request: WithCookies, _response: unknown, next: Next) => {
    if (!request.cookies) {
      Object.defineProperty(request, 'cookies', lazily);
      request.signedCookies ??= Object.create(null) as object;
    }
    next();
  });
}
