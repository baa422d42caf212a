import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { setImmediate } from 'node:timers/promises';
import type { INestApplicationContext } from '@nestjs/common';
import {
  AuthError,
  JwtCodecService,
  SessionConnections,
  SessionService,
  TokenRevocationService,
  PostgresUserDirectory,
} from 'nestjs-latchkey';
import { WebSocket, WebSocketServer } from 'ws';
import type { Start } from '../../harness/contender.js';
import { startContext } from '../our-app.js';

export type Subject = 'session' | 'user' | 'jwt' | 'socket';

export interface Credential {
  readonly subject: Subject;
  readonly token: string;
  readonly user: string;
}

/** Microseconds of the clock that all processes of the machine share. */
export interface Ending {
  readonly start: number;
  readonly end: number;
}

/** What a process saw that kept asking. Instants as above. */
export interface Seen {
  /** Answers that it was live. */
  readonly hits: number;
  /** When the last question began that was answered so. */
  readonly lastLive: number;
  /** When the first answer came that it was not. */
  readonly gone: number;
}

/** One of the processes, with a cache of its own. */
export const watcher: Start<{ url: string }> = async ({ url }) => {
  const app = await startContext({ url, auth: { cache: { enabled: true } } });
  const isLive = livenessIn(app);
  const sockets = await socketsOf(app);
  let watched: Promise<Seen>;
  return {
    calls: {
      create: ({ subject, users }: { subject: Subject; users: string[] }) => create(app, subject, users),
      /** Twice, so that whatever keeps what it has read has it. */
      warm: async (credentials: readonly Credential[]) => {
        for (const credential of [...credentials, ...credentials]) {
          if (!(await isLive(credential))) throw new Error('A credential was not valid before it was ended.');
        }
      },
      /** Answers once the first question has been. */
      watch: (credential: Credential) =>
        new Promise<void>((resolve, reject) => {
          watched =
            credential.subject === 'socket'
              ? sockets.watch(credential.token, resolve)
              : watch(() => isLive(credential), resolve);
          watched.catch(reject);
        }),
      seen: () => watched,
      end: async (credential: Credential): Promise<Ending> => {
        const start = now();
        await end(app, credential);
        return { start, end: now() };
      },
    },
    close: () => {
      sockets.close();
      return app.close();
    },
  };
};

/** A ws server whose sockets end with their session, and a client that waits for that. */
async function socketsOf(app: INestApplicationContext) {
  const connections = app.get(SessionConnections);
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0, verifyClient: connections.verifyClient() });
  server.on('connection', (socket, request) => {
    connections.closeWhenRevoked(socket, connections.sessionOf(request)!);
    socket.send('ready');
  });
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    watch: async (token: string, onFirst: () => void): Promise<Seen> => {
      const client = new WebSocket(`ws://127.0.0.1:${port}`, { headers: { Authorization: `Bearer ${token}` } });
      await once(client, 'message');
      onFirst();
      await once(client, 'close');
      return { hits: 0, lastLive: 0, gone: now() };
    },
    close: () => server.close(),
  };
}

function create(app: INestApplicationContext, subject: Subject, users: readonly string[]): Promise<Credential[]> {
  return Promise.all(
    users.map(async (user) => {
      const token =
        subject === 'jwt'
          ? app.get(JwtCodecService).encode(user).token
          : (await app.get(SessionService).create(user)).token;
      return { subject, user, token };
    }),
  );
}

function livenessIn(app: INestApplicationContext): (credential: Credential) => Promise<boolean> {
  const [sessions, codec] = [app.get(SessionService), app.get(JwtCodecService)];
  const revocations = app.get(TokenRevocationService);
  return async ({ subject, token }) => {
    if (subject !== 'jwt') return (sessions.lookupCached(token) ?? (await sessions.lookup(token))) !== null;
    try {
      await revocations.userOf(codec.decode(token));
      return true;
    } catch (error) {
      if (error instanceof AuthError && error.code !== 'STORE_UNAVAILABLE') return false;
      throw error;
    }
  };
}

async function end(app: INestApplicationContext, { subject, token, user }: Credential): Promise<void> {
  const sessions = app.get(SessionService);
  if (subject === 'session' || subject === 'socket') await sessions.revoke(sessions.idOf(token)!);
  if (subject === 'user') await app.get(PostgresUserDirectory).disable(user);
  if (subject === 'jwt') {
    const { jti, exp } = app.get(JwtCodecService).decode(token);
    await app.get(TokenRevocationService).revoke(jti, exp);
  }
}

/** Asks again and again until it is over. */
async function watch(isLive: () => Promise<boolean>, onFirst: () => void): Promise<Seen> {
  let [hits, lastLive] = [0, 0];
  for (;;) {
    const start = now();
    if (!(await isLive())) return { hits, lastLive, gone: now() };
    lastLive = start;
    if (++hits === 1) onFirst();
    await setImmediate();
  }
}

function now(): number {
  return Number(process.hrtime.bigint() / 1000n);
}
