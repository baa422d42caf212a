import { afterEach } from '@jest/globals';
import { io, type Socket } from 'socket.io-client';
import type { TestApp } from './app.js';

/** Sockets to this application; they are disconnected after the test. */
export function socketsTo(t: Pick<TestApp, 'url'>) {
  const sockets: Socket[] = [];
  afterEach(() => {
    for (const socket of sockets.splice(0)) socket.disconnect();
  });
  return (extraHeaders: Record<string, string> = {}, auth: Record<string, unknown> = {}): Socket => {
    const socket = io(t.url, { transports: ['websocket'], extraHeaders, auth, forceNew: true });
    sockets.push(socket);
    return socket;
  };
}

/** The answer to a message: its own event, or `exception`. */
export function answerTo(socket: Socket, message: string): Promise<{ event: string; data: unknown }> {
  return new Promise((answered) => {
    for (const event of [message, 'exception']) {
      socket.once(event, (data: unknown) => {
        socket.removeAllListeners();
        answered({ event, data });
      });
    }
    socket.emit(message);
  });
}
