import type { IncomingMessage } from 'node:http';
import { once } from 'node:events';
import { UseFilters } from '@nestjs/common';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { WsAdapter } from '@nestjs/platform-ws';
import { SubscribeMessage, WebSocketGateway, type OnGatewayConnection, type OnGatewayInit } from '@nestjs/websockets';
import { CurrentUser, days, JwtCodecService, SessionConnections, SessionService, type AuthUser } from 'nestjs-latchkey';
import { AuthErrorFilter } from 'nestjs-latchkey/engine';
import { signInAs } from 'nestjs-latchkey/testing';
import { WebSocket, type WebSocketServer } from 'ws';
import { createUser, PLATFORMS, startTestApp, type TestApp } from '../support/app.js';
import { hideSessions } from '../support/stored.js';

/** As in `docs/recipes/connections.md`. */
@UseFilters(AuthErrorFilter)
@WebSocketGateway({ path: '/notes' })
class NotesGateway implements OnGatewayInit<WebSocketServer>, OnGatewayConnection<WebSocket> {
  constructor(private readonly connections: SessionConnections) {}

  afterInit(server: WebSocketServer) {
    server.options.verifyClient = this.connections.verifyClient();
  }

  handleConnection(client: WebSocket, request: IncomingMessage) {
    Object.assign(client, { upgradeReq: request });
    const session = this.connections.sessionOf(request);
    if (session) this.connections.closeWhenRevoked(client, session);
  }

  @SubscribeMessage('me')
  me(@CurrentUser('email') email: string) {
    return { event: 'me', data: email };
  }
}

describe.each(PLATFORMS)('a gateway of WsAdapter, on %s', (platform) => {
  const sockets: WebSocket[] = [];
  let t: TestApp, ada: AuthUser;
  beforeAll(async () => {
    t = await startTestApp({
      auth: { jwt: { sessions: true } },
      platform,
      providers: [NotesGateway],
      configure: (app) => app.useWebSocketAdapter(new WsAdapter(app)),
    });
    ada = await createUser(t.app);
  });
  afterAll(() => t?.close());
  afterEach(() => {
    for (const socket of sockets.splice(0)) socket.terminate();
  });

  const connect = (headers: Record<string, string>) => {
    const socket = new WebSocket(`${t.url.replace('http', 'ws')}/notes`, { headers });
    sockets.push(socket);
    return socket;
  };
  const opened = async (headers: Record<string, string>) => {
    const socket = connect(headers);
    await once(socket, 'open');
    return socket;
  };
  const refused = async (headers: Record<string, string>): Promise<number | undefined> => {
    const socket = connect(headers);
    // It is ended before it was open, which is an error to ws.
    socket.on('error', () => {});
    const [, answer] = (await once(socket, 'unexpected-response')) as [unknown, IncomingMessage];
    return answer.statusCode;
  };
  const ask = async (socket: WebSocket, event: string): Promise<unknown> => {
    const answer = once(socket, 'message') as Promise<[Buffer]>;
    socket.send(JSON.stringify({ event }));
    return JSON.parse(String((await answer)[0]));
  };

  it('H13: knows the user by cookie, opaque token and JWT', async () => {
    const bearer = (token: string) => ({ Authorization: `Bearer ${token}` });
    for (const headers of [
      { Cookie: await signInAs(t.app, ada.id) },
      bearer((await t.app.get(SessionService).create(ada.id)).token),
      bearer(t.app.get(JwtCodecService).encode(ada.id).token),
    ]) {
      expect(await ask(await opened(headers), 'me')).toEqual({ event: 'me', data: ada.email });
    }
  });

  it('H13: a handshake without a session, of a foreign page, and in an outage', async () => {
    expect(await refused({})).toBe(401);
    expect(await refused({ Cookie: '__Host-session=forged' })).toBe(401);
    const Cookie = await signInAs(t.app, ada.id);
    expect(await refused({ Cookie, Origin: 'https://evil.example' })).toBe(403);
    const bringBack = await hideSessions(t.db);
    expect(await refused({ Cookie })).toBe(503);
    await bringBack();
    await opened({ Cookie });
  });

  it('H13: ends with its session: revoked, everywhere, expired', async () => {
    const sessions = t.app.get(SessionService);
    const endings: ((id: string) => Promise<unknown>)[] = [
      (id) => sessions.revoke(id),
      () => sessions.revokeAllForUser(ada.id),
      async () => t.clock.advance(days(90)),
    ];
    for (const end of endings) {
      const { token, session } = await sessions.create(ada.id);
      const socket = await opened({ Authorization: `Bearer ${token}` });
      expect(await ask(socket, 'me')).toMatchObject({ event: 'me' });
      const closed = once(socket, 'close');
      await end(session.id);
      expect((await closed)[0]).toBe(1008);
    }
  });
});
