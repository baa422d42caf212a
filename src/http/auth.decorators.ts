import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import { Reflector, type ReflectableDecorator } from '@nestjs/core';
import { isLocalPath } from '../common/local-path.js';
import type { Session } from '../session/session.js';
import type { AuthUser } from '../user/user.directory.js';
import { apiKeyIn, takesApiKeys } from './api-key.decorators.js';
import { REQUIREMENTS, type Requirement } from './requirement.js';
import { authOf, requestOf, type AuthRequest, type RequestAuth } from './auth-request.js';
import type { ParameterDecoratorOf } from './parameter-decorator.js';

/**
 * The access rule of a handler. Without a decorator it is `required`: deny by default. What it requires beyond a live
 * session is a list.
 */
export type Access = 'public' | 'optional' | 'required' | { readonly redirectTo: string } | readonly Requirement[];

/** @internal The one metadata key. On a method it overrides the one on its class, which subclasses do not inherit. */
export const AccessMetadata = Reflector.createDecorator<Access>();

/**
 * Open to everyone. The guard looks at nothing and runs no query, and `@CurrentUser()` is `null`. On a class it applies
 * to the handlers of that class. A subclass does not inherit it: mark it too, or it is guarded.
 *
 * @example
 * ```ts
 * @Public()
 * @Get('about')
 * about() {
 *   return { about: 'Notes that only you can read.' };
 * }
 * ```
 */
export const Public = () => AccessMetadata('public');

/**
 * Open to everyone, logged in or not: `@CurrentUser()` is the user or `null`. Invalid credentials count as none; a
 * fault is still answered 503.
 *
 * @example
 * ```ts
 * @OptionalAuth()
 * @Get()
 * home(@CurrentUser() user: AuthUser | null) {
 *   return { greeting: user ? `Hello ${user.email}` : 'Hello' };
 * }
 * ```
 */
export const OptionalAuth = () => AccessMetadata('optional');

/**
 * For logged-in users only. This is the default; it is needed only on a handler whose class is `@Public()`.
 *
 * @example
 * ```ts
 * @Public()
 * @Controller('articles')
 * export class ArticlesController {
 *   @Get()
 *   list() {
 *     return ['Open to everyone'];
 *   }
 *
 *   @Authenticated()
 *   @Post()
 *   write(@CurrentUser('id') authorId: string) {
 *     return { authorId };
 *   }
 * }
 * ```
 */
export const Authenticated = () => AccessMetadata('required');

/**
 * For guests only, such as a login page: a browser with a live session is redirected to `path` (303; htmx by
 * `HX-Redirect`), any other client with a live session gets `ALREADY_AUTHENTICATED` (403).
 *
 * @throws {TypeError} when the class is defined, if `path` is not a path of this application such as `/`.
 *
 * @example
 * ```ts
 * @RedirectIfAuthenticated('/')
 * @Get('login')
 * @Render('login')
 * loginPage() {}
 * ```
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
 * Allows state-changing requests from pages of every origin: the `form_post` of an identity provider, a public form.
 * The origin check is what keeps foreign pages from acting for a logged-in user (CSRF), so the handler must rely on
 * what is posted, such as a `state` of yours, and not on who is logged in. CORS is a separate matter: it decides who
 * may read the response. On a class it applies to that class only; `@CrossOrigin(false)` excludes a method.
 *
 * @example
 * ```ts
 * @Public()
 * @CrossOrigin()
 * @Post('callback')
 * formPost(@Body('state') state: string) {}
 * ```
 */
export const CrossOrigin = (isTaken = true) => CrossOriginMetadata(isTaken);

