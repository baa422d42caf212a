import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { parse } from 'pg-connection-string';

const DEFAULT_PORT = 5432;

export interface PoolOptions {
  max?: number;
  connectionString?: string;
  password?: unknown;
  ssl?: unknown;
  stream?: (config: unknown) => Duplex;
}

/** The part of a `pg` pool that holds its connection options. */
export interface ClientPool {
  readonly options: PoolOptions;
  readonly Client: new (options: object) => Listener;
}

export interface ListenerOptions {
  readonly address: string | null;
  readonly application_name: string;
  readonly keepAlive: boolean;
}

/** The part of a `pg` client that listens. */
export interface Listener {
  connect(): Promise<unknown>;
  query(text: string, values?: unknown[]): Promise<unknown>;
  end(): Promise<void>;
  on(event: 'error', listener: (error: Error) => void): void;
  on(event: 'end', listener: () => void): void;
  on(event: 'notification', listener: (message: { channel: string; payload?: string }) => void): void;
}

export interface ListeningClient {
  readonly client: Listener;
  /** Destroyed by the caller: if the other side is gone, a graceful end would wait for it. */
  readonly socket: () => Duplex | undefined;
}

/**
 * A connection like the pool's, outside of it and not connected yet. What `address` specifies replaces the pool's
 * options; what it does not (password functions, TLS, tunnels) stays.
 */
export function listeningClient({ Client, options: own }: ClientPool, given: ListenerOptions): ListeningClient {
  const { address, ...options } = given;
  let socket: Duplex | undefined;
  const stream = (config: unknown) => (socket = own.stream?.(config) ?? new Socket());
  // pg-pool hides these two from enumeration.
  const pooled = { ...own, password: own.password, ssl: own.ssl };
  return { client: new Client({ ...readdressed(pooled, address), ...options, stream }), socket: () => socket };
}

/** The options, with what the address specifies, its parameters (`sslmode`, `sslrootcert`, `options`) included. */
function readdressed(own: PoolOptions, address: string | null): object {
  if (address === null) return own;
  const { connectionString, ...options } = own;
  // `pg` would let the pool's connection string win over everything beside it.
  const inOwnString = connectionString === undefined ? {} : specified(connectionString);
  return { ...options, ...inOwnString, port: DEFAULT_PORT, ...specified(address) };
}

function specified(address: string): object {
  return Object.fromEntries(Object.entries(parse(address)).filter(([, value]) => value !== '' && value !== null));
}
