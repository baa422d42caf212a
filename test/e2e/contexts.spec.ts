import { ExecutionContextHost } from '@nestjs/core/helpers/execution-context-host.js';
import { beforeAll, describe, expect, it } from '@jest/globals';
import {
  AuthError,
  CurrentUser,
  OriginGuard,
  Public,
  seconds,
  SessionGuard,
  SessionService,
  type IssuedSession,
} from 'nestjs-latchkey';
import { AuthErrorFilter } from 'nestjs-latchkey/engine';
import { isObservable, lastValueFrom, type Observable } from 'rxjs';
import { createUser } from '../support/app.js';
import { sharedTestApp } from '../support/shared-app.js';

class Resolver {
  guarded() {}
  @Public()
  open() {}
}

type AuthRequest = { headers: Record<string, string> };

const handlerOf = (name: 'guarded' | 'open') =>
  Object.getOwnPropertyDescriptor(Resolver.prototype, name)!.value as () => void;

describe('the guard outside HTTP', () => {
  const t = sharedTestApp();
  let issued: IssuedSession;
  beforeAll(async () => {
    issued = await t.app.get(SessionService).create((await createUser(t.app, 'ada@example.com')).id);
  });

  const passes = async (type: string, args: unknown[], handler: 'guarded' | 'open' = 'guarded') => {
    const context = new ExecutionContextHost(args, Resolver, handlerOf(handler));
    context.setType(type);
    try {
      return await t.app.get(SessionGuard).canActivate(context);
    } catch (error) {
      expect(error).toMatchObject({ code: 'UNAUTHENTICATED' });
      return false;
    }
  };
  const headers = () => ({ headers: { cookie: `__Host-session=${issued.token}` } });

  it.each<[string, string, () => unknown[], boolean]>([
    ['a GraphQL query on Express, { req }', 'graphql', () => [null, {}, { req: headers() }, {}], true],
    [
      'a GraphQL query without a response object',
      'graphql',
      () => [null, {}, { req: headers(), res: undefined }, {}],
      true,
    ],
    ['a GraphQL query on Mercurius, { request }', 'graphql', () => [null, {}, { request: headers() }, {}], true],
    [
      'a graphql-ws subscription, { extra: { request } }',
      'graphql',
      () => [null, {}, { extra: { request: headers() } }, {}],
      true,
    ],
    ['a GraphQL query without a request', 'graphql', () => [null, {}, {}, {}], false],
    ['a GraphQL query without a context', 'graphql', () => [null, {}], false],
    ['a socket.io message', 'ws', () => [{ handshake: headers() }, {}], true],
    ['a ws message whose client keeps the upgrade request', 'ws', () => [{ upgradeReq: headers() }, {}], true],
    ['a WebSocket without a handshake', 'ws', () => [{}, {}], false],
    ['a message of a broker', 'rpc', () => [{ headers: headers().headers }, {}], false],
    ['a context nobody knows', 'telegraf', () => [headers()], false],
  ])('%s', async (_, type, args, expected) => {
    expect(await passes(type, args())).toBe(expected);
  });

  it.each(['graphql', 'ws', 'rpc'])('@Public() is open in a %s context', async (type) => {
    expect(await passes(type, [null, {}], 'open')).toBe(true);
  });

  it('a bearer token in the handshake works as well', async () => {
    expect(await passes('ws', [{ handshake: { headers: { authorization: `Bearer ${issued.token}` } } }, {}])).toBe(
      true,
    );
  });

  it('a socket loses its session with the next message after the revocation', async () => {
    const other = await t.app.get(SessionService).create(issued.session.userId);
    const client = { handshake: { headers: { cookie: `__Host-session=${other.token}` } } };
    expect(await passes('ws', [client, {}])).toBe(true);
    await t.app.get(SessionService).revoke(other.session.id);
    expect(await passes('ws', [client, {}])).toBe(false);
  });

  it('a public handler of a socket knows nobody, although another message was authenticated', async () => {
    const client = { handshake: headers() };
    expect(await passes('ws', [client, {}])).toBe(true);
    const seenBy = (handler: 'guarded' | 'open') => {
      const context = new ExecutionContextHost([client, {}], Resolver, handlerOf(handler));
      context.setType('ws');
      return currentUser('email', context);
    };
    expect(seenBy('guarded')).toBe('ada@example.com');
    expect(seenBy('open')).toBeNull();
  });

  it('a message under way keeps its user while the next one is being looked up', async () => {
    const client = { handshake: headers() };
    expect(await passes('ws', [client, {}])).toBe(true);
    const context = new ExecutionContextHost([client, {}], Resolver, handlerOf('guarded'));
    context.setType('ws');
    const next = passes('ws', [client, {}]);
    expect(currentUser('email', context)).toBe('ada@example.com');
    await next;
  });

  const rotatedLongAgo = async () => {
    const sessions = t.app.get(SessionService);
    const { token, session } = await sessions.create(issued.session.userId);
    const { token: successor } = (await sessions.rotate(session, session.userId))!;
    t.clock.advance(seconds(30));
    return { token, isSuccessorAlive: async () => (await sessions.lookup(successor)) !== null };
  };
  const graphql = (context: object) => [null, {}, context, {}];

  it.each<[string, string, (request: object) => unknown[], boolean]>([
    ['a GraphQL query whose context has no response', 'graphql', (req) => graphql({ req }), false],
    ['the same, on Mercurius', 'graphql', (request) => graphql({ request }), false],
    [
      'the same, with a header that claims to be a handshake',
      'graphql',
      (req) => graphql({ req: { ...req, headers: { ...(req as AuthRequest).headers, upgrade: 'websocket' } } }),
      false,
    ],
    ['a graphql-ws operation', 'graphql', (request) => graphql({ extra: { request } }), true],
    [
      'a graphql-ws operation of which the host keeps the request only',
      'graphql',
      (req) => graphql({ req: { ...req, upgrade: true } }),
      true,
    ],
    ['the same, as Fastify wraps it', 'graphql', (req) => graphql({ req: { ...req, raw: { upgrade: true } } }), true],
    ['a socket.io message', 'ws', (handshake) => [{ handshake }, {}], true],
  ])('H8: a token rotated before its grace, in %s: the session lives on: %#', async (_, type, argsOf, livesOn) => {
    const { token, isSuccessorAlive } = await rotatedLongAgo();
    expect(await passes(type, argsOf({ headers: { cookie: `__Host-session=${token}` } }))).toBe(false);
    expect(await isSuccessorAlive()).toBe(livesOn);
  });

  it('H6: the fields of one graphql-ws operation share a lookup; the next operation sees a revocation', async () => {
    const { token, session } = await t.app.get(SessionService).create(issued.session.userId);
    const operation = graphql({ extra: { request: { headers: { cookie: `__Host-session=${token}` } } } });
    const fields = () => Promise.all(Array.from({ length: 100 }, () => passes('graphql', operation)));
    t.queries.reset();
    expect(new Set(await fields())).toEqual(new Set([true]));
    expect(t.queries.statements.length).toBeLessThanOrEqual(1);
    await t.app.get(SessionService).revoke(session.id);
    expect(new Set(await fields())).toEqual(new Set([false]));
  });

  it('F3: a mutation over graphql-ws from a foreign page is refused, although its handshake was a GET', () => {
    const origin = t.app.get(OriginGuard);
    const request = {
      method: 'GET',
      headers: { host: 'api.example', origin: 'https://evil.example', upgrade: 'websocket' },
    };
    const context = new ExecutionContextHost([null, {}, { extra: { request } }, {}], Resolver, handlerOf('guarded'));
    context.setType('graphql');
    expect(() => origin.canActivate(context)).toThrow(expect.objectContaining({ code: 'CROSS_ORIGIN_REQUEST' }));
  });

  it.each<[string, unknown[], object]>([
    [
      'a broker',
      [{}, {}],
      { status: 'error', statusCode: 401, code: 'UNAUTHENTICATED', message: 'Authentication required.' },
    ],
    [
      'gRPC',
      [{}, { toHttp2Headers: () => ({}) }, {}],
      { code: 16, message: 'UNAUTHENTICATED: Authentication required.' },
    ],
  ])('H25: a message of %s in a hybrid application gets the code', async (_, args, expected) => {
    const context = new ExecutionContextHost(args, Resolver, handlerOf('guarded'));
    context.setType('rpc');
    const refusal = await Promise.resolve()
      .then(() => t.app.get(SessionGuard).canActivate(context))
      .catch((error: unknown) => error);
    expect(await rpcErrorOf(t.app.get(AuthErrorFilter).catch(refusal as AuthError, context))).toEqual(expected);
  });

  it('a socket gets the code: socket.io by emit, a plain WebSocket as a message; GraphQL in extensions', () => {
    const filter = t.app.get(AuthErrorFilter);
    const error = new AuthError('UNAUTHENTICATED', 'x', {});
    const said: unknown[] = [];
    const host = (type: string, args: unknown[]) => {
      const context = new ExecutionContextHost(args);
      context.setType(type);
      return context;
    };
    filter.catch(error, host('ws', [{ handshake: {}, emit: (event: string, data: object) => said.push(event, data) }]));
    filter.catch(error, host('ws', [{ send: (message: string) => said.push(JSON.parse(message)) }]));
    const data = { status: 'error', statusCode: 401, code: 'UNAUTHENTICATED', message: 'Authentication required.' };
    expect(said).toEqual(['exception', data, { event: 'exception', data }]);
    expect(filter.catch(error, host('graphql', [null, {}, {}, {}]))).toMatchObject({
      extensions: { code: 'UNAUTHENTICATED' },
    });
  });
});

/** What a microservice of Nest sends its client for an exception: the error of the stream that the filter returns. */
async function rpcErrorOf(answer: unknown): Promise<unknown> {
  expect(isObservable(answer)).toBe(true);
  return lastValueFrom(answer as Observable<unknown>).then(
    () => 'no error',
    (error: unknown) => error,
  );
}

/** What the decorator gives a handler, by the factory that Nest keeps of it. */
function currentUser(field: 'email', context: ExecutionContextHost): unknown {
  class Probe {
    handler(@CurrentUser(field) _user: unknown) {}
  }
  const metadata = Reflect.getMetadata('__routeArguments__', Probe, 'handler') as Record<
    string,
    { factory: (data: string, context: object) => unknown }
  >;
  return Object.values(metadata)[0]!.factory(field, context);
}
