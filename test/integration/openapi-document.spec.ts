import { Controller, Get, Module, Post, VERSION_NEUTRAL, VersioningType, type INestApplication } from '@nestjs/common';
import { RouterModule } from '@nestjs/core';
import { Test } from '@nestjs/testing';
import { afterAll, describe, expect, it } from '@jest/globals';
import { AuthModule, Public } from 'nestjs-latchkey';
import { withAuthPaths } from 'nestjs-latchkey/openapi';
import { PLATFORMS, startTestApp, type TestApp, type TestAppOptions } from '../support/app.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { danglingRefs, emptyDocument, operationsOf, type Document, type Operation } from '../support/openapi.js';

let database: Promise<TestDatabase> | undefined;
const apps: TestApp[] = [];
afterAll(async () => {
  for (const t of apps) await t.close();
  await (await database)?.drop();
});

/** An application on a database that all of this file share: only its routes are looked at. */
async function start(options: TestAppOptions = {}): Promise<TestApp> {
  database ??= createTestDatabase();
  const t = await startTestApp({ ...options, url: (await database).url });
  apps.push(t);
  return t;
}

const VERSIONS = ['3.0.0', '3.1.0', '3.2.0'];
const ROUTES = [
  'post /auth/login',
  'post /auth/token',
  'post /auth/logout',
  'get /auth/session',
  'get /auth/sessions',
  'delete /auth/sessions/{handle}',
  'post /auth/logout-all',
];
const routesOf = (document: Document) => operationsOf(document).map(({ method, path }) => `${method} ${path}`);
const operationsBy = (document: Document) =>
  new Map(operationsOf(document).map(({ operation }) => [operation.operationId, operation]));

/** What `@nestjs/swagger` writes for one of our routes. */
const bare = (name: string): Operation => ({
  operationId: `MountedAuthController_${name}`,
  parameters: [],
  responses: { 200: { description: '' } },
  tags: ['MountedAuth'],
});

/** An application's own document, which nothing may change. */
function hostDocument(): Document {
  return frozen({
    ...emptyDocument('3.0.0', {
      '/notes': {
        get: { operationId: 'notes', security: [{ mine: [] }], responses: { 200: { description: 'Notes' } } },
      },
      '/auth/login': {
        post: bare('login'),
        put: { operationId: 'authPut', responses: { 200: { description: 'Of the application' } } },
      },
      '/auth/session': { get: bare('session') },
    }),
    components: {
      schemas: { Note: { type: 'object' } },
      securitySchemes: { mine: { type: 'http', scheme: 'basic' } },
    },
    security: [{ mine: [] }],
    tags: [{ name: 'notes' }],
  });
}

function frozen<T extends object>(value: T): T {
  for (const part of Object.values(value)) if (typeof part === 'object' && part !== null) frozen(part as object);
  return Object.freeze(value);
}

