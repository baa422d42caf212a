import { RequestMethod, type Type } from '@nestjs/common';
import { METHOD_METADATA, PATH_METADATA } from '@nestjs/common/constants.js';
import type { ModulesContainer } from '@nestjs/core';
import { routePlaceOf } from './route-place.js';

/**
 * The path at which the application serves a handler of ours, with its prefix, version and module path: the first of
 * them. `null` if it is not mounted.
 */
export function pathOfHandler(modules: ModulesContainer, controller: Type, handler: string): string | null {
  const target = Object(Reflect.get(controller.prototype as object, handler)) as object;
  const methodPath = Reflect.getMetadata(PATH_METADATA, target) as string;
  const method = Reflect.getMetadata(METHOD_METADATA, target) as RequestMethod;
  for (const module of modules.values()) {
    for (const { metatype } of module.controllers.values()) {
      if (typeof metatype !== 'function' || !(metatype.prototype instanceof controller)) continue;
      const { paths, place } = routePlaceOf(metatype as Type, module, modules);
      const [path] = paths.create({ ...place, methodPath }, method);
      if (path !== undefined) return path;
    }
  }
  return null;
}
