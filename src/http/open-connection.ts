/** What is used of a `Socket` of socket.io. */
export interface SocketIoConnection {
  disconnect(close?: boolean): unknown;
  readonly conn: { close(): unknown; once(event: 'close', listener: () => void): unknown };
}

/** What is used of a `WebSocket` of ws. */
export interface WebSocketConnection {
  close(code?: number, reason?: string): unknown;
  terminate(): unknown;
  once(event: 'close', listener: () => void): unknown;
}

/** A connection that can be closed; of any other kind, what closes it. */
export type OpenConnection = SocketIoConnection | WebSocketConnection | (() => unknown);

/** RFC 6455 7.4.1: the endpoint has received what violates its policy. */
const POLICY_VIOLATION = 1008;
/** Milliseconds that a peer has to answer the close frame, before the connection is cut. */
const MAX_GOODBYE = 1_000;

export function close(connection: OpenConnection): void {
  if (typeof connection === 'function') return void connection();
  if ('disconnect' in connection) {
    connection.disconnect(true);
    // One that is still in its handshake takes no notice of the former.
    connection.conn.close();
    return;
  }
  connection.close(POLICY_VIOLATION, 'The session has ended.');
  const cut = setTimeout(() => connection.terminate(), MAX_GOODBYE).unref();
  connection.once('close', () => clearTimeout(cut));
}

/** Calls back when the connection has closed by itself; a function is its caller's affair. */
export function onClosed(connection: OpenConnection, listener: () => void): void {
  if (typeof connection === 'function') return;
  if ('disconnect' in connection) connection.conn.once('close', listener);
  else connection.once('close', listener);
}
