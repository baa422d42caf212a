import { once } from 'node:events';
import { Controller, Sse, UseFilters, type MessageEvent } from '@nestjs/common';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import {
  SubscribeMessage,
  WebSocketGateway,
  WebSocketServer as GatewayServer,
  type OnGatewayInit,
} from '@nestjs/websockets';
import {
  CurrentSession,
  CurrentUser,
  days,
  HttpSessions,
  JwtCodecService,
  PostgresUserDirectory,
  seconds,
  SessionConnections,
  SessionService,
  TokenRevocationService,
  type AuthUser,
  type Session,
} from 'nestjs-latchkey';
import { AuthErrorFilter, InvalidationChannel } from 'nestjs-latchkey/engine';
import { signInAs } from 'nestjs-latchkey/testing';
import { interval, map, startWith, type Observable } from 'rxjs';
import type { Server } from 'socket.io';
import { io, type Socket } from 'socket.io-client';
import { WebSocket, WebSocketServer } from 'ws';
import { SessionLiveness } from '../../src/http/session-liveness.js';
import { WatchedConnections } from '../../src/http/watched-connections.js';
import { closeAll, createUser, startTestApp, type Platform, type TestApp } from '../support/app.js';
import { until } from '../support/heard.js';
import { expireSessionsAt, hideSessions } from '../support/stored.js';

@UseFilters(AuthErrorFilter)
@WebSocketGateway()
class NotesGateway implements OnGatewayInit<Server> {
  @GatewayServer() server!: Server;

  constructor(private readonly connections: SessionConnections) {}

  afterInit(server: Server) {
    server.use(this.connections.socketIo());
    server.of('/open').use(this.connections.socketIo({ allowAnonymous: true }));
  }

  @SubscribeMessage('me')
  me(@CurrentUser('email') email: string) {
    return { event: 'me', data: email };
  }
}

@Controller()
class EventsController {
  constructor(private readonly connections: SessionConnections) {}

  @Sse('events')
  events(@CurrentSession() session: Session): Observable<MessageEvent> {
    return interval(60_000).pipe(
      startWith(0),
      map((count): MessageEvent => ({ data: { count } })),
      this.connections.untilRevoked(session),
    );
  }
}

/** A ws server beside Nest, whose sockets end with their session. */
function serveWs(app: TestApp): WebSocketServer {
  const connections = app.app.get(SessionConnections);
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  // As in a gateway, which does not make the server.
  server.options.verifyClient = connections.verifyClient();
  server.on('connection', (socket, request) => {
    connections.closeWhenRevoked(socket, connections.sessionOf(request)!);
    socket.send('welcome');
  });
  return server;
}

const MAX_STALENESS = 400;

