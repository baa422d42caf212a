import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startEmbeddedPostgres, type EmbeddedPostgres } from 'nestjs-latchkey/testing';
import { SETTINGS } from './test-server.js';

/** A PostgreSQL of a test's own, that goes away and comes back on its port with its data. */
export interface OwnPostgres {
  /** As it runs now, or ran last. */
  readonly server: EmbeddedPostgres;
  stop(): Promise<void>;
  start(): Promise<void>;
  /** For good. */
  remove(): Promise<void>;
}

export async function startOwnPostgres(): Promise<OwnPostgres> {
  const folder = await mkdtemp(join(tmpdir(), 'latchkey-own-'));
  const dataDirectory = join(folder, 'data');
  let server = await startEmbeddedPostgres({ dataDirectory, settings: SETTINGS });
  const { port } = server;
  return {
    get server() {
      return server;
    },
    stop: () => server.stop(),
    start: async () => {
      server = await startEmbeddedPostgres({ dataDirectory, port, settings: SETTINGS });
    },
    remove: async () => {
      await server.stop();
      for (const made of [server.dataDirectory, folder]) await rm(made, { recursive: true, force: true });
    },
  };
}
