import type { HttpServer } from '@nestjs/common';
import cookieParser from 'cookie-parser';
import type { IncomingMessage } from 'node:http';

type WithCookies = IncomingMessage & { cookies?: unknown; signedCookies?: unknown };
type Next = () => void;

const parse = cookieParser() as unknown as (request: object, response: null, next: Next) => void;

/** Parses lazily: doing it eagerly costs Express more than our whole guard. */
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
 * Provides `request.cookies` (on Fastify `request.raw.cookies`), as cookie-parser does, for the application's handlers
 * and middleware. If the application mounts a cookie-parser of its own with `app.use`, that one's result stays. It is
 * mounted on the server itself, since Nest matches the path of every request again for the middleware of a module.
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
