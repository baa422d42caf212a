import { createServer, type AddressInfo, type Server } from 'node:net';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { Pool } from 'pg';
import { ConnectionPool } from '../../src/postgres/connection-pool.js';

/** A message of PostgreSQL's protocol, version 3. */
function message(type: string, ...parts: Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  const head = Buffer.alloc(5, type);
  head.writeUInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}
const AUTHENTICATED = message('R', Buffer.from([0, 0, 0, 0]));
const READY = message('Z', Buffer.from('I'));
const TERMINATED = message('E', Buffer.from('SFATAL\0C57P01\0Mterminating connection\0\0'));

let server: Server;
let pool: Pool;
beforeEach(async () => {
  server = createServer((socket) => {
    socket.on('error', () => {});
    // The greeting and the end in one packet.
    socket.once('data', () => socket.end(Buffer.concat([AUTHENTICATED, READY, TERMINATED])));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  pool = new Pool({ host: '127.0.0.1', port: (server.address() as AddressInfo).port, user: 'nobody', ssl: false });
  pool.on('error', () => {});
});
afterEach(async () => {
  await pool.end();
  await new Promise((resolve) => server.close(resolve));
});

it('H20: a connection that ends in the packet that opens it fails its statement, and not the process', async () => {
  const connections = new ConnectionPool(() => pool as never, 5_000);
  const failed = await connections.query({ text: 'SELECT 1', values: [] }).catch((error: unknown) => error);
  expect(failed).toBeInstanceOf(Error);
  expect(pool.totalCount).toBe(0);
});
