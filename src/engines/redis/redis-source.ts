import { AuthError } from '../../auth.errors.js';
import { createClient, createCluster, type RedisClientOptions, type RedisClusterOptions } from 'redis';

/** The parts of a node-redis client that are used, single or cluster. */
export interface RedisCommands {
  readonly isOpen: boolean;
  get(key: string): Promise<string | null>;
  set(key: string, value: string, options: { PX: number }): Promise<unknown>;
  hGet(key: string, field: string): Promise<string | null>;
  hGetAll(key: string): Promise<Record<string, string>>;
  unlink(key: string): Promise<number>;
  evalSha(sha: string, options: { keys: string[]; arguments: string[] }): Promise<unknown>;
  eval(text: string, options: { keys: string[]; arguments: string[] }): Promise<unknown>;
  connect(): Promise<unknown>;
  destroy(): void;
  on(event: 'error', listener: (error: Error) => void): unknown;
}

/** One node of a cluster. */
export interface RedisNode extends RedisCommands {
  readonly options?: { readonly socket?: object };
  info(section: string): Promise<string>;
  scan(cursor: string, options: { MATCH: string; COUNT: number }): Promise<{ cursor: string; keys: string[] }>;
  publish(channel: string, message: string): Promise<number>;
  duplicate(overrides: object): RedisNode;
  subscribe(channel: string | string[], listener: (message: string, channel: string) => void): Promise<void>;
  on(event: 'error' | 'end', listener: (error: Error) => void): unknown;
}

/** All nodes. */
export interface RedisCluster extends RedisCommands {
  readonly masters: readonly object[];
  nodeClient(node: object): RedisNode | Promise<RedisNode>;
}

/** A node-redis client or cluster that the application creates, connects and closes. */
type HostsClient = Pick<RedisCommands, 'isOpen' | 'destroy'> & { duplicate(): unknown; get: unknown };

/** Where Redis is: node-redis options for one server (`url`) or a cluster (`rootNodes`), or a client of your own. */
export type RedisSource = RedisClientOptions | RedisClusterOptions | HostsClient;

const CONNECT_TIMEOUT = 2_000;
const MAX_RECONNECT_DELAY = 2_000;
/** A connection without even a ping for this long is cut: the other side is frozen or gone. */
const MAX_SILENCE = 5_000;
const PING_INTERVAL = 1_500;

const socket = {
  connectTimeout: CONNECT_TIMEOUT,
  socketTimeout: MAX_SILENCE,
  // Jitter, so that not every process reconnects to a restarted server at the same moment.
  reconnectStrategy: (retries: number) =>
    Math.min(50 * 2 ** Math.min(retries, 10), MAX_RECONNECT_DELAY) * (0.5 + Math.random() / 2),
};
/**
 * A command without a connection is refused at once: the request is answered promptly, and nothing is executed later.
 */
const PROMPT = { disableOfflineQueue: true, pingInterval: PING_INTERVAL };

/** Replicas may still return sessions that were ended long ago, without any bound. */
const STALE_READS = ['useReplicas', 'readonly', 'clientSideCache'];

export function clientOf(source: RedisSource): { client: RedisCommands; own: boolean } {
  if ('duplicate' in source && typeof source.duplicate === 'function') {
    return { client: source as unknown as RedisCommands, own: false };
  }
  const mistakes = STALE_READS.filter((name) => Boolean((source as Record<string, unknown>)[name])).map(
    (name) => `redisEngine: ${name} may read outdated data, such as a revoked session: leave it out.`,
  );
  if (mistakes.length > 0) throw new AuthError('INVALID_CONFIG', mistakes.join('\n'), { mistakes });
  if ('rootNodes' in source) {
    const { defaults = {}, rootNodes } = source;
    const cluster = createCluster({
      ...source,
      // A node asked for the topology is given up sooner than one asked for data.
      rootNodes: rootNodes.map((node) => ({
        ...defaults,
        ...node,
        socket: { ...socket, reconnectStrategy: false, ...defaults.socket, ...node.socket } as never,
      })),
      defaults: { ...PROMPT, ...defaults, socket: { ...socket, ...defaults.socket } as never },
    });
    return { client: cluster, own: true };
  }
  const given = source as RedisClientOptions;
  const single = createClient({ ...PROMPT, ...given, socket: { ...socket, ...given.socket } as never });
  return { client: single, own: true };
}

export function isCluster(client: RedisCommands): client is RedisCluster {
  return 'masters' in client;
}

/** `host:port` of each server, for messages: never with the user and password. */
export function addressOf(source: RedisSource): string {
  const options = (source as { options?: RedisSource }).options ?? source;
  const { rootNodes } = options as { rootNodes?: RedisClientOptions[] };
  const nodes = (rootNodes ?? [options as RedisClientOptions]).map(({ url: address, socket: to }) => {
    if (address !== undefined && URL.canParse(address)) return new URL(address).host;
    const { host, port } = (to ?? {}) as { host?: string; port?: number };
    return host === undefined && port === undefined ? '' : `${host ?? 'localhost'}:${port ?? 6379}`;
  });
  return nodes.filter(Boolean).join(', ');
}
