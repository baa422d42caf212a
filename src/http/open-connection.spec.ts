import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from '@jest/globals';
import { WebSocket, WebSocketServer } from 'ws';
import { onClosed } from './open-connection.js';

describe('onClosed', () => {
  it('H13: tells of a ws connection that closed before anybody listened', async () => {
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
    await once(server, 'listening');
    const client = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`);
    const [[socket]] = (await Promise.all([once(server, 'connection'), once(client, 'open')])) as [
      [WebSocket],
      unknown,
    ];
    client.terminate();
    await once(socket, 'close');
    let told = 0;
    onClosed(socket, () => told++);
    server.close();
    expect(told).toBe(1);
  });
});
