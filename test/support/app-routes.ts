import { RequestMethod, type INestApplication, type Type } from '@nestjs/common';
import { METHOD_METADATA, PATH_METADATA } from '@nestjs/common/constants.js';
import { ModulesContainer } from '@nestjs/core';

/** A route that the application serves. */
export interface AppRoute {
  readonly method: 'get' | 'post' | 'put' | 'patch' | 'delete';
  /** Below the root, with parameters as `:name`. */
  readonly path: string;
}

/** Every route of every controller that Nest has mounted, pages and the test's own among them, by path. */
export function routesOf(app: INestApplication): AppRoute[] {
  const controllers = [...app.get(ModulesContainer).values()].flatMap((module) => [...module.controllers.values()]);
  return controllers
    .flatMap(({ metatype }) => handlersOf(metatype as Type))
    .toSorted((one, other) => (one.path < other.path ? -1 : 1));
}

function handlersOf(controller: Type): AppRoute[] {
  const base = Reflect.getMetadata(PATH_METADATA, controller) as string;
  return chainOf(controller.prototype as object).flatMap((handler) => {
    const path = Reflect.getMetadata(PATH_METADATA, handler) as string | undefined;
    if (path === undefined) return [];
    const method = RequestMethod[Reflect.getMetadata(METHOD_METADATA, handler) as RequestMethod];
    const parts = [base, path].map((part) => part.replaceAll(/^\/+|\/+$/g, '')).filter((part) => part !== '');
    return [{ method: method.toLowerCase() as AppRoute['method'], path: `/${parts.join('/')}` }];
  });
}

/** The methods of a class and of those that it extends, each name once. */
function chainOf(prototype: object): object[] {
  const methods = new Map<string, object>();
  for (let at = prototype; at !== Object.prototype; at = Object.getPrototypeOf(at) as object) {
    for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(at))) {
      if (name !== 'constructor' && typeof value === 'function' && !methods.has(name))
        methods.set(name, value as object);
    }
  }
  return [...methods.values()];
}
