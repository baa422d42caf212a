import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import { Reflector, type ReflectableDecorator } from '@nestjs/core';
import { isLocalPath } from '../common/local-path.js';
import type { Session } from '../session/session.js';
import type { AuthUser } from '../user/user.directory.js';
import { authOf, requestOf, type AuthRequest, type RequestAuth } from './auth-request.js';

/** What a handler asks of the guard. Without a decorator a handler is `required`: deny by default. */
export type Access = 'public' | 'optional' | 'required' | { readonly redirectTo: string };

/**
 * @internal The one metadata key; on a method it overrides the one on its class, which subclasses do not inherit.
 */
export const AccessMetadata = Reflector.createDecorator<Access>();

/**
 * Open to everybody. The guard looks at nothing and runs no query; `@CurrentUser()` is `null`. On a class it holds for
 * the handlers of this class, and not for a subclass, which says so itself or is guarded.
 */
export const Public = () => AccessMetadata('public');

/** Open to everybody, logged in or not: `@CurrentUser()` is the user or `null`. */
export const OptionalAuth = () => AccessMetadata('optional');

/** For logged-in users only: the default, needed on a handler whose class is `@Public()`. */
export const Authenticated = () => AccessMetadata('required');

/**
 * For guests only, such as a login page: a logged-in user is redirected to `path` (303; htmx by `HX-Redirect`). Throws
 * a `TypeError` for a path that leaves this application.
 */
export const RedirectIfAuthenticated = (path: string) => {
  if (!isLocalPath(path)) throw new TypeError(`@RedirectIfAuthenticated needs a path such as '/', not '${path}'.`);
  return AccessMetadata({ redirectTo: path });
};

/** @internal Read as `AccessMetadata` is. */
const CrossOriginMetadata = Reflector.createDecorator<boolean>();

/** @internal Read as `AccessMetadata` is. */
const ExtensionMetadata = Reflector.createDecorator<(request: AuthRequest) => boolean>();

/**
 * Takes state-changing requests from pages of every origin: the `form_post` of an identity provider, a public form. The
 * check of the origin is what keeps foreign pages from acting for a logged-in user (CSRF), so the handler must judge by
 * what is posted, such as a `state` of yours, and not by who is logged in. CORS is a matter of its own: it says who may
 * read the answer. On a class it holds for this class only; `@CrossOrigin(false)` takes a method out.
 */
export const CrossOrigin = (isTaken = true) => CrossOriginMetadata(isTaken);

/**
 * Requests to this handler are no use of the session: they authenticate as ever, and neither extend it nor move
 * `lastSeenAt`. For what a page asks by itself, such as polling, which would keep an idle user logged in for as long as
 * the tab is open. A rotated cookie is replaced all the same. On a class it holds for this class only; of a GraphQL
 * request the first field decides.
 */
export const WithoutExtension = () => ExtensionMetadata(() => true);

/** @internal `@WithoutExtension()` where the client asks for it: `?extend=false`. */
export const ExtensionByQuery = () =>
  ExtensionMetadata(({ url }) => new URLSearchParams(url?.split('?', 2)[1]).get('extend') === 'false');

/** @internal Whether the handler is `@CrossOrigin()`. */
export function isCrossOrigin(context: ExecutionContext): boolean {
  return ownOf(CrossOriginMetadata, context) ?? false;
}

/** @internal Whether the request to this handler may extend its session. */
export function isUse(context: ExecutionContext, request: AuthRequest): boolean {
  return ownOf(ExtensionMetadata, context)?.(request) !== true;
}

/**
 * The user that `SessionGuard` found for this request, or `null`: for guards, interceptors and loggers of the host's,
 * wherever an `ExecutionContext` is at hand. Guards of the host run after ours, whether they are an `APP_GUARD`, come by
 * `useGlobalGuards` or `@UseGuards`. On a `@Public()` handler nobody is known.
 *
 * ```ts
 * @Injectable()
 * export class RolesGuard implements CanActivate {
 *   canActivate(context: ExecutionContext): boolean {
 *     return currentUser(context)?.roles.includes('admin') ?? false;
 *   }
 * }
 * ```
 */
export function currentUser(context: ExecutionContext): AuthUser | null {
  return authIn(context)?.user ?? null;
}

/** The session of this request, or `null`: see `currentUser`. */
export function currentSession(context: ExecutionContext): Session | null {
  return authIn(context)?.session ?? null;
}

/**
 * A public handler knows no user, not even on a socket or in a GraphQL request where another handler was authenticated.
 */
function authIn(context: ExecutionContext): RequestAuth | null {
  return accessOf(context) === 'public' ? null : authOf(requestOf(context));
}

/**
 * The user of the request, or one field of it: `@CurrentUser() user: AuthUser`, `@CurrentUser('email') email: string`.
 * It makes no difference how the credentials were sent. `null` if nobody is logged in.
 */
export const CurrentUser = createParamDecorator((field: keyof AuthUser | undefined, context: ExecutionContext) => {
  const user = currentUser(context);
  return field && user ? user[field] : user;
});

/** The session of the request, or `null` if nobody is logged in. */
export const CurrentSession = createParamDecorator((_: undefined, context: ExecutionContext) =>
  currentSession(context),
);

/** What is written on the handler or class itself: nobody who extends a public class has said that the new one is public. */
function ownOf<Value>(decorator: ReflectableDecorator<Value>, context: ExecutionContext): Value | undefined {
  const [own, ofClass] = [context.getHandler(), context.getClass()].map(
    (target) => Reflect.getOwnMetadata(decorator.KEY, target) as Value | undefined,
  );
  return own ?? ofClass;
}

/** Decorators are read once: two classes may share a handler, by inheritance. */
const known = new WeakMap<object, WeakMap<object, Access>>();

/** @internal What a handler asks of the guard. */
export function accessOf(context: ExecutionContext): Access {
  const handler = context.getHandler();
  const type = context.getClass();
  const access = known.get(handler)?.get(type);
  if (access !== undefined) return access;
  const read = ownOf(AccessMetadata, context) ?? 'required';
  if (!known.has(handler)) known.set(handler, new WeakMap());
  known.get(handler)!.set(type, read);
  return read;
}
