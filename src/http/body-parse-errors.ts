import { SetMetadata, type Type } from '@nestjs/common';
import { PATH_METADATA } from '@nestjs/common/constants.js';
import type { HttpAdapterHost } from '@nestjs/core';
import type { NextFunction, Request, Response } from 'express';
import { AuthError } from '../auth.errors.js';

/**
 * Handles bodies that the adapter cannot parse, on our routes, before Nest calls a handler. A route that takes a body
 * answers 422 as for any other wrong one; body-parser would quote a piece of it in its message, and with it the
 * password. The other routes take no body, so no body can keep a logout from ending the session.
 */
export function mountBodyRules(
  adapter: HttpAdapterHost['httpAdapter'],
  path: string,
  controllers: readonly Type[],
): void {
  if (adapter.getType() === 'express') adapter.use(expressBodyErrors(path, controllers));
  if (adapter.getType() === 'fastify') addFastifyHook(adapter.getInstance<FastifyLike>());
}

/**
 * Nest passes this metadata of a handler to Fastify as the route's `config`, like `@RouteConfig`, but without depending
 * on that package.
 */
const FASTIFY_ROUTE_CONFIG = '__fastify_route_config__';
const BODY = 'nestjs-latchkey.body';

/** Marks a route of ours that reads its body. */
export const TakesBody = () => SetMetadata(FASTIFY_ROUTE_CONFIG, { [BODY]: 'taken' });

/** Marks a route of ours that ignores its body. */
export const TakesNoBody = () => SetMetadata(FASTIFY_ROUTE_CONFIG, { [BODY]: 'ignored' });

/** For what body-parser and Fastify answer with a 4xx; too large (413) stays as it is. */
const UNREADABLE = new Set<unknown>([400, 415]);

function isUnreadable(error: unknown): boolean {
  return UNREADABLE.has((error as { statusCode?: unknown } | null)?.statusCode);
}

function notJson(): AuthError {
  const fields = { body: 'must be a JSON object' };
  return new AuthError('INVALID_INPUT', 'The body is not JSON.', { fields });
}

function expressBodyErrors(path: string, controllers: readonly Type[]) {
  const mounted = path.replaceAll(/^\/+|\/+$/g, '').replaceAll(/[^\w/-]/g, '.');
  const routes = controllers.flatMap(routesOf);
  const below = (body: 'taken' | 'ignored') => {
    const paths = routes.filter((route) => route.body === body).map((route) => route.path);
    return new RegExp(`/${mounted}/(${paths.join('|')})/?$`, 'i');
  };
  const takesBody = below('taken');
  const takesNone = below('ignored');
  // Four parameters make it an error handler.
  return (error: unknown, request: Request, _response: Response, next: NextFunction): void => {
    // body-parser's errors have a type; errors of other middleware are not about the body.
    const isOfBody = typeof (error as { type?: unknown } | null)?.type === 'string';
    const asked = isOfBody ? decoded(request.originalUrl.split('?')[0]!) : '';
    if (isOfBody && takesNone.test(asked)) next();
    else next(isUnreadable(error) && takesBody.test(asked) ? notJson() : error);
  };
}

/** The marked handlers of a controller; their paths as regular expressions. */
function routesOf({ prototype }: Type): { path: string; body: unknown }[] {
  const handlers = Object.getOwnPropertyNames(prototype).map((name) => Reflect.get(prototype, name) as object);
  return handlers.flatMap((handler) => {
    const path = Reflect.getMetadata(PATH_METADATA, Object(handler)) as string | undefined;
    const config = Reflect.getMetadata(FASTIFY_ROUTE_CONFIG, Object(handler)) as FastifyRoute['config'];
    return path === undefined ? [] : [{ path: path.replaceAll(/:\w+/g, '[^/]+'), body: config?.[BODY] }];
  });
}

/** The router decodes the path, so `/auth/logi%6e` is the same route. */
function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

interface FastifyRoute {
  config?: { [BODY]?: 'taken' | 'ignored' };
  errorHandler?: (error: unknown) => never;
  onRequest?: FastifyOnRequest | FastifyOnRequest[];
}
type FastifyOnRequest = (request: { raw: { headers: Request['headers'] } }, reply: unknown, done: () => void) => void;

interface FastifyLike {
  addHook(name: 'onRoute', hook: (route: FastifyRoute) => void): void;
}

function addFastifyHook(fastify: FastifyLike): void {
  fastify.addHook('onRoute', (route) => {
    const body = route.config?.[BODY];
    if (body === 'ignored') route.onRequest = [...[route.onRequest ?? []].flat(), withoutBody];
    if (body !== 'taken') return;
    // Nest's own handler, which calls the filters, receives what this one throws.
    route.errorHandler = (error) => {
      throw isUnreadable(error) ? notJson() : error;
    };
  });
}

/** By these headers Fastify decides whether there is a body to parse; Node discards what is not read. */
const withoutBody: FastifyOnRequest = ({ raw: { headers } }, _reply, done) => {
  for (const name of ['content-type', 'content-length', 'transfer-encoding']) delete headers[name];
  done();
};
