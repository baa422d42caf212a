import { Logger, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import { AuthError } from '../../auth.errors.js';
import type { Duration } from '../../common/duration.js';
import type { RedisScript } from './redis-script.js';
import {
  addressOf,
  clientOf,
  isCluster,
  type RedisCommands,
  type RedisNode,
  type RedisSource,
} from './redis-source.js';

export interface RedisSettings {
  /** Prefix of every key and channel. Applications that share a server need different ones. Default `lk:`. */
  prefix?: string;
  /** How long a command may take. Default 2 seconds. */
  timeout?: Duration;
}

const OLDEST_VERSION = 7;
/** Keys that one SCAN passes, about. */
const SCANNED = 1_000;
const TIMEOUT = 2_000;
const BOOT_TIMEOUT = 5_000;

/**
 * The connection to Redis. Whatever keeps a command from being executed and answered (no connection, no answer within
 * `timeout`, a server error, including READONLY, CLUSTERDOWN and out of memory) is thrown as `STORE_UNAVAILABLE`, so
 * that it is never mistaken for "not found"; the command may or may not have been executed. It reconnects by itself.
 */
export class RedisConnection implements OnModuleInit, OnApplicationShutdown {
  readonly prefix: string;
  /** The channel for changes; the scripts publish as part of what they change. */
  readonly channel: string;
  private readonly logger = new Logger('Auth');
  // Its options contain the password.
  readonly #client: RedisCommands;
  private readonly own: boolean;
  private readonly timeout: Duration;
  private readonly address: string;
  private opened: Promise<void> | undefined;
  private refuse: ((error: AuthError) => void) | undefined;
  private closed = false;

  constructor(source: RedisSource, { prefix = 'lk:', timeout = TIMEOUT }: RedisSettings = {}) {
    this.prefix = prefix;
    this.channel = `${prefix}invalidations`;
    this.timeout = timeout;
    this.address = addressOf(source);
    const { client, own } = clientOf(source);
    this.#client = client;
    this.own = own;
    // Without a listener, an `error` would end the process; requests meanwhile get the error.
    client.on('error', this.heardError);
  }

  get isCluster(): boolean {
    return isCluster(this.#client);
  }

  /** Fails the boot if Redis is unavailable, too old or a replica, instead of failing every request after it. */
  onModuleInit(): Promise<void> {
    return this.ready();
  }

  onApplicationShutdown(): void {
    this.closed = true;
    if (this.own && this.#client.isOpen) this.#client.destroy();
  }

  /** Resolves once it is connected and checked; rejects if that failed at boot. */
  ready(): Promise<void> {
    return (this.opened ??= this.open());
  }

  /** `part` names the operation in the error. */
  async run<T>(part: string, work: (redis: RedisCommands) => Promise<T>, timeout = this.timeout): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`no answer within ${timeout} ms`)), timeout);
    });
    try {
      return await Promise.race([work(this.#client), late]);
    } catch (error) {
      throw unavailable(part, error, this.address);
    } finally {
      clearTimeout(timer);
    }
  }

  /** All `keys` must be in one slot. */
  script(part: string, { sha, text }: RedisScript, keys: string[], values: string[]): Promise<unknown> {
    return this.run(part, async (redis) => {
      const options = { keys, arguments: values };
      try {
        return await redis.evalSha(sha, options);
      } catch (error) {
        // A restarted server has no scripts; nothing has been run.
        if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error;
        return redis.eval(text, options);
      }
    });
  }

  /** Deletes keys that nothing depends on. If that fails, they go at their expiry. */
  discard(keys: readonly string[]): void {
    for (const key of keys) this.#client.unlink(key).catch(() => {});
  }

  /** Every master, or the only server. */
  nodes(): Promise<RedisNode[]> {
    return this.run('nodes', async (client) =>
      isCluster(client)
        ? Promise.all(client.masters.map(async (master) => client.nodeClient(master)))
        : [client as unknown as RedisNode],
    );
  }

  /**
   * Every key with this prefix, in no particular order; keys that come or go meanwhile may be missing or appear twice.
   */
  async *keys(beginning: string): AsyncGenerator<string> {
    for await (const page of this.pagesOfKeys(beginning)) yield* page;
  }

  /** `keys` by the answers of the server, each for about `SCANNED` keys of any prefix. */
  async *pagesOfKeys(beginning: string): AsyncGenerator<readonly string[]> {
    const MATCH = `${beginning.replaceAll(/[*?[\]\\]/g, '\\$&')}*`;
    for (const node of await this.nodes()) {
      for (let cursor = '0'; ;) {
        const page = await this.run('scan', () => node.scan(cursor, { MATCH, COUNT: SCANNED }));
        yield page.keys;
        cursor = String(page.cursor);
        if (cursor === '0') break;
      }
    }
  }

  private async open(): Promise<void> {
    try {
      if (!this.#client.isOpen) {
        const refused = new Promise<never>((_, reject) => (this.refuse = reject));
        await Promise.race([this.run('connect', (redis) => redis.connect(), BOOT_TIMEOUT), refused]);
      }
      const mistakes: string[] = [];
      for (const node of await this.nodes()) mistakes.push(...(await this.check(node)));
      if (mistakes.length > 0) throw new AuthError('INVALID_CONFIG', mistakes.join('\n'), { mistakes });
    } catch (error) {
      this.onApplicationShutdown();
      throw error;
    }
  }

  private async check(node: RedisNode): Promise<string[]> {
    const info = await this.run('check', () => node.info('everything'));
    const value = (name: string) => new RegExp(`^${name}:(.*)\r?$`, 'm').exec(info)?.[1]?.trim();
    const mistakes: string[] = [];
    if (Number.parseInt(value('redis_version') ?? '', 10) < OLDEST_VERSION) {
      mistakes.push(`Redis is version ${value('redis_version')}: it must be ${OLDEST_VERSION}.0 or newer.`);
    }
    if (value('role') === 'slave')
      mistakes.push('Redis is a replica, which takes no writes: give the address of its master.');
    if (value('aof_enabled') === '0') {
      this.logger.warn(
        'Redis keeps no append-only file: after a restart, sessions that were ended since its last snapshot may be back. ' +
          'Set appendonly yes (appendfsync always leaves no gap), or save "" so that a restart ends them all.',
      );
    }
    if (value('maxmemory_policy') !== 'noeviction' && value('maxmemory') !== '0') {
      this.logger.warn(
        `Redis evicts keys when its memory is full (${value('maxmemory_policy')}): sessions and counted attempts would be ` +
          'forgotten before their time. Set maxmemory-policy noeviction.',
      );
    }
    return mistakes;
  }

  private readonly heardError = (error: Error): void => {
    if (!this.closed) this.logger.debug?.(`Redis: ${error.message}`);
    // node-redis would retry the same credentials for ever.
    const mistake = mistakenCredentials(error, this.address);
    if (mistake !== null) this.refuse?.(new AuthError('INVALID_CONFIG', mistake, { mistakes: [mistake] }));
  };
}

/**
 * A replica, a master that lacks its replicas or cannot save, or a full memory: nothing was written, but reads work.
 */
export function takesNoWrites(error: unknown): boolean {
  const { cause } = error as { cause?: unknown };
  return cause instanceof Error && /^(READONLY|NOREPLICAS|MISCONF|OOM)\b/.test(cause.message);
}

function unavailable(part: string, error: unknown, address: string): AuthError {
  if (error instanceof AuthError) return error;
  const refused = mistakenCredentials(error, address);
  if (refused !== null) return new AuthError('STORE_UNAVAILABLE', refused, { part }, { cause: error });
  return new AuthError(
    'STORE_UNAVAILABLE',
    `Redis${address && ` at ${address}`} did not answer. Is it running, and is the engine's address right? See the ` +
      'cause; requests are answered again as soon as it is back.',
    { part },
    { cause: error },
  );
}

const REFUSALS: Readonly<Record<string, string>> = {
  WRONGPASS: 'refuses the user or the password: correct them in its address',
  NOAUTH: 'wants a password: put it into its address',
  NOPERM: 'does not let this user do that: allow it all commands on the keys and channels of its prefix',
};

/** The remedy, if the server refuses our credentials. */
function mistakenCredentials(error: unknown, address: string): string | null {
  const code = error instanceof Error ? (/^[A-Z]+/.exec(error.message)?.[0] ?? '') : '';
  const remedy = Object.hasOwn(REFUSALS, code) ? REFUSALS[code] : undefined;
  return remedy === undefined ? null : `Redis${address && ` at ${address}`} ${remedy} (${code}).`;
}
