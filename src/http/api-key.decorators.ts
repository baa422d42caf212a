import { createParamDecorator, SetMetadata, type ExecutionContext } from '@nestjs/common';
import { MetadataScanner } from '@nestjs/core';
import type { ApiKey, AuthenticatedApiKey } from '../api-key/api-key.js';
import { apiKeyAuthOf, isHandshake, requestOf } from './auth-request.js';
import type { ParameterDecoratorOf } from './parameter-decorator.js';

const SCOPE = Symbol('nestjs-latchkey.api-key-scope');
const NAME = /^[a-z0-9:_-]{1,64}$/;

/**
 * Also for API keys with this scope (`flows.apiKeys`), beside sessions. Without it a handler takes no keys, whatever their
 * scopes: they get `UNAUTHENTICATED` (401), or are nobody where the handler is `@OptionalAuth()`. On sockets and
 * subscriptions no key is taken at all.
 *
 * For such a request `@CurrentUser()` is the owner of the key, `@CurrentApiKey()` the key, and `@CurrentSession()` is `null`.
 * `@RequireRole()` looks at the roles of the owner; a handler with `@RequireFresh()`, `@RequireAal()` or `@RequireAmr()`
 * refuses every key by `FORBIDDEN`, since a key proves nobody. The handler needs a session or a key, also where its class
 * is `@Public()`. A subclass that overrides the handler does not inherit it.
 *
 * @throws {TypeError} when the class is defined, for a name that no scope can have, and on a class.
 *
 * @example
 * ```ts
 * @AllowApiKey('notes:read')
 * @Get('notes')
 * list(@CurrentUser('id') userId: string) {
 *   return { owner: userId };
 * }
 * ```
 */
export function AllowApiKey(scope: string): MethodDecorator {
  if (typeof scope !== 'string' || !NAME.test(scope)) {
    throw new TypeError("@AllowApiKey needs the name of a scope such as 'notes:read', of a-z, 0-9, :, _ and -.");
  }
  return (target, key, descriptor) => {
    if ((descriptor as PropertyDescriptor | undefined) === undefined) {
      throw new TypeError('@AllowApiKey is for handlers, one by one: a class would open those that are added later.');
    }
    SetMetadata(SCOPE, scope)(target, key, descriptor);
  };
}

/**
 * The API key of this request, or `null` if it came with a session or with nothing, as `currentUser` returns the user. It
 * is never the key itself.
 *
 * @example
 * ```ts
 * @Injectable()
 * export class PeopleOnlyGuard implements CanActivate {
 *   canActivate(context: ExecutionContext): boolean {
 *     return currentApiKey(context) === null;
 *   }
 * }
 * ```
 */
export function currentApiKey(context: ExecutionContext): ApiKey | null {
  return apiKeyIn(context)?.apiKey ?? null;
}

/**
 * The API key of the request, for a parameter of a handler; `null` if it came with a session.
 *
 * @example
 * ```ts
 * @AllowApiKey('notes:write')
 * @Post('notes')
 * write(@CurrentUser('id') userId: string, @CurrentApiKey() apiKey: ApiKey | null) {
 *   return { owner: userId, by: apiKey?.name ?? 'hand' };
 * }
 * ```
 */
export const CurrentApiKey: ParameterDecoratorOf<undefined> = createParamDecorator(
  (_: undefined, context: ExecutionContext) => currentApiKey(context),
);

/** @internal The scope with which the handler that is about to run takes API keys; `null` if it takes none. */
export function apiKeyScopeOf(context: ExecutionContext): string | null {
  if (isHandshake(context)) return null;
  return (Reflect.getOwnMetadata(SCOPE, context.getHandler()) as string | undefined) ?? null;
}

/** @internal The handlers that take API keys, of these controllers and resolvers. */
export function keyHandlersOf(classes: readonly unknown[]): { name: string; scope: string }[] {
  return [...new Set(classes)].flatMap((type) => {
    const prototype = typeof type === 'function' ? (type.prototype as Record<string, object> | undefined) : undefined;
    if (!prototype) return [];
    return scanner.getAllMethodNames(prototype).flatMap((method) => {
      const scope = Reflect.getOwnMetadata(SCOPE, prototype[method]!) as string | undefined;
      return scope === undefined ? [] : [{ name: `${(type as { name: string }).name}.${method}`, scope }];
    });
  });
}
const scanner = new MetadataScanner();

/** @internal Whether this handler takes API keys. */
export const takesApiKeys = (handler: object): boolean => Reflect.hasOwnMetadata(SCOPE, handler);

/**
 * @internal The key that the guard has admitted to this handler. Another handler of the same GraphQL request may take
 *   none.
 */
export function apiKeyIn(context: ExecutionContext): AuthenticatedApiKey | null {
  const scope = apiKeyScopeOf(context);
  const found = scope === null ? null : apiKeyAuthOf(requestOf(context));
  return found?.apiKey.scopes.includes(scope!) ? found : null;
}
