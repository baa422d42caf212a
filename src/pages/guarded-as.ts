import { HEADERS_METADATA, HTTP_CODE_METADATA, METHOD_METADATA, PATH_METADATA } from '@nestjs/common/constants.js';
import { RATE_LIMITS } from '../http/rate-limit.rule.js';

/** What makes a handler a route, and what TypeScript says of it: the page's own. */
const OWN: ReadonlySet<unknown> = new Set([
  PATH_METADATA,
  METHOD_METADATA,
  HTTP_CODE_METADATA,
  HEADERS_METADATA,
  'design:type',
  'design:paramtypes',
  'design:returntype',
]);

/**
 * The handler of a page that does what this JSON handler does: who may call it, what it needs of the session, how often
 * it may be called and what becomes of its body are not written a second time. Below the decorator of the route. A page
 * that only shows the form needs the same and is not counted: `isLimited: false`.
 */
export function GuardedAs<Controller>(
  controller: { readonly prototype: Controller },
  name: keyof Controller & string,
  { isLimited = true }: { isLimited?: boolean } = {},
): MethodDecorator {
  const handler = controller.prototype[name] as object;
  return (_target, _key, descriptor: PropertyDescriptor) => {
    for (const key of Reflect.getMetadataKeys(handler) as unknown[]) {
      if (!OWN.has(key) && (isLimited || key !== RATE_LIMITS))
        Reflect.defineMetadata(key, Reflect.getMetadata(key, handler), descriptor.value as object);
    }
  };
}
