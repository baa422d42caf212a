import { UseFilters } from '@nestjs/common';
import { Query, Resolver } from '@nestjs/graphql';
import { beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import { hours, minutes, RequireAal, RequireFresh, SessionService, type AuthUser } from 'nestjs-latchkey';
import { AuthErrorFilter } from 'nestjs-latchkey/engine';
import { signInAs } from 'nestjs-latchkey/testing';
import request from 'supertest';
import { createUser, PASSWORD, PLATFORMS } from '../support/app.js';
import { apollo } from '../support/graphql.js';
import { sharedTestApp } from '../support/shared-app.js';
import { answerTo, socketsTo } from '../support/socket-io.js';
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
  const t = sharedTestApp({
    providers: [VaultResolver],
    imports: [apollo('type Query { open: String vault: String }')],
    auth: { flows },
  });
  let ada: AuthUser;
  beforeAll(async () => {
    ada = await createUser(t.app);
  });

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
  const t = sharedTestApp({ platform, providers: [VaultGateway], auth: { flows } });
  let ada: AuthUser;
  const socket = socketsTo(t);
  beforeEach(async () => {
    ada = await createUser(t.app);
  });

  const connect = (token: string) => socket({ Authorization: `Bearer ${token}` });

  it('F86: the message is answered by an exception with what is lacking, and the socket goes on', async () => {
    const sessions = t.app.get(SessionService);
    const { token } = await sessions.create(ada.id, { authenticatedAt: t.clock.now() - hours(1) });
    const socket = connect(token);
    expect(await answerTo(socket, 'vault')).toEqual({
      event: 'exception',
      data: {
        status: 'error',
        ...REFUSAL,
        message: 'Confirm that it is you.',
        required: { maxAge: 300 },
        methods: ['password'],
      },
    });
    expect(await answerTo(socket, 'open')).toEqual({ event: 'open', data: 'open' });
  });

  it('F84: a socket that was opened before does not follow into the elevated session; one with its token is served', async () => {
    const sessions = t.app.get(SessionService);
    const { token } = await sessions.create(ada.id, { authenticatedAt: t.clock.now() - hours(1) });
    const before = connect(token);
    expect(await answerTo(before, 'open')).toMatchObject({ event: 'open' });
    const { body } = await request(t.url)
      .post('/auth/step-up')
      .set('Authorization', `Bearer ${token}`)
      .send({ method: 'password', password: PASSWORD })
      .expect(200);
    for (const message of ['open', 'vault']) {
      expect(await answerTo(before, message)).toMatchObject({ event: 'exception', data: { code: 'UNAUTHENTICATED' } });
    }
    expect(await answerTo(connect(body.token as string), 'vault')).toEqual({ event: 'vault', data: 'gold' });
  });
});
