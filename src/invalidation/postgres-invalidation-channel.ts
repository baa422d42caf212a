import { randomUUID } from 'node:crypto';
import { Socket } from 'node:net';
import { Injectable } from '@nestjs/common';
import { AuthConfig } from '../config/auth-config.js';
import { PreparedStatements, type Listener, type Statement } from '../database/prepared-statement.js';
import { formatInvalidation, type Invalidation } from './invalidation.js';
import {
  RemoteInvalidationChannel,
  type Subscription,
  type SubscriptionEvents,
} from './remote-invalidation-channel.js';

/** The triggers of the migration publish here too. */
const CHANNEL = 'nestjs_latchkey';
const CONNECT_TIMEOUT = 5_000;

const NOTIFY: Statement = { name: 'latchkey_notify', text: 'SELECT pg_notify($1, $2)' };

/**
 * LISTEN/NOTIFY on one connection of its own, beside the pool. Changes of the module's tables are published by triggers,
 * inside the transaction that makes them and whoever makes it: this module, another program on the same tables, or a hand
 * in psql. A pooler in transaction mode (PgBouncer) takes LISTEN and delivers nothing, which the ping finds out: give it
 * the database's own address by `cache.url`.
 */
@Injectable()
export class PostgresInvalidationChannel extends RemoteInvalidationChannel {
  constructor(
    private readonly statements: PreparedStatements,
    private readonly config: AuthConfig,
  ) {
    super(
      config.cache.maxStaleness,
      'Is the database away? Behind a pooler in transaction mode set cache.url to an address that goes past it.',
    );
  }

  override async publish(invalidation: Invalidation): Promise<void> {
    await this.statements.run(NOTIFY, [CHANNEL, formatInvalidation(invalidation)]);
    this.statements.afterwards(() => this.deliver(invalidation));
  }

  protected override async connect({ message, pong, lost }: SubscriptionEvents): Promise<Subscription> {
    // Ours, so that it can be destroyed when the other side no longer answers: ending politely would wait for it.
    const socket = new Socket();
    const client: Listener = this.statements.listener({
      ...(this.config.cache.url === null ? {} : { connectionString: this.config.cache.url }),
      stream: () => socket,
      connectionTimeoutMillis: CONNECT_TIMEOUT,
      keepAlive: true,
      application_name: 'nestjs-latchkey listener',
    });
    const close = () => {
      void client.end().catch(() => {});
      socket.destroySoon();
      setTimeout(() => socket.destroy(), 1_000).unref();
    };
    const own = `${CHANNEL}_${randomUUID()}`;
    client.on('error', lost);
    client.on('end', () => lost(new Error('the connection has ended')));
    client.on('notification', ({ channel, payload = '' }) => {
      if (channel === own) pong(payload);
      else message(payload);
    });
    try {
      await client.connect();
      // A ping is a commit, and nothing is lost with it.
      await client.query(`SET synchronous_commit = off; LISTEN ${CHANNEL}; LISTEN "${own}"`);
    } catch (error) {
      close();
      throw error;
    }
    return { ping: (nonce) => client.query(NOTIFY.text, [own, nonce]), close };
  }
}
