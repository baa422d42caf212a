import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { BackendMessages } from './backend-messages.js';

/** A network between the application and PostgreSQL that can be broken. */
export interface TcpProxy {
  readonly port: number;
  /** The same database, through the proxy. */
  url(databaseUrl: string): string;
  /** A black hole: connections stay open and nothing comes through, either way. New ones are accepted, and as dead. */
  cut(): void;
  /** Connections that were cut are closed; new ones work. */
  heal(): void;
  /** Closes every connection at once (RST). */
  reset(): void;
  /** Leaves out the notifications of LISTEN, as a transaction pooler does. */
  swallowNotifications(on: boolean): void;
  close(): Promise<void>;
}

interface Link {
  readonly sockets: Socket[];
  dead: boolean;
}

export async function startTcpProxy(targetPort: number, targetHost = '127.0.0.1'): Promise<TcpProxy> {
  const links = new Set<Link>();
  let cut = false;
  let swallowing = false;

  const server = createServer((client) => {
    const link: Link = { sockets: [client], dead: cut };
    links.add(link);
    // Destroyed ones say so; there is nobody to tell.
    client.on('error', () => undefined);
    client.on('close', () => ended(link));
    if (cut) {
      client.pause();
      return;
    }
    const target = connect(targetPort, targetHost);
    link.sockets.push(target);
    target.on('error', () => undefined);
    target.on('close', () => ended(link));
    const messages = new BackendMessages(() => swallowing);
    forward(link, client, target, (chunk) => {
      messages.sent(chunk);
      return chunk;
    });
    forward(link, target, client, (chunk) => messages.received(chunk));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;

  /** Of a dead connection the other side does not hear the end. */
  function ended(link: Link): void {
    if (link.dead) return;
    links.delete(link);
    for (const socket of link.sockets) socket.destroySoon();
  }
  function destroy(doomed: Iterable<Link>): void {
    for (const link of doomed) {
      links.delete(link);
      for (const socket of link.sockets) socket.resetAndDestroy();
    }
  }

  return {
    port,
    url: (databaseUrl) => {
      const url = new URL(databaseUrl);
      url.hostname = '127.0.0.1';
      url.port = `${port}`;
      return url.href;
    },
    cut: () => {
      cut = true;
      for (const link of links) {
        link.dead = true;
        for (const socket of link.sockets) socket.pause();
      }
    },
    heal: () => {
      cut = false;
      destroy([...links].filter(({ dead }) => dead));
    },
    reset: () => destroy([...links]),
    swallowNotifications: (on) => {
      swallowing = on;
    },
    close: async () => {
      destroy([...links]);
      server.close();
      await once(server, 'close');
    },
  };
}

function forward(link: Link, from: Socket, to: Socket, filter: (chunk: Buffer) => Buffer): void {
  from.on('data', (chunk: Buffer) => {
    if (link.dead || to.write(filter(chunk))) return;
    from.pause();
    to.once('drain', () => {
      if (!link.dead) from.resume();
    });
  });
}
