/** The parts of a socket.io `Socket` that are used. */
export interface SocketIoConnection {
  disconnect(close?: boolean): unknown;
  readonly conn: {
    readonly readyState?: unknown;
    close(): unknown;
    once(event: 'close', listener: () => void): unknown;
  };
}

/** The parts of a ws `WebSocket` that are used. */
export interface WebSocketConnection {
  readonly readyState?: unknown;
  close(code?: number, reason?: string): unknown;
  terminate(): unknown;
  once(event: 'close', listener: () => void): unknown;
}

/** A connection that can be closed; for any other kind, the function that closes it. */
export type OpenConnection = SocketIoConnection | WebSocketConnection | (() => unknown);

/** RFC 6455 7.4.1: the endpoint received something that violates its policy. */
const POLICY_VIOLATION = 1008;
/** Milliseconds that a peer has to answer the close frame before the connection is cut. */
const MAX_GOODBYE = 1_000;

export function close(connection: OpenConnection): void {
  if (typeof connection === 'function') return void connection();
  if ('disconnect' in connection) {
    connection.disconnect(true);
    // `disconnect` has no effect on a socket that is still in its handshake.
    connection.conn.close();
    return;
  }
  connection.close(POLICY_VIOLATION, 'The session has ended.');
  const cut = setTimeout(() => connection.terminate(), MAX_GOODBYE).unref();
  connection.once('close', () => clearTimeout(cut));
}

/** `readyState` of a ws `WebSocket` that has closed. */
const CLOSED = 3;

/**
 * Calls back when the connection has closed by itself, at once if it has closed already. Not for a function: its caller
 * has to notice.
 */
export function onClosed(connection: OpenConnection, listener: () => void): void {
  if (typeof connection === 'function') return;
  const isSocketIo = 'disconnect' in connection;
  // It may have closed while its session was looked up, and will not say so again.
  if (isSocketIo ? connection.conn.readyState === 'closed' : connection.readyState === CLOSED) listener();
  else if (isSocketIo) connection.conn.once('close', listener);
  else connection.once('close', listener);
}
