import { type ControllerOptions, type Type, type VersioningOptions } from '@nestjs/common';
import { MODULE_PATH, PATH_METADATA, VERSION_METADATA } from '@nestjs/common/constants.js';
import { ApplicationConfig, type ModulesContainer } from '@nestjs/core';
import { RoutePathFactory } from '@nestjs/core/router/route-path-factory.js';

type Module = ModulesContainer extends Map<string, infer M> ? M : never;
export type Version = NonNullable<ControllerOptions['version']>;

/** Where the application serves a controller: Nest itself builds the paths of its handlers. */
export interface RoutePlace {
  readonly paths: RoutePathFactory;
  readonly place: Parameters<RoutePathFactory['create']>[0];
  readonly version: Version | undefined;
  readonly versioning: VersioningOptions | undefined;
}

/** The prefix, version and module path of the application, for a controller in this module. */
export function routePlaceOf(
  controller: Type,
  module: Module,
  modules: ModulesContainer,
  { ignoreGlobalPrefix = false }: { ignoreGlobalPrefix?: boolean } = {},
): RoutePlace {
  const config = module.providers.get(ApplicationConfig)!.instance as ApplicationConfig;
  const versioning = config.getVersioning();
  const version = metadataOf<Version>(VERSION_METADATA, controller) ?? versioning?.defaultVersion;
  const place: RoutePlace['place'] = {
    ctrlPath: metadataOf<string>(PATH_METADATA, controller),
    modulePath:
      metadataOf<string>(`${MODULE_PATH}${modules.applicationId}`, module.metatype) ??
      metadataOf<string>(MODULE_PATH, module.metatype),
    globalPrefix: ignoreGlobalPrefix ? '' : slashed(config.getGlobalPrefix()),
    controllerVersion: version,
    versioningOptions: versioning,
  };
  return { paths: new RoutePathFactory(config), place, version, versioning };
}

function metadataOf<T>(key: string, target: unknown): T | undefined {
  return Reflect.getMetadata(key, target as object) as T | undefined;
}

function slashed(prefix: string): string {
  return prefix === '' || prefix.startsWith('/') ? prefix : `/${prefix}`;
}
