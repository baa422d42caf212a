import { RequestMethod, VERSION_NEUTRAL, VersioningType, type Type, type VersioningOptions } from '@nestjs/common';
import { METHOD_METADATA, PATH_METADATA } from '@nestjs/common/constants.js';
import type { ModulesContainer } from '@nestjs/core';
import { AuthController } from '../http/auth.controller.js';
import { SecondFactorController } from '../http/flows/second-factor.controller.js';
import { FLOW_CONTROLLERS, type FlowHandler } from '../http/flows/flow-controllers.js';
import { routePlaceOf, type Version } from '../http/route-place.js';

/** The name of a handler of ours; no two controllers have one of the same name. */
export type Handler = keyof AuthController | keyof SecondFactorController | FlowHandler;

/** A route of ours as the application serves it. */
export interface MountedRoute {
  readonly handler: Handler;
  /** In lower case, as OpenAPI writes it. */
  readonly method: string;
  /** With the prefix, version and module path of the application; parameters as `{name}`. */
  readonly path: string;
  /** 1, or more where the handler is served at several paths, one for each version for example. */
  readonly nth: number;
  /** The header that tells the version, if the application chooses by one. */
  readonly versionHeader?: {
    readonly name: string;
    readonly versions: readonly string[];
    readonly isRequired: boolean;
  };
}

type Module = ModulesContainer extends Map<string, infer M> ? M : never;

/** The routes of every controller of ours in the application; Nest itself builds their paths, as it does to serve them. */
export function mountedRoutes(
  modules: ModulesContainer,
  { ignoreGlobalPrefix }: { ignoreGlobalPrefix: boolean },
): MountedRoute[] {
  return [...modules.values()].flatMap((module) =>
    [...module.controllers.values()].flatMap(({ metatype }) =>
      isOurs(metatype) ? routesOf(metatype, module, modules, ignoreGlobalPrefix) : [],
    ),
  );
}

function isOurs(metatype: unknown): metatype is Type {
  return typeof metatype === 'function' && CONTROLLERS.some((ours) => metatype.prototype instanceof ours);
}

function routesOf(
  controller: Type,
  module: Module,
  modules: ModulesContainer,
  ignoreGlobalPrefix: boolean,
): MountedRoute[] {
  const { paths, place, version, versioning } = routePlaceOf(controller, module, modules, { ignoreGlobalPrefix });
  const versionHeader = versionHeaderOf(version, versioning);
  const prototype = controller.prototype as Record<string, unknown>;
  return HANDLERS.flatMap((handler) => {
    const methodPath = metadataOf<string>(PATH_METADATA, Object(prototype[handler]));
    // Another controller's, or `routes: { login: false }` takes a handler's decorators away.
    if (methodPath === undefined) return [];
    const requestMethod = metadataOf<RequestMethod>(METHOD_METADATA, prototype[handler])!;
    const method = RequestMethod[requestMethod].toLowerCase();
    return paths.create({ ...place, methodPath }, requestMethod).map((path, i) => ({
      handler,
      method,
      path: path.replaceAll(/:(\w+)/g, '{$1}'),
      nth: i + 1,
      ...(versionHeader && { versionHeader }),
    }));
  });
}

const CONTROLLERS: readonly Type[] = [AuthController as Type, SecondFactorController, ...FLOW_CONTROLLERS];

/** The handlers of all of them, mounted or not. */
const HANDLERS = CONTROLLERS.flatMap(({ prototype }) =>
  Object.getOwnPropertyNames(prototype).filter(
    (name) => metadataOf(PATH_METADATA, Reflect.get(prototype, name)) !== undefined,
  ),
) as Handler[];

/** The other types of versioning stand in the path, or in what OpenAPI cannot say (RFC 9110 `Accept`). */
function versionHeaderOf(
  version: Version | undefined,
  options: VersioningOptions | undefined,
): MountedRoute['versionHeader'] {
  if (options?.type !== VersioningType.HEADER || version === undefined) return undefined;
  const versions = [version].flat();
  const named = versions.filter((one): one is string => one !== VERSION_NEUTRAL);
  if (named.length === 0) return undefined;
  return { name: options.header, versions: named, isRequired: named.length === versions.length };
}

function metadataOf<T>(key: string, target: unknown): T | undefined {
  return Reflect.getMetadata(key, target as object) as T | undefined;
}
