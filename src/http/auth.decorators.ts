import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { isLocalPath } from '../common/local-path.js';
import type { Session } from '../session/session.js';
import type { AuthUser } from '../user/user.directory.js';
import { authOf, requestOf, type RequestAuth } from './auth-request.js';

/** The access rule of a handler. Without a decorator it is `required`: deny by default. */
export type Access = 'public' | 'optional' | 'required' | { readonly redirectTo: string };

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
  return authIn(context)?.user ?? null;
}

/**
 * The session of this request, or `null`, as `currentUser` returns the user. Instants in it are epoch milliseconds.
 *
 * @example
 * ```ts
 * @Injectable()
 * export class RecentLoginGuard implements CanActivate {
 *   constructor(private readonly clock: Clock) {}
 *
 *   canActivate(context: ExecutionContext): boolean {
 *     const session = currentSession(context);
 *     return session !== null && this.clock.now() - session.authenticatedAt < minutes(5);
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
export const CurrentUser = createParamDecorator((field: keyof AuthUser | undefined, context: ExecutionContext) => {
  const user = currentUser(context);
  return field && user ? user[field] : user;
});

/**
 * The session of the request, for a parameter of a handler; `null` if nobody is logged in.
 *
 * @example
 * ```ts
 * @Get('session')
 * session(@CurrentSession() session: Session) {
 *   return { expiresAt: new Date(session.expiresAt) };
 * }
 * ```
 */
export const CurrentSession = createParamDecorator((_: undefined, context: ExecutionContext) =>
  currentSession(context),
);

/** Only the class's own metadata: extending a public class does not make the subclass public. */
function ownAccess(target: object): Access | undefined {
  return Reflect.getOwnMetadata(AccessMetadata.KEY, target) as Access | undefined;
}

/** Decorators are read once per class and handler: two classes may share a handler by inheritance. */
const known = new WeakMap<object, WeakMap<object, Access>>();

/** @internal The access rule of the handler that is about to run. */
export function accessOf(context: ExecutionContext): Access {
  const handler = context.getHandler();
  const type = context.getClass();
  const access = known.get(handler)?.get(type);
  if (access !== undefined) return access;
  const read = ownAccess(handler) ?? ownAccess(type) ?? 'required';
  if (!known.has(handler)) known.set(handler, new WeakMap());
  known.get(handler)!.set(type, read);
  return read;
}