describe('withAuthPaths', () => {
  it.each(VERSIONS)(
    'has every route, with refs that lead somewhere and ids of its own, in OpenAPI %s',
    async (openapi) => {
      const { app } = await start();
      const document = withAuthPaths(emptyDocument(openapi), app);
      expect(routesOf(document)).toEqual(ROUTES);
      expect(danglingRefs(document)).toEqual([]);
      expect(danglingRefs({ ...document, components: {} })).not.toEqual([]);
      expect(operationsBy(document).size).toBe(ROUTES.length);
      for (const { operation } of operationsOf(document)) expect(operation.tags).toEqual(['auth']);
      expect(document.tags).toEqual([{ name: 'auth', description: expect.any(String) }]);
      const text = JSON.stringify(document);
      for (const keyword of ['"nullable"']) expect(text.includes(keyword)).toBe(openapi === '3.0.0');
      for (const keyword of ['"const"', '["string","null"]']) expect(text.includes(keyword)).toBe(openapi !== '3.0.0');
      for (const keyword of ['$schema', '$id', 'prefixItems', 'propertyNames'].slice(0, openapi === '3.0.0' ? 4 : 2))
        expect(text).not.toContain(keyword);
    },
  );

  it('takes the place of what was found for these routes, and keeps everything else', async () => {
    const { app } = await start();
    const host = hostDocument();
    const document = withAuthPaths(host, app);
    expect(document.paths['/notes']).toEqual(host.paths['/notes']);
    expect(document.paths['/auth/login']!['put']).toEqual(host.paths['/auth/login']!['put']);
    expect(JSON.stringify(document)).not.toContain('MountedAuth');
    expect(new Set(routesOf(document))).toEqual(new Set([...ROUTES, 'get /notes', 'put /auth/login']));
    expect(document.components!.schemas).toMatchObject(host.components!.schemas!);
    expect(document.components!.securitySchemes).toMatchObject(host.components!.securitySchemes!);
    expect(document.tags!.map(({ name }) => name)).toEqual(['notes', 'auth']);
    // What all operations of the application ask for is not asked for at a login.
    expect(document.security).toEqual(host.security);
    expect(operationsBy(document).get('authLogin')!.security).toEqual([]);
  });

  it('does not change its input, and applied again changes nothing', async () => {
    const { app } = await start();
    const host = hostDocument();
    const before = JSON.stringify(host);
    const once = withAuthPaths(host, app);
    expect(JSON.stringify(host)).toBe(before);
    const twice = withAuthPaths(once, app);
    expect(JSON.stringify(twice)).toBe(JSON.stringify(once));
    // Also after it has been written to a file and read again.
    expect(withAuthPaths(JSON.parse(JSON.stringify(once)) as Document, app)).toEqual(once);
  });

  it('gives way where the application has the same name for something else', async () => {
    const { app } = await start();
    const mine = { type: 'object', properties: { roles: { type: 'array', items: { type: 'string' } } } };
    const host = frozen({
      ...hostDocument(),
      paths: { '/mine': { get: { operationId: 'authLogin', responses: {} } } },
      components: {
        schemas: { AuthUser: mine, LatchkeyAuthSession: mine },
        securitySchemes: { authCookie: { type: 'http', scheme: 'basic' } },
      },
    });
    const document = withAuthPaths<Document>(host, app);
    const { schemas, securitySchemes } = document.components!;
    expect(schemas).toMatchObject(host.components.schemas);
    expect(securitySchemes!['authCookie']).toEqual(host.components.securitySchemes.authCookie);
    expect(document.paths['/mine']).toEqual(host.paths['/mine']);
    expect(Object.keys(schemas!)).toEqual(expect.arrayContaining(['Latchkey2AuthUser', 'Latchkey2AuthSession']));
    expect(danglingRefs(document)).toEqual([]);
    expect(JSON.stringify(document.paths)).not.toMatch(/schemas\/Auth/);
    const ids = operationsBy(document);
    expect(ids.get('latchkeyAuthSession')!.security).toEqual([{ latchkeyAuthCookie: [] }, { latchkeyAuthBearer: [] }]);
    expect(ids.size).toBe(ROUTES.length + 1);
    expect(withAuthPaths(document, app)).toEqual(document);
  });

  it('says what the configuration makes of the routes', async () => {
    const plain = withAuthPaths(emptyDocument(), (await start()).app);
    const options: TestAppOptions['auth'] = {
      cookie: { name: 'sid', secure: false },
      session: { remembered: {} },
      routes: { path: 'me/auth', login: false },
      jwt: { sessions: true },
    };
    const { app } = await start({ auth: options });
    const document = withAuthPaths(emptyDocument(), app);
    expect(routesOf(document)).toEqual(ROUTES.slice(2).map((route) => route.replace('/auth', '/me/auth')));
    const { authCookie, authBearer } = document.components!.securitySchemes!;
    expect(authCookie).toMatchObject({ type: 'apiKey', in: 'cookie', name: 'sid' });
    expect(authBearer).toMatchObject({ type: 'http', scheme: 'bearer', bearerFormat: 'JWT' });
    const login = (one: Document) =>
      Object.keys(Object(one.components!.schemas!['AuthCredentials']).properties as object);
    expect(login(plain)).toEqual(['email', 'password']);
    expect(plain.components!.securitySchemes!['authCookie']).toMatchObject({ name: '__Host-session' });
    expect(danglingRefs(document)).toEqual([]);
  });

  it('has no schema that nothing refers to', async () => {
    for (const auth of [{}, { routes: { path: 'auth', login: false } }]) {
      const document = withAuthPaths(emptyDocument(), (await start({ auth })).app);
      const text = JSON.stringify(document);
      const names = Object.keys(document.components!.schemas!);
      expect(names.filter((name) => !text.includes(`"#/components/schemas/${name}"`))).toEqual([]);
      expect(names.length).toBeGreaterThan(5);
    }
  });

  it.each(['3.0.0', '2.0'])('fails with what to do: %s', async (openapi) => {
    const { app } = await start(openapi === '2.0' ? {} : { auth: { routes: undefined } });
    const remedy = openapi === '2.0' ? /OpenAPI 3/ : /routes: \{ path: 'auth' \}/;
    expect(() => withAuthPaths(emptyDocument(openapi), app)).toThrow(
      expect.objectContaining({ code: 'INVALID_CONFIG', message: expect.stringMatching(remedy) }),
    );
  });

  it('fails without AuthModule', async () => {
    const app = (await Test.createTestingModule({}).compile()).createNestApplication();
    expect(() => withAuthPaths(emptyDocument(), app)).toThrow(
      expect.objectContaining({ code: 'INVALID_CONFIG', message: expect.stringMatching(/AuthModule\.forRoot/) }),
    );
    await app.close();
  });
});

