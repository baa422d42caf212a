import { isDeepStrictEqual } from 'node:util';
import type { INestApplicationContext } from '@nestjs/common';
import { ModulesContainer } from '@nestjs/core';
import { AuthError } from '../auth.errors.js';
import { AuthConfig } from '../config/auth-config.js';
import { UserDirectory } from '../user/user.directory.js';
import { authSchemas, authSecuritySchemes } from './auth-components.js';
import { AUTH_TAG, authOperation, type Operation } from './auth-operation.js';
import { mountedRoutes, type MountedRoute } from './mounted-routes.js';
import type { Naming } from './names.js';
import type { RouteFacts } from './route-facts.js';

/** The part of an OpenAPI document that is read here; the `OpenAPIObject` of `@nestjs/swagger` has it. */
export interface OpenApiDocument {
  /** The version: 3.0, 3.1 or a later 3. */
  openapi: string;
  paths: object;
  components?: object;
  tags?: readonly { name: string }[];
}

export interface AuthPathsOptions {
  /**
   * Leaves the application's global prefix out of the paths, for a document that `SwaggerModule.createDocument` made with
   * the same option. Default false.
   */
  ignoreGlobalPrefix?: boolean;
}

/**
 * The document with the routes of this module: bodies, answers, error codes, headers and the security schemes
 * `authCookie` and `authBearer` (and `authApiKey` for your handlers that take API keys), as the configuration of the application has them, under the tag `auth`. It takes the
 * place of the operations without schemas that `@nestjs/swagger` finds for them; everything else of the document stays
 * as it is. Where the application has a schema, security scheme or operation id of the same name, ours gets the prefix
 * `Latchkey`. The document that is passed in is not changed, and passing in the result changes nothing.
 *
 * The schemas fit the version that the document says: OpenAPI 3.0 or 3.1. Call it after `setGlobalPrefix` and
 * `enableVersioning`. It needs no package for OpenAPI.
 *
 * @throws {AuthError} `INVALID_CONFIG` if the application has no AuthModule, if `routes` is off, or if the document is
 *   not OpenAPI 3.
 *
 * @example
 * ```ts
 * const config = new DocumentBuilder().setTitle('Notes').build();
 * const document = withAuthPaths(SwaggerModule.createDocument(app, config), app);
 * SwaggerModule.setup('api', app, document);
 * ```
 */
export function withAuthPaths<Document extends OpenApiDocument>(
  document: Document,
  app: INestApplicationContext,
  { ignoreGlobalPrefix = false }: AuthPathsOptions = {},
): Document {
  const version = versionOf(document);
  const modules = app.get(ModulesContainer);
  const routes = mountedRoutes(modules, { ignoreGlobalPrefix });
  const asksSecondFactor = routes.some(({ handler }) => handler === 'verifySecondFactor');
  const facts = { ...factsOf(modules), asksSecondFactor };
  if (routes.length === 0) {
    throw invalidConfig("AuthModule has no routes to document: pass it routes: { path: 'auth' }, or leave this out.");
  }

  const paths = document.paths as Paths;
  const components = (document.components ?? {}) as Components;
  const schemas = firstApart((named) => authSchemas(routes, facts, version, named), components.schemas);
  const schemes = firstApart((named) => authSecuritySchemes(facts, named), components.securitySchemes);
  const ours = operationsOf(routes, paths, (route, named) =>
    authOperation(route, facts, { schema: schemas.named, scheme: schemes.named, operation: named }),
  );
  return {
    ...document,
    paths: { ...paths, ...ours },
    components: {
      ...components,
      schemas: { ...components.schemas, ...schemas.parts },
      securitySchemes: { ...components.securitySchemes, ...schemes.parts },
    },
    tags: tagsWithOurs(document.tags),
  };
}

type Named = Readonly<Record<string, unknown>>;
type Paths = Readonly<Record<string, Named | undefined>>;
interface Components {
  readonly schemas?: Named;
  readonly securitySchemes?: Named;
}

