import { UseFilters } from '@nestjs/common';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import { AuthErrorFilter } from 'nestjs-latchkey/engine';
import { CurrentUser, Public, seconds, SessionService, type AuthUser } from 'nestjs-latchkey';
import { signInAs } from 'nestjs-latchkey/testing';
import { createUser, PLATFORMS } from '../support/app.js';
import { sharedTestApp } from '../support/shared-app.js';
import { answerTo, socketsTo } from '../support/socket-io.js';

@UseFilters(AuthErrorFilter)
@WebSocketGateway()
class NotesGateway {
  @SubscribeMessage('me')
  me(@CurrentUser('email') email: string) {
    return { event: 'me', data: email };
  }

  @Public()
  @SubscribeMessage('open')
  open(@CurrentUser('email') email: string | null) {
    return { event: 'open', data: email };
  }
}

describe.each(PLATFORMS)('a socket.io gateway behind the global guard, on %s', (platform) => {
  const t = sharedTestApp({ platform, providers: [NotesGateway] });
  let ada: AuthUser;
  beforeAll(async () => {
    ada = await createUser(t.app, 'ada@example.com');
  });

  const connect = socketsTo(t);

  it('knows the user by the cookie of the handshake', async () => {
    const socket = connect({ Cookie: await signInAs(t.app, ada.id) });
    expect(await answerTo(socket, 'me')).toEqual({ event: 'me', data: 'ada@example.com' });
  });

  it('refuses an anonymous message with our code, and serves a public one', async () => {
    const socket = connect();
    expect(await answerTo(socket, 'me')).toMatchObject({
      event: 'exception',
      data: { code: 'UNAUTHENTICATED', statusCode: 401 },
    });
    expect(await answerTo(socket, 'open')).toEqual({ event: 'open', data: null });
  });

  it('refuses the next message after the session is revoked, and the public handler knows nobody', async () => {
    const { token, session } = await t.app.get(SessionService).create(ada.id);
    const socket = connect({ Authorization: `Bearer ${token}` });
    expect(await answerTo(socket, 'me')).toEqual({ event: 'me', data: 'ada@example.com' });
    await t.app.get(SessionService).revoke(session.id);
    expect(await answerTo(socket, 'me')).toMatchObject({ event: 'exception', data: { code: 'UNAUTHENTICATED' } });
    expect(await answerTo(socket, 'open')).toEqual({ event: 'open', data: null });
  });

  it('a socket that outlives a rotation goes on for its grace, is refused after it, and logs no tab out', async () => {
    const sessions = t.app.get(SessionService);
    const { token, session } = await sessions.create(ada.id);
    const socket = connect({ Authorization: `Bearer ${token}` });
    expect(await answerTo(socket, 'me')).toEqual({ event: 'me', data: 'ada@example.com' });
    const rotated = (await sessions.rotate(session, ada.id))!;
    expect(await answerTo(socket, 'me')).toEqual({ event: 'me', data: 'ada@example.com' });
    t.clock.advance(seconds(30));
    expect(await answerTo(socket, 'me')).toMatchObject({ event: 'exception', data: { code: 'UNAUTHENTICATED' } });
    expect(await sessions.lookup(rotated.token)).not.toBeNull();
  });

  it('F3: refuses messages over a handshake from a foreign page', async () => {
    const socket = connect({ Cookie: await signInAs(t.app, ada.id), Origin: 'https://evil.example' });
    expect(await answerTo(socket, 'me')).toMatchObject({ event: 'exception', data: { code: 'CROSS_ORIGIN_REQUEST' } });
  });

  it('F3: a made-up token, which any page can send, opens no public handler to a foreign one', async () => {
    const socket = connect({ Origin: 'https://evil.example' }, { token: 'A'.repeat(43) });
    expect(await answerTo(socket, 'open')).toMatchObject({
      event: 'exception',
      data: { code: 'CROSS_ORIGIN_REQUEST' },
    });
    expect(await answerTo(socket, 'me')).toMatchObject({ event: 'exception', data: { code: 'UNAUTHENTICATED' } });
    const { token } = await t.app.get(SessionService).create(ada.id);
    const owner = connect({ Origin: 'https://evil.example' }, { token });
    expect(await answerTo(owner, 'me')).toEqual({ event: 'me', data: 'ada@example.com' });
  });

  it('50 messages at once on one socket: each knows its user', async () => {
    const socket = connect({ Cookie: await signInAs(t.app, ada.id) });
    const answers = new Promise<unknown[]>((done) => {
      const all: unknown[] = [];
      for (const event of ['me', 'exception']) socket.on(event, (data) => all.push(data) === 50 && done(all));
    });
    for (let i = 0; i < 50; i++) socket.emit('me');
    expect(new Set(await answers)).toEqual(new Set(['ada@example.com']));
  });
});