@Controller('notes')
class NotesController {
  @Public()
  @Get()
  list() {
    return [];
  }

  @Public()
  @Post()
  add() {
    return {};
  }
}

@Module({ controllers: [NotesController] })
class NotesModule {}

interface Place {
  readonly name: string;
  readonly paths: readonly string[];
  readonly headers?: Record<string, string>;
  readonly imports?: TestAppOptions['imports'];
  readonly configure: (app: INestApplication) => unknown;
}

const PLACES: readonly Place[] = [
  { name: 'a global prefix', paths: ['/api/auth'], configure: (app) => app.setGlobalPrefix('api') },
  {
    name: 'a global prefix without some routes',
    paths: ['/auth'],
    configure: (app) => app.setGlobalPrefix('/api/', { exclude: ['auth/*path'] }),
  },
  {
    name: 'versions in the path',
    paths: ['/api/v1/auth', '/api/v2/auth'],
    configure: (app) =>
      app.setGlobalPrefix('api').enableVersioning({ type: VersioningType.URI, defaultVersion: ['1', '2'] }),
  },
  {
    name: 'a version in the path, and none',
    paths: ['/auth', '/v1/auth'],
    configure: (app) => app.enableVersioning({ type: VersioningType.URI, defaultVersion: [VERSION_NEUTRAL, '1'] }),
  },
  {
    name: 'a version in a header',
    paths: ['/auth'],
    headers: { 'X-Version': '1' },
    configure: (app) => app.enableVersioning({ type: VersioningType.HEADER, header: 'X-Version', defaultVersion: '1' }),
  },
  {
    name: 'a path for the module',
    paths: ['/of/module/auth'],
    imports: [NotesModule, RouterModule.register([{ path: 'of', children: [{ path: 'module', module: AuthModule }] }])],
    configure: () => {},
  },
];

describe.each(PLATFORMS.flatMap((platform) => PLACES.map((place) => ({ platform, ...place }))))(
  'withAuthPaths on $platform with $name',
  ({ platform, paths, headers, imports, configure }) => {
    it('has the paths that the application serves', async () => {
      const t = await start({ platform, imports: imports ?? [], configure: (app) => void configure(app) });
      const document = withAuthPaths(emptyDocument(), t.app);
      const routes = routesOf(document);
      const expected = paths.flatMap((path) => ROUTES.map((route) => route.replace('/auth', path)));
      expect(new Set(routes)).toEqual(new Set(expected));
      const ids = operationsOf(document).map(({ operation }) => operation.operationId);
      expect(new Set(ids).size).toBe(ids.length);
      const statusOf = async (method: string, path: string, sent = headers) =>
        (await fetch(`${t.url}${path.replace('{handle}', 'none')}`, { method, headers: sent ?? {} })).status;
      for (const { method, path, operation } of operationsOf(document)) {
        const status = await statusOf(method.toUpperCase(), path);
        if ([404, 405].includes(status)) throw new Error(`${method} ${path} is not served`);
        expect(operation.responses[status]).toBeDefined();
        const inHeader = operation.parameters!.filter((parameter) => parameter.in === 'header');
        expect(inHeader.map(({ name }) => name)).toEqual(Object.keys(headers ?? {}));
      }
      // Negative control.
      expect(await statusOf('GET', `/nowhere${paths[0]}/session`)).toBe(404);
      if (headers) expect(await statusOf('GET', `${paths[0]}/session`, {})).toBe(404);
    });
  },
);

it('withAuthPaths leaves the global prefix out if the document does', async () => {
  const t = await start({ configure: (app) => void app.setGlobalPrefix('api') });
  expect(routesOf(withAuthPaths(emptyDocument(), t.app, { ignoreGlobalPrefix: true }))).toEqual(ROUTES);
});
