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
  if (adapter.getType() === 'express') return mountOnExpress(adapter);
  adapter.use((request: WithCookies, _response: unknown, next: Next) => {
    if (!request.cookies) define(request, lazily);
    next();
  });
}

/**
 * On Express a new property of a request takes more than a microsecond. So the cookies are a property of what all
 * requests inherit from, there for those that our middleware has seen: a cookie-parser in front of it must find none.
 */
function mountOnExpress(adapter: HttpServer): void {
  const seen = new WeakSet<object>();
  const { request: shared } = adapter.getInstance() as { request: WithCookies };
  define(shared, {
    ...lazily,
    get(this: WithCookies) {
      return seen.has(this) ? lazily.get.call(this) : undefined;
    },
  });
  adapter.use((request: object, _response: unknown, next: Next) => {
    seen.add(request);
    next();
  });
}

function define(target: WithCookies, cookies: PropertyDescriptor): void {
  Object.defineProperty(target, 'cookies', cookies);
  target.signedCookies ??= Object.freeze(Object.create(null));
}
