import { SetMetadata, type RequestMethod, type Type } from '@nestjs/common';
import { METHOD_METADATA, PATH_METADATA } from '@nestjs/common/constants.js';
import type { HttpAdapterHost, ModulesContainer } from '@nestjs/core';
import type { NextFunction, Request, Response } from 'express';
import { AuthError } from '../auth.errors.js';
import { routePlaceOf } from './route-place.js';

/**
 * Handles bodies that the adapter cannot parse, on our routes, before Nest calls a handler. A route that takes a body
 * answers 422 as for any other wrong one; body-parser would quote a piece of it in its message, and with it the
 * password. The other routes take no body, so no body can keep a logout from ending the session.
 */
export function mountBodyRules(
  adapter: HttpAdapterHost['httpAdapter'],
  modules: ModulesContainer,
  controllers: readonly Type[],
): void {
  if (adapter.getType() === 'express') adapter.use(expressBodyErrors(modules, controllers));
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

function expressBodyErrors(modules: ModulesContainer, controllers: readonly Type[]) {
  // Not before the first of these errors: by then every controller is mounted.
  let paths: Record<'taken' | 'ignored', RegExp> | undefined;
  // Four parameters make it an error handler.
  return (error: unknown, request: Request, _response: Response, next: NextFunction): void => {
    if (!isOfBodyParser(error)) return next(error);
    paths ??= { taken: pathsThat('taken', modules, controllers), ignored: pathsThat('ignored', modules, controllers) };
    const asked = decoded(pathOf(request.originalUrl));
    if (paths.ignored.test(asked)) next();
    else next(isUnreadable(error) && paths.taken.test(asked) ? notJson() : error);
  };
}

/** Its errors have a type, those of decompression a code of zlib; errors of other middleware are not about the body. */
function isOfBodyParser(error: unknown): boolean {
  const { type, code } = Object(error ?? {}) as { type?: unknown; code?: unknown };
  return typeof type === 'string' || (typeof code === 'string' && code.startsWith('Z_'));
}

/** As the router reads it: the target may be a whole URL (RFC 9112 3.2.2), or have a fragment. */
function pathOf(target: string): string {
  return target.replace(/^[a-z][a-z\d+.-]*:\/\/[^/?#]*/i, '').split(/[?#]/, 1)[0]!;
}

/** The whole paths of our handlers that do this with their bodies: one of the application that ends like it is not ours. */
function pathsThat(body: 'taken' | 'ignored', modules: ModulesContainer, controllers: readonly Type[]): RegExp {
  const paths = [...modules.values()].flatMap((module) =>
    [...module.controllers.values()].flatMap(({ metatype }) => {
      if (typeof metatype !== 'function' || !controllers.some((ours) => metatype.prototype instanceof ours)) return [];
      const { paths, place } = routePlaceOf(metatype as Type, module, modules);
      return routesOf(metatype as Type)
        .filter((route) => route.body === body)
        .flatMap(({ path, method }) => paths.create({ ...place, methodPath: path }, method));
    }),
  );
  return new RegExp(`^(?:${paths.map(patternOf).join('|') || '(?!)'})/?$`, 'i');
}

const patternOf = (path: string): string =>
  path
    .replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')
    .replaceAll(/:\w+/g, '[^/]+')
    .replace(/\/$/, '');

/** The marked handlers of a controller, those that it inherits among them. */
function routesOf(controller: Type): { path: string; method: RequestMethod; body: unknown }[] {
  const { prototype } = Object.getPrototypeOf(controller) as Type;
  const handlers = Object.getOwnPropertyNames(prototype).map((name) =>
    Object(Reflect.get(controller.prototype as object, name)),
  ) as object[];
  return handlers.flatMap((handler) => {
    const path = Reflect.getMetadata(PATH_METADATA, handler) as string | undefined;
    const method = Reflect.getMetadata(METHOD_METADATA, handler) as RequestMethod;
    const config = Reflect.getMetadata(FASTIFY_ROUTE_CONFIG, handler) as FastifyRoute['config'];
    return path === undefined ? [] : [{ path, method, body: config?.[BODY] }];
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
