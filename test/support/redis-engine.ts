import { redisEngine, type RedisSettings } from 'nestjs-latchkey/redis';
import type { AuthEngine } from 'nestjs-latchkey';
import { createClient, createCluster } from 'redis';

/** Keys of a test database's own on the run's server. */
export function prefixFor(databaseUrl: string): string {
  return `${new URL(databaseUrl).pathname.slice(1)}:`;
}

export function engineFor(databaseUrl: string, urls: readonly string[], settings: RedisSettings = {}): AuthEngine {
  const prefix = prefixFor(databaseUrl);
  return urls.length === 1
    ? redisEngine({ url: urls[0] }, { prefix, ...settings })
    : redisEngine({ rootNodes: urls.map((url) => ({ url })) }, { prefix, ...settings });
}

/** The test's own eyes. */
export interface RedisEyes {
  /** By key, what each hash holds. */
  hashes(beginning: string): Promise<[key: string, fields: Record<string, string>][]>;
  /** Puts other rows in the place of what these hashes hold. */
  rewrite(beginning: string, change: (row: string) => string): Promise<void>;
  ttls(): Promise<[key: string, ttl: number][]>;
  clear(): Promise<void>;
  close(): void;
}

export async function lookInto(urls: readonly string[], prefix: string): Promise<RedisEyes> {
  const clients = await Promise.all(
    urls.map((url) =>
      createClient({ url })
        .on('error', () => {})
        .connect(),
    ),
  );
  const each = async <T>(beginning: string, work: (client: (typeof clients)[0], key: string) => Promise<T>) => {
    const results: [string, T][] = [];
    for (const client of clients) {
      for (const key of await client.keys(`${prefix}${beginning}*`)) results.push([key, await work(client, key)]);
    }
    return results;
  };
  return {
    hashes: (beginning) => each(beginning, (client, key) => client.hGetAll(key)),
    rewrite: async (beginning, change) =>
      void (await each(beginning, async (client, key) => {
        for (const [field, row] of Object.entries(await client.hGetAll(key))) {
          await client.hSet(key, field, change(row));
        }
      })),
    ttls: () => each('', (client, key) => client.pTTL(key)),
    clear: async () => void (await each('', (client, key) => client.del(key))),
    close: () => clients.forEach((client) => client.destroy()),
  };
}

/** Another program that writes. */
export type RedisWriter = Pick<Awaited<ReturnType<typeof writeToCluster>>, 'set' | 'del' | 'hSet' | 'destroy'>;

export function writeTo(urls: readonly string[]): Promise<RedisWriter> {
  return urls.length === 1 ? createClient({ url: urls[0] }).connect() : writeToCluster(urls);
}

const writeToCluster = (urls: readonly string[]) =>
  createCluster({ rootNodes: urls.map((url) => ({ url })) })
    .on('error', () => {})
    .connect();
