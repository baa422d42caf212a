import { connect } from 'node:net';
import type { Client } from './connection.js';
import type { ClientPool } from './listening-client.js';

const CANCEL_REQUEST = 80_877_102;
/** Milliseconds that the server has to accept it. */
const TIMEOUT = 1_000;

/** The server's data, as a `pg` client has them. */
interface Backend {
  readonly host?: string;
  readonly port?: number;
  readonly processID?: number | null;
  readonly secretKey?: number | Buffer | null;
}

/**
 * Asks the server to abandon the statement that this connection waits for (PostgreSQL protocol, 54.2.9). Closing the
 * connection alone does not: the statement would go on waiting for a lock, and keep its place among `max_connections`.
 * Best effort: it is not awaited, and never throws.
 */
export function cancelStatement(pool: ClientPool, client: Client): void {
  const { host, port, processID, secretKey } = client as Client & Backend;
  // Through a tunnel (the `stream` option) the server's address may not be reachable from here.
  if (pool.options.stream || !host || !port || !processID || secretKey === undefined || secretKey === null) return;
  const key = Buffer.isBuffer(secretKey) ? secretKey : int32(secretKey);
  const message = Buffer.concat([int32(12 + key.length), int32(CANCEL_REQUEST), int32(processID), key]);
  const socket = host.startsWith('/') ? connect(`${host}/.s.PGSQL.${port}`) : connect(port, host);
  socket.on('error', () => {});
  socket.setTimeout(TIMEOUT, () => socket.destroy());
  socket.on('connect', () => socket.end(message));
  socket.resume();
  socket.unref();
}

function int32(value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeInt32BE(value | 0);
  return buffer;
}
