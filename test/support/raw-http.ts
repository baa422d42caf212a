import { connect, type Socket } from 'node:net';

export interface RawAnswer {
  /** 0: none, be it that the connection was closed or that nothing came for 5 seconds. */
  readonly status: number;
  readonly body: string;
}

const LANES = 8;
const PATIENCE_MS = 5_000;

/**
 * Sends a request for each of `headers`, lines that each end with CRLF, byte for byte over a few kept-alive sockets: no
 * HTTP client would let such headers through. The answers are in their order. `target`: the method and the path.
 */
export async function sendAll(url: string, headers: readonly Buffer[], target = 'GET /who'): Promise<RawAnswer[]> {
  const port = Number(new URL(url).port);
  const answers = Array.from<RawAnswer>({ length: headers.length });
  let next = 0;
  const lane = async () => {
    let socket: Socket | null = null;
    while (next < headers.length) {
      const index = next++;
      socket ??= opened(port);
      const { answer, close } = await exchange(socket, headers[index]!, target);
      answers[index] = answer;
      if (close) socket = (socket.destroy(), null);
    }
    socket?.destroy();
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  return answers;
}

function opened(port: number): Socket {
  const socket = connect(port, '127.0.0.1');
  // `close` follows, and tells enough.
  return socket.on('error', () => {}).setTimeout(PATIENCE_MS, () => socket.destroy());
}

function exchange(socket: Socket, headers: Buffer, target: string): Promise<{ answer: RawAnswer; close: boolean }> {
  return new Promise((resolve) => {
    let received = '';
    const finish = (close: boolean) => {
      socket.removeAllListeners('data').removeAllListeners('close');
      const status = Number(received.slice(9, 12));
      const body = received.slice(received.indexOf('\r\n\r\n') + 4);
      // Fastify closes after a request that does not parse, and does not say so; after an upgrade that was not wanted
      // Node does not read the next request as one.
      const isLast = close || status === 400 || /(?:^|\n)upgrade:/i.test(headers.toString('latin1'));
      resolve({ answer: { status, body }, close: isLast });
    };
    socket.on('data', (chunk: Buffer) => {
      received += chunk.toString('latin1');
      const head = received.indexOf('\r\n\r\n');
      if (head === -1) return;
      const length = Number(/content-length: (\d+)/i.exec(received)?.[1] ?? 0);
      if (received.length >= head + 4 + length) finish(/connection: close/i.test(received));
    });
    socket.once('close', () => finish(true));
    const host = /(?:^|\r\n)host:/i.test(headers.toString('latin1')) ? '' : 'Host: x\r\n';
    socket.write(Buffer.concat([Buffer.from(`${target} HTTP/1.1\r\n${host}`), headers, Buffer.from('\r\n')]));
  });
}
