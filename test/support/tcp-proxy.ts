import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { BackendMessages } from './backend-messages.js';
import { createTestDatabase, type TestDatabase } from './database.js';

/** A network between the application and a server that can be broken. */
export interface TcpProxy {
  readonly port: number;
  /** The same database, through the proxy. */
  url(databaseUrl: string): string;
  /** A black hole: connections stay open and nothing comes through, either way. New ones are accepted, and as dead. */
  cut(): void;
  /** Connections that were cut are closed; new ones work. */
  heal(): void;
  /** Everything takes this much longer each way, in milliseconds. */
  slow(delay: number): void;
  /** New connections lead to the server on this port; those that are there stay. */
  redirect(port: number): void;
  /** Closes every connection at once (RST). */
  reset(): void;
  /** Leaves out the notifications of LISTEN, as a transaction pooler does. */
  swallowNotifications(on: boolean): void;
  close(): Promise<void>;
}

/** A database of a test file's own, and a network before it. */
export interface ProxiedDatabase {
  readonly db: TestDatabase;
  readonly proxy: TcpProxy;
  /** Of the database through the proxy. */
  readonly url: string;
  /** As if its server had stopped: connections are lost, and new ones end at once. */
  goAway(): void;
  comeBack(): void;
  drop(): Promise<void>;
}

/** Where nothing listens. */
const NOWHERE = 1;

export async function createProxiedDatabase(): Promise<ProxiedDatabase> {
  const db = await createTestDatabase();
  const port = Number(new URL(db.url).port);
  const proxy = await startTcpProxy(port);
  return {
    db,
    proxy,
    url: proxy.url(db.url),
    goAway: () => {
      proxy.redirect(NOWHERE);
      proxy.reset();
    },
    comeBack: () => proxy.redirect(port),
    drop: async () => {
      await proxy.close();
      await db.drop();
    },
  };
}

interface Link {
  readonly sockets: Socket[];
  dead: boolean;
}

/** To a server on 127.0.0.1: PostgreSQL, unless it is said that the bytes are `opaque`. */
export async function startTcpProxy(targetPort: number, { opaque = false } = {}): Promise<TcpProxy> {
  const links = new Set<Link>();
  let cut = false;
  let swallowing = false;
  let delay = 0;
  let port = targetPort;

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
    const target = connect(port, '127.0.0.1');
    link.sockets.push(target);
    target.on('error', () => undefined);
    target.on('close', () => ended(link));
    const messages = new BackendMessages(() => swallowing);
    forward(link, client, target, later(), (chunk) => {
      messages.sent(chunk);
      return chunk;
    });
    forward(link, target, client, later(), (chunk) => (opaque ? chunk : messages.received(chunk)));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const own = (server.address() as AddressInfo).port;

  /** For one way of a connection: sends in order, each when its time has come. */
  function later(): (send: () => void) => void {
    const waiting: { readonly at: number; send(): void }[] = [];
    const flush = () => {
      while (waiting[0] && waiting[0].at <= performance.now()) waiting.shift()!.send();
      if (waiting[0]) setTimeout(flush, waiting[0].at - performance.now() + 1);
    };
    return (send) => {
      waiting.push({ at: performance.now() + delay, send });
      if (waiting.length === 1) flush();
    };
  }

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
    port: own,
    url: (databaseUrl) => {
      const url = new URL(databaseUrl);
      url.hostname = '127.0.0.1';
      url.port = `${own}`;
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
    slow: (milliseconds) => {
      delay = milliseconds;
    },
    redirect: (to) => {
      port = to;
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

function forward(
  link: Link,
  from: Socket,
  to: Socket,
  later: (send: () => void) => void,
  filter: (chunk: Buffer) => Buffer,
): void {
  from.on('data', (chunk: Buffer) => {
    if (link.dead) return;
    const passed = filter(chunk);
    later(() => {
      if (link.dead || to.write(passed)) return;
      from.pause();
      to.once('drain', () => {
        if (!link.dead) from.resume();
      });
    });
  });
}
