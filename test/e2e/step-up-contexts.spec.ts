import { ApolloDriver, type ApolloDriverConfig } from '@nestjs/apollo';
import { UseFilters } from '@nestjs/common';
import { GraphQLModule, Query, Resolver } from '@nestjs/graphql';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import { hours, minutes, RequireAal, RequireFresh, SessionService, type AuthUser } from 'nestjs-latchkey';
import { AuthErrorFilter } from 'nestjs-latchkey/engine';
import { signInAs } from 'nestjs-latchkey/testing';
import { io, type Socket } from 'socket.io-client';
import request from 'supertest';
import { createUser, PASSWORD, PLATFORMS, startTestApp, type TestApp } from '../support/app.js';
import { cookieOf } from '../support/cookies.js';

@Resolver()
class VaultResolver {
  @Query('open')
  open() {
    return 'open';
  }

  @RequireFresh(minutes(5))
  @RequireAal(2)
  @Query('vault')
  vault() {
    return 'gold';
  }
}

@UseFilters(AuthErrorFilter)
@WebSocketGateway()
class VaultGateway {
  @SubscribeMessage('open')
  open() {
    return { event: 'open', data: 'open' };
  }

  @RequireFresh(minutes(5))
  @SubscribeMessage('vault')
  vault() {
    return { event: 'vault', data: 'gold' };
  }
}

const REFUSAL = { code: 'STEP_UP_REQUIRED', statusCode: 401 };
const flows = { stepUp: {} };

describe('a step-up in GraphQL', () => {
  let t: TestApp;
  let ada: AuthUser;
  beforeAll(async () => {
    t = await startTestApp({
      providers: [VaultResolver],
      imports: [
        GraphQLModule.forRoot<ApolloDriverConfig>({
          driver: ApolloDriver,
          typeDefs: 'type Query { open: String vault: String }',
          context: ({ req, res }: { req: object; res: object }) => ({ req, res }),
        }),
      ],
      auth: { flows },
    });
    ada = await createUser(t.app);
  });
  afterAll(() => t?.close());

  it('F86: the field that asks for more is refused with what is lacking, the others are answered', async () => {
    const ask = (cookie: string) =>
      request(t.url).post('/graphql').set('Cookie', cookie).send({ query: '{ open vault }' });
    const stale = await signInAs(t.app, ada.id, { authenticatedAt: t.clock.now() - hours(1), proofs: ['totp'] });
    const { body, headers } = await ask(stale);
    expect(body.data).toEqual({ open: 'open', vault: null });
    expect(body.errors).toEqual([
      expect.objectContaining({
        path: ['vault'],
        message: 'Confirm that it is you.',
        extensions: expect.objectContaining({
          ...REFUSAL,
          required: { aal: 2, maxAge: 300 },
          methods: ['password'],
        }),
      }),
    ]);
    expect(headers['set-cookie']).toBeUndefined();
    const answer = await request(t.url)
      .post('/auth/step-up')
      .set('Cookie', stale)
      .send({ method: 'password', password: PASSWORD });
    expect((await ask(cookieOf(answer))).body).toEqual({ data: { open: 'open', vault: 'gold' } });
  });
});

describe.each(PLATFORMS)('a step-up for a socket, on %s', (platform) => {
  let t: TestApp;
  let ada: AuthUser;
  const sockets: Socket[] = [];
  beforeAll(async () => {
    t = await startTestApp({ platform, providers: [VaultGateway], auth: { flows } });
  });
  afterAll(() => t?.close());
  beforeEach(async () => {
    ada = await createUser(t.app);
  });
  afterEach(() => {
    for (const socket of sockets.splice(0)) socket.disconnect();
  });

  const connect = (token: string) => {
    const extraHeaders = { Authorization: `Bearer ${token}` };
    const socket = io(t.url, { transports: ['websocket'], extraHeaders, forceNew: true });
    sockets.push(socket);
    return socket;
  };
  const ask = (socket: Socket, message: string) =>
    new Promise<{ event: string; data: unknown }>((answered) => {
      for (const event of [message, 'exception']) {
        socket.once(event, (data: unknown) => {
          socket.removeAllListeners();
          answered({ event, data });
        });
      }
      socket.emit(message);
    });

  it('F86: the message is answered by an exception with what is lacking, and the socket goes on', async () => {
    const sessions = t.app.get(SessionService);
    const { token } = await sessions.create(ada.id, { authenticatedAt: t.clock.now() - hours(1) });
    const socket = connect(token);
    expect(await ask(socket, 'vault')).toEqual({
      event: 'exception',
      data: {
        status: 'error',
        ...REFUSAL,
        message: 'Confirm that it is you.',
        required: { maxAge: 300 },
        methods: ['password'],
      },
    });
    expect(await ask(socket, 'open')).toEqual({ event: 'open', data: 'open' });
  });

  it('F84: a socket that was opened before does not follow into the elevated session; one with its token is served', async () => {
    const sessions = t.app.get(SessionService);
    const { token } = await sessions.create(ada.id, { authenticatedAt: t.clock.now() - hours(1) });
    const before = connect(token);
    expect(await ask(before, 'open')).toMatchObject({ event: 'open' });
    const { body } = await request(t.url)
      .post('/auth/step-up')
      .set('Authorization', `Bearer ${token}`)
      .send({ method: 'password', password: PASSWORD })
      .expect(200);
    for (const message of ['open', 'vault']) {
      expect(await ask(before, message)).toMatchObject({ event: 'exception', data: { code: 'UNAUTHENTICATED' } });
    }
    expect(await ask(connect(body.token as string), 'vault')).toEqual({ event: 'vault', data: 'gold' });
  });
});
