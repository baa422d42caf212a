import { RequestMethod } from '@nestjs/common';
import { METHOD_METADATA, PATH_METADATA } from '@nestjs/common/constants.js';
import { AssetPages } from '../../src/pages/asset.pages.js';
import { PAGE_CONTROLLERS } from '../../src/pages/page-controllers.js';

function routesOf(method: RequestMethod): string[] {
  return PAGE_CONTROLLERS.filter((one) => one !== AssetPages).flatMap(({ prototype }) =>
    Object.getOwnPropertyNames(prototype).flatMap((name) => {
      const handler = (prototype as Record<string, object>)[name]!;
      if (Reflect.getMetadata(METHOD_METADATA, handler) !== method) return [];
      return [(Reflect.getMetadata(PATH_METADATA, handler) as string).replace('p/', '')];
    }),
  );
}

/** Every page that is opened, by the last part of its path: a new one is among them by itself. */
export const OPENED_PAGES: readonly string[] = routesOf(RequestMethod.GET);

/** Every address that a form is sent to, in the same way. */
export const POSTED_PAGES: readonly string[] = routesOf(RequestMethod.POST);