/** Of both adapters the same, each in a file of its own. */
export function openConnections(platform: Platform): void {
  describe(`open connections, on ${platform}`, () => {
    let t: TestApp;
    let other: TestApp;
    let server: WebSocketServer;
    let ada: AuthUser;
    let token: string;
    let session: Session;
    const cleanUp: (() => unknown)[] = [];

    beforeAll(async () => {
      const auth = { cache: { enabled: true, maxStaleness: MAX_STALENESS }, jwt: { sessions: true } };
      t = await startTestApp({ platform, auth, providers: [NotesGateway], controllers: [EventsController] });
      other = await startTestApp({ url: t.db.url, platform, auth });
      server = serveWs(t);
      await once(server, 'listening');
    });
    afterAll(async () => {
      server?.close();
      await closeAll(other, t);
    });
    beforeEach(async () => {
      await until(() => [t, other].every((app) => app.app.get(InvalidationChannel).isCurrent));
      ada = await createUser(t.app);
      ({ token, session } = await t.app.get(SessionService).create(ada.id));
    });
    afterEach(async () => {
      for (const close of cleanUp.splice(0)) close();
      await until(() => connections().size.connections === 0);
      expect(connections().size).toEqual({ connections: 0, sessions: 0 });
    });

    const connections = (app = t) => app.app.get(SessionConnections);
    const cookie = (value = token) => ({ Cookie: `__Host-session=${value}` });

    const openIo = (headers: Record<string, string>, { auth = {}, path = '' } = {}): Socket => {
      const client = io(`${t.url}${path}`, {
        transports: ['websocket'],
        extraHeaders: headers,
        auth,
        forceNew: true,
        reconnection: false,
      });
      cleanUp.push(() => client.disconnect());
      return client;
    };
    const openWs = (headers: Record<string, string>): WebSocket => {
      const { port } = server.address() as { port: number };
      const client = new WebSocket(`ws://127.0.0.1:${port}`, { headers });
      cleanUp.push(() => client.terminate());
      return client;
    };

    /** By kind of connection: opens one, and resolves with what resolves when the server has closed it. */
    const KINDS = {
      'a socket of socket.io': async (headers: Record<string, string>) => {
        const client = openIo(headers);
        await new Promise<void>((resolve, reject) => client.on('connect', resolve).on('connect_error', reject));
        return { ended: new Promise<unknown>((resolve) => client.on('disconnect', resolve)) };
      },
      'a socket of ws': async (headers: Record<string, string>) => {
        const client = openWs(headers);
        await once(client, 'message');
        return { ended: once(client, 'close').then(([code]) => code as unknown) };
      },
      'an event stream': async (headers: Record<string, string>) => {
        const abort = new AbortController();
        cleanUp.push(() => abort.abort());
        const response = await fetch(`${t.url}/events`, { headers, signal: abort.signal });
        expect(response.status).toBe(200);
        const reader = response.body!.getReader();
        await reader.read();
        const ended = (async () => {
          while (!(await reader.read()).done);
          return 'ended';
        })();
        ended.catch(() => {});
        return { ended };
      },
    };
    const ENDS: Record<keyof typeof KINDS, unknown> = {
      'a socket of socket.io': expect.stringMatching(/^(io server disconnect|transport close)$/),
      'a socket of ws': 1008,
      'an event stream': 'ended',
    };
    const kinds = Object.keys(KINDS) as (keyof typeof KINDS)[];
    const isOpen = async (ended: Promise<unknown>) => {
      const closed = Symbol();
      return (await Promise.race([ended.then(() => closed), Promise.resolve()])) !== closed;
    };
    /** Every session that is watched has been read since. */
    const settled = (app = t) => {
      const { due, reading } = app.app.get<unknown, { due: Set<unknown>; reading: number }>(WatchedConnections);
      return due.size === 0 && reading === 0;
    };

    it.each(kinds)('H13: %s: ends with a logout in another process, and opens no more', async (kind) => {
      const { ended } = await KINDS[kind](cookie());
      const response = await fetch(`${other.url}/auth/logout`, { method: 'POST', headers: cookie() });
      expect(response.status).toBe(200);
      expect(await ended).toEqual(ENDS[kind]);
      const again = await fetch(`${t.url}/events`, { headers: cookie() });
      expect(again.status).toBe(401);
    });

    const endings: Record<string, () => unknown> = {
      'the session is revoked in another process': () => other.app.get(SessionService).revoke(session.id),
      'all sessions of the user are': () => other.app.get(SessionService).revokeAllForUser(ada.id),
      'the user is disabled': () => other.app.get(PostgresUserDirectory).disable(ada.id),
      'the user is signed out everywhere': () => other.app.get(TokenRevocationService).revokeAllForUser(ada.id),
      'the user is deleted by another program': () => t.db.query('DELETE FROM users WHERE id = $1', [ada.id]),
      'it expires': () => t.clock.advance(days(30)),
      'its absolute lifetime is over, however far its expiry was moved': async () => {
        await expireSessionsAt(t.db, session.absoluteExpiresAt + days(10));
        t.clock.set(session.absoluteExpiresAt - 1);
        await until(() => endOf() === session.absoluteExpiresAt);
        t.clock.advance(1);
      },
      'it was rotated, and the grace is over': async () => {
        await other.app.get(SessionService).rotate(session, ada.id);
        t.clock.advance(seconds(30));
      },
    };
    it.each(Object.entries(endings))('H13: a connection ends when %s', async (_, end) => {
      const { ended } = await KINDS['a socket of ws'](cookie());
      const bystander = await createUser(t.app);
      const now = t.clock.now();
      const untouched = await t.app.get(SessionService).create(bystander.id);
      const beside = await KINDS['a socket of ws'](cookie(untouched.token));
      await end();
      expect(await ended).toBe(1008);
      if (t.clock.now() - now < days(1)) expect(await isOpen(beside.ended)).toBe(true);
      t.clock.set(now);
    });

    it('H13: an extended session goes on past the expiry that it had', async () => {
      const { ended } = await KINDS['a socket of ws'](cookie());
      const start = t.clock.now();
      t.clock.advance(days(25));
      expect(await t.app.get(SessionService).maybeExtend(session)).not.toBeNull();
      t.clock.advance(days(6)); // day 31 of 30
      await until(() => endOf() > t.clock.now());
      expect(await isOpen(ended)).toBe(true);
      t.clock.advance(days(30));
      expect(await ended).toBe(1008);
      t.clock.set(start);
    });
    const endOf = () => {
      const { watched } = t.app.get<unknown, { watched: Map<string, { endsAt: number }> }>(WatchedConnections);
      return watched.get(session.id)?.endsAt ?? 0;
    };

    it('H13: a JWT: ends with its logout, and at its exp', async () => {
      for (const end of [
        (headers: Record<string, string>) => fetch(`${other.url}/auth/logout`, { method: 'POST', headers }),
        () => t.clock.advance(days(31)),
      ]) {
        const start = t.clock.now();
        const bearer = { Authorization: `Bearer ${t.app.get(JwtCodecService).encode(ada.id).token}` };
        const { ended } = await KINDS['a socket of ws'](bearer);
        await end(bearer);
        expect(await ended).toBe(1008);
        t.clock.set(start);
      }
    });

    it('H13: a signed cookie: ends with its logout', async () => {
      const auth = { session: { scheme: 'signed-cookie' as const }, cache: { enabled: true } };
      const [here, there] = [await startTestApp({ url: t.db.url, auth }), await startTestApp({ url: t.db.url, auth })];
      const signed = { Cookie: await signInAs(here.app, ada.id) };
      const found = (await here.app.get(HttpSessions).current({ headers: { cookie: signed.Cookie } }, {}))!;
      const closed = new Promise<void>((resolve) => connections(here).closeWhenRevoked(resolve, found.session));
      await until(() => settled(here));
      expect(connections(here).size).toEqual({ connections: 1, sessions: 1 });
      await fetch(`${there.url}/auth/logout`, { method: 'POST', headers: signed });
      await closed;
      await closeAll(here, there);
    });

    it('H13: a client that does not answer the close frame is cut off', async () => {
      const client = openWs(cookie());
      await once(client, 'message');
      client.pause();
      await t.app.get(SessionService).revoke(session.id);
      await until(() => server.clients.size === 0, 10_000); // ws itself would wait 30 s
    });

    it('H13: a session that ended between its lookup and closeWhenRevoked is closed', async () => {
      await other.app.get(SessionService).revoke(session.id);
      const closed = new Promise<void>((resolve) => connections().closeWhenRevoked(resolve, session));
      await closed;
    });

    it('H13: a message says nothing: whatever is notified, what lives stays open', async () => {
      const { ended } = await KINDS['a socket of ws'](cookie());
      const digest = t.app.get(InvalidationChannel).digest('sessions', session.id);
      for (const message of ['garbage', '{"sessions":"*"}', JSON.stringify({ sessions: [digest] })]) {
        await t.db.query("SELECT pg_notify('nestjs_latchkey_public', $1)", [message]);
      }
      await t.app.get(InvalidationChannel).publish({ users: ['marker'] });
      await until(() => settled());
      expect(await isOpen(ended)).toBe(true);
      await t.app.get(SessionService).revoke(session.id); // negative control
      expect(await ended).toBe(1008);
    });

    it('H13: a flood of "everything": each session is read once in a while, and a revocation comes through', async () => {
      const owners = await Promise.all(Array.from({ length: 20 }, () => createUser(t.app)));
      const opened = await Promise.all(owners.map(({ id }) => t.app.get(SessionService).create(id)));
      for (const one of opened) cleanUp.push(connections().closeWhenRevoked(() => {}, one.session));
      const { ended } = await KINDS['a socket of ws'](cookie());
      await until(() => settled());
      const reads = jest.spyOn(t.app.get(SessionLiveness), 'endOf');
      const start = performance.now();
      // Each in a transaction of its own, so that they do not come at once.
      for (let i = 0; i < 150; i++) await t.db.query(`SELECT pg_notify('nestjs_latchkey_public', '{"sessions":"*"}')`);
      await other.app.get(SessionService).revoke(session.id);
      expect(await ended).toBe(1008);
      await until(() => settled());
      const rounds = 2 + (performance.now() - start) / (MAX_STALENESS / 2);
      expect(reads.mock.calls.length).toBeLessThanOrEqual(21 * rounds);
      reads.mockRestore();
    });

    it('H13: what ended while nothing was heard is closed', async () => {
      const { ended } = await KINDS['a socket of ws'](cookie());
      await t.db.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE application_name = 'nestjs-latchkey listener' AND datname = current_database()`);
      await until(() => !t.app.get(InvalidationChannel).isCurrent);
      await other.app.get(SessionService).revoke(session.id);
      expect(await ended).toBe(1008);
    });

    it('H13: an outage closes nothing', async () => {
      const { ended } = await KINDS['a socket of ws'](cookie());
      const restore = await hideSessions(t.db);
      try {
        await t.app.get(InvalidationChannel).publish({ users: [ada.id] });
        const state = t.app.get<unknown, { failed: boolean }>(WatchedConnections);
        await until(() => state.failed);
        expect(await isOpen(ended)).toBe(true);
      } finally {
        await restore();
      }
      await other.app.get(SessionService).revoke(session.id);
      expect(await ended).toBe(1008);
    });

    describe('handshakes', () => {
      const refusedIo = (client: Socket) =>
        new Promise<unknown>((resolve, reject) => {
          client.on('connect', () => reject(new Error('It was let in.')));
          client.on('connect_error', (error) => resolve((error as Error & { data?: unknown }).data));
        });
      const refusedWs = (client: WebSocket) =>
        new Promise<unknown>((resolve, reject) => {
          client.on('open', () => reject(new Error('It was let in.')));
          client.on('unexpected-response', (_, { statusCode }) => resolve(statusCode));
          client.on('error', () => {});
        });
      const evil = { Origin: 'https://evil.example' };

      it.each<[string, () => Record<string, string>, string, number]>([
        ['an anonymous one', () => ({}), 'UNAUTHENTICATED', 401],
        ['one with a token of nobody', () => cookie('A'.repeat(43)), 'UNAUTHENTICATED', 401],
        ['one with a JWT of nobody', () => ({ Authorization: 'Bearer a.b.c' }), 'INVALID_TOKEN', 401],
        ['an anonymous one of a foreign page', () => evil, 'CROSS_ORIGIN_REQUEST', 403],
        ['one with the cookie, of a foreign page', () => ({ ...cookie(), ...evil }), 'CROSS_ORIGIN_REQUEST', 403],
      ])('H13: %s is refused, by socket.io and ws', async (_, headers, code, status) => {
        expect(await refusedIo(openIo(headers()))).toEqual({ code });
        expect(await refusedWs(openWs(headers()))).toBe(status);
      });

      it('H13: with allowAnonymous nobody is let in, but not of a foreign page, which gets no broadcast', async () => {
        const heard: string[] = [];
        const near = openIo({}, { path: '/open' });
        const far = openIo(evil, { path: '/open' });
        near.on('news', () => heard.push('near'));
        far.on('news', () => heard.push('far'));
        expect(await refusedIo(far)).toEqual({ code: 'CROSS_ORIGIN_REQUEST' });
        await until(() => near.connected);
        t.app.get(NotesGateway).server.of('/open').emit('news');
        await until(() => heard.length > 0);
        expect(heard).toEqual(['near']);
      });

      it.each([
        ['a token of nobody', () => ({ token: 'A'.repeat(43) })],
        ['a JWT of nobody', () => ({ authorization: 'Bearer a.b.c' })],
        ['the token of a session that has ended', (ended: string) => ({ token: ended })],
      ])('H13: a foreign page is not let in anonymously for sending %s along', async (_, auth) => {
        const ended = await t.app.get(SessionService).create(ada.id);
        await t.app.get(SessionService).revoke(ended.session.id);
        expect(await refusedIo(openIo(evil, { path: '/open', auth: auth(ended.token) }))).toEqual({
          code: 'CROSS_ORIGIN_REQUEST',
        });
        const near = openIo({}, { path: '/open', auth: auth(ended.token) });
        const far = openIo(evil, { path: '/open', auth: { token } });
        await until(() => near.connected && far.connected);
      });

      it.each([
        ['token', (value: string) => ({ token: value })],
        ['a bearer token', (value: string) => ({ authorization: `Bearer ${value}` })],
      ])('H13: socket.io: `auth` with %s is who the client is, to the guard too', async (_, auth) => {
        const client = openIo(evil, { auth: auth(token) });
        await new Promise<void>((resolve, reject) => client.on('connect', resolve).on('connect_error', reject));
        const answer = new Promise<unknown>((resolve) => client.on('me', resolve).on('exception', resolve));
        client.emit('me');
        expect(await answer).toBe(ada.email);
        const ended = new Promise<unknown>((resolve) => client.on('disconnect', resolve));
        await other.app.get(SessionService).revoke(session.id);
        await ended;
        expect(await refusedIo(openIo({}, { auth: auth(token) }))).toEqual({ code: 'UNAUTHENTICATED' });
        for (const wrong of [{ token: 42 }, { token: '' }, { authorization: ['x'] }]) {
          expect(await refusedIo(openIo({}, { auth: wrong }))).toEqual({ code: 'UNAUTHENTICATED' });
        }
      });

      it('H13: a fault is 503, and admits nobody', async () => {
        const fresh = await t.app.get(SessionService).create(ada.id);
        const restore = await hideSessions(t.db);
        try {
          expect(await refusedWs(openWs(cookie(fresh.token)))).toBe(503);
          expect(await refusedIo(openIo(cookie(fresh.token)))).toEqual({ code: expect.stringMatching(/STORE|SCHEMA/) });
        } finally {
          await restore();
        }
      });
    });

    it('H13: without a cache: at once in the process that ends it, in the others within maxStaleness', async () => {
      const auth = { cache: { enabled: false, maxStaleness: MAX_STALENESS } };
      const [near, far] = [
        await startTestApp({ url: t.db.url, auth }),
        await startTestApp({ url: t.db.url, auth: { ...auth, cache: { enabled: false } } }),
      ];
      const closedIn = (app: TestApp) =>
        new Promise<number>((resolve) => connections(app).closeWhenRevoked(() => resolve(performance.now()), session));
      const [here, there] = [closedIn(far), closedIn(near)];
      await until(() => settled(far) && settled(near));
      const start = performance.now();
      // `far` reads once in 2.5 s: sooner, it was told by this process itself.
      await far.app.get(SessionService).revoke(session.id);
      expect((await here) - start).toBeLessThan(1_500);
      expect((await there) - start).toBeLessThan(MAX_STALENESS + 1_500);
      await far.close();
      await near.close();
    });
  });
}
