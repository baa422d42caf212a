import type { INestApplicationContext } from '@nestjs/common';
import { getDataSourceToken } from '@nestjs/typeorm';
import type { DataSource } from 'typeorm';

/** Everything an application sends to PostgreSQL, read where it leaves: at the connections of TypeORM's pool. */
export interface QuerySpy {
  /** Texts since the last `reset`, oldest first. */
  readonly statements: readonly string[];
  /** Names of the prepared ones. */
  readonly names: readonly string[];
  /** Those that change something. */
  readonly writes: readonly string[];
  reset(): void;
}

interface Submittable {
  text?: string;
  name?: string;
}
interface PoolClient {
  query: (query: string | Submittable, ...rest: unknown[]) => unknown;
  spied?: boolean;
}
interface Pool {
  connect: (callback?: (error: Error | undefined, client: PoolClient, release: unknown) => void) => unknown;
  on(event: 'acquire', listener: (client: PoolClient) => void): void;
}

export function spyOnQueries(app: INestApplicationContext): QuerySpy {
  const pool = (app.get<DataSource>(getDataSourceToken()).driver as unknown as { master: Pool }).master;
  const statements: string[] = [];
  const names: string[] = [];
  pool.on('acquire', (client) => {
    if (client.spied) return;
    client.spied = true;
    const query = client.query.bind(client);
    client.query = (statement, ...rest) => {
      // The channel's heartbeat comes when it likes.
      if (typeof statement !== 'string' && statement.name === 'latchkey_ping') return query(statement, ...rest);
      if (typeof statement !== 'string' && statement.name) names.push(statement.name);
      statements.push(typeof statement === 'string' ? statement : (statement.text ?? ''));
      return query(statement, ...rest);
    };
  });
  return {
    statements,
    names,
    get writes() {
      return statements.filter((text) => /insert|update|delete|latchkey_/i.test(text));
    },
    reset: () => {
      statements.length = 0;
      names.length = 0;
    },
  };
}