/**
 * Requests to this handler do not count as use of the session: they authenticate as usual, but neither extend it nor
 * move `lastSeenAt`. For requests that a page sends by itself, such as polling, which would keep an idle user logged in
 * for as long as the tab is open. A rotated cookie is still replaced. On a class it applies to that class only; in a
 * GraphQL request the first field decides.
 *
 * @example
 * ```ts
 * @WithoutExtension()
 * @Get('notifications')
 * poll() {}
 * ```
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
 * The user that `SessionGuard` found for this request, or `null`: for your own guards, interceptors and loggers,
 * wherever there is an `ExecutionContext`. Your guards run after ours, whether they are an `APP_GUARD` or are added by
 * `useGlobalGuards` or `@UseGuards`. On a `@Public()` handler it is always `null`. Never throws.
 *
 * @example
 * ```ts
 * @Injectable()
 * export class StaffGuard implements CanActivate {
 *   canActivate(context: ExecutionContext): boolean {
 *     return currentUser(context)?.email.endsWith('@example.com') ?? false;
 *   }
 * }
 * ```
 */
export function currentUser(context: ExecutionContext): AuthUser | null {
  return (authIn(context) ?? apiKeyIn(context))?.user ?? null;
}

/**
 * The session of this request, or `null`, as `currentUser` returns the user. Instants in it are epoch milliseconds.
 *
 * @example
 * ```ts
 * @Injectable()
 * export class TwoFactorGuard implements CanActivate {
 *   canActivate(context: ExecutionContext): boolean {
 *     return currentSession(context)?.aal === 2;
 *   }
 * }
 * ```
 */
export function currentSession(context: ExecutionContext): Session | null {
  return authIn(context)?.session ?? null;
}

/**
 * On a public handler there is no user, even on a socket or in a GraphQL request where another handler was
 * authenticated.
 */
function authIn(context: ExecutionContext): RequestAuth | null {
  return accessOf(context) === 'public' ? null : authOf(requestOf(context));
}

/**
 * The user of the request, or one field of it, for a parameter of a handler. It makes no difference how the credentials
 * were sent. `null` if nobody is logged in, which happens only on `@Public()` and `@OptionalAuth()` handlers.
 *
 * @example
 * ```ts
 * @Get()
 * list(@CurrentUser() user: AuthUser, @CurrentUser('id') userId: string) {
 *   return { [userId]: user.email };
 * }
 * ```
 */
export const CurrentUser: ParameterDecoratorOf<keyof AuthUser | undefined> = createParamDecorator(
  (field: keyof AuthUser | undefined, context: ExecutionContext) => {
    const user = currentUser(context);
    return field && user ? user[field] : user;
  },
);

/**
 * The session of the request, for a parameter of a handler; `null` if nobody is logged in, and for an API key.
 *
 * @example
 * ```ts
 * @Get('session')
 * session(@CurrentSession() session: Session) {
 *   return { expiresAt: new Date(session.expiresAt) };
 * }
 * ```
 */
export const CurrentSession: ParameterDecoratorOf<undefined> = createParamDecorator(
  (_: undefined, context: ExecutionContext) => currentSession(context),
);

/** Only the handler's or class's own metadata: extending a public class does not make the subclass public. */
function ownOf<Value>(decorator: ReflectableDecorator<Value>, context: ExecutionContext): Value | undefined {
  const own = (target: object) => Reflect.getOwnMetadata(decorator.KEY, target) as Value | undefined;
  return own(context.getHandler()) ?? own(context.getClass());
}

/** Decorators are read once per class and handler: two classes may share a handler by inheritance. */
const known = new WeakMap<object, WeakMap<object, Access>>();

/** @internal Whether nobody gets in without a live session. */
export const needsSession = (access: Access): boolean => access === 'required' || Array.isArray(access);

/** @internal The access rule of the handler that is about to run. */
export function accessOf(context: ExecutionContext): Access {
  const handler = context.getHandler();
  const type = context.getClass();
  const access = known.get(handler)?.get(type);
  if (access !== undefined) return access;
  const requirements = [type, handler].flatMap(
    // Inherited: what a base class asks, its subclasses ask too.
    (target) => (Reflect.getMetadata(REQUIREMENTS, target) as Requirement[] | undefined) ?? [],
  );
  const written = ownOf(AccessMetadata, context) ?? 'required';
  // What is for keys is not for everybody.
  const own = written === 'public' && takesApiKeys(handler) ? 'required' : written;
  const read = requirements.length > 0 ? requirements : own;
  if (!known.has(handler)) known.set(handler, new WeakMap());
  known.get(handler)!.set(type, read);
  return read;
}