function versionOf({ openapi }: OpenApiDocument): '3.0' | '3.1' {
  const [, minor] = /^3\.(\d+)/.exec(openapi) ?? [];
  if (minor === undefined) throw invalidConfig('withAuthPaths takes a document of OpenAPI 3.0 or later.');
  return minor === '0' ? '3.0' : '3.1';
}

function factsOf(modules: ModulesContainer): Omit<RouteFacts, 'asksSecondFactor'> {
  const providers = [...modules.values()].map((module) => module.providers).find((some) => some.has(AuthConfig));
  if (!providers) throw invalidConfig('This application has no AuthModule: import AuthModule.forRoot({ … }).');
  const config = providers.get(AuthConfig)!.instance as AuthConfig;
  const users = providers.get(UserDirectory)!.instance as UserDirectory;
  const { session, jwt, routes, loginPage, cookieName } = config;
  const announcesCookie = session.scheme === 'signed-cookie';
  return {
    cookieName,
    remembers: session.remembered !== null,
    takesJwts: jwt.sessions,
    takesApiKeys: config.flows.apiKeys !== undefined,
    listsKinds: jwt.registry,
    announcesCookie,
    clearsSiteData: routes?.clearSiteData === true,
    hasLoginPage: loginPage !== undefined,
    cannotEndTokens: config.hasStatelessSessions && users.invalidateTokens === UserDirectory.prototype.invalidateTokens,
  };
}

/** How our names are spelled on the nth try: as they are, then with a prefix. */
function naming(n: number): Naming {
  if (n === 0) return (name) => name;
  const prefix = `Latchkey${n === 1 ? '' : n}`;
  return (name) => {
    const prefixed = `${prefix}${name[0]!.toUpperCase()}${name.slice(1)}`;
    return /^[a-z]/.test(name) ? `l${prefixed.slice(1)}` : prefixed;
  };
}

/** A part of the document that is equal to ours is ours, from the time before. */
function firstApart(make: (named: Naming) => Named, taken: Named = {}): { named: Naming; parts: Named } {
  for (let n = 0; ; n++) {
    const named = naming(n);
    const parts = make(named);
    const isApart = Object.entries(parts).every(
      ([name, part]) => !Object.hasOwn(taken, name) || isDeepStrictEqual(taken[name], part),
    );
    if (isApart) return { named, parts };
  }
}

/** Our operations by path and method, beside other methods of the same path. */
function operationsOf(
  routes: readonly MountedRoute[],
  paths: Paths,
  make: (route: MountedRoute, named: Naming) => Operation,
): Paths {
  const others = { ...paths };
  for (const { path, method } of routes) others[path] = { ...others[path], [method]: undefined };
  const taken = operationIdsOf(others);
  for (let n = 0; ; n++) {
    const named = naming(n);
    const ours: Record<string, Named> = {};
    for (const route of routes) {
      const { path, method } = route;
      ours[path] = { ...paths[path], ...ours[path], [method]: make(route, named) };
    }
    const ids = routes.map(({ path, method }) => (ours[path]![method] as Operation)['operationId']);
    if (!ids.some((id) => taken.has(id))) return ours;
  }
}

function operationIdsOf(paths: Paths): ReadonlySet<unknown> {
  const operations = Object.values(paths).flatMap((item) => Object.values(item ?? {}));
  return new Set(
    operations.flatMap((operation) => (operation as { operationId?: string } | undefined)?.operationId ?? []),
  );
}

function tagsWithOurs(tags: OpenApiDocument['tags'] = []): readonly { name: string }[] {
  return tags.some(({ name }) => name === AUTH_TAG.name) ? tags : [...tags, AUTH_TAG];
}

function invalidConfig(mistake: string): AuthError {
  return new AuthError('INVALID_CONFIG', mistake, { mistakes: [mistake] });
}
