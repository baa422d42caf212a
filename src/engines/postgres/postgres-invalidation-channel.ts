import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { AuthError } from '../../auth.errors.js';
import { AuthConfig } from '../../config/auth-config.js';
import { PreparedStatements } from '../../postgres/prepared-statements.js';
import type { Statement } from '../../postgres/statement.js';
import { checkedInvalidation, formatInvalidation, type Invalidation } from '../../invalidation/invalidation.js';
import {
  RemoteInvalidationChannel,
  type Subscription,
  type SubscriptionEvents,
} from '../../invalidation/remote-invalidation-channel.js';

/** The triggers of the migration publish here too. */
const CHANNEL = 'nestjs_latchkey';
/** Milliseconds that a connection which is closed has to say so; the other side may be gone. */
const MAX_GOODBYE = 500;

const NOTIFY: Statement = { name: 'latchkey_notify', text: 'SELECT pg_notify($1, $2)' };
/** Waits for no disk: nothing is lost with it. Of this transaction alone, since a pooler may share the connection. */
const PING: Statement = {
  name: 'latchkey_ping',
  text: "SELECT set_config('synchronous_commit', 'off', true), pg_notify($1, $2)",
};
/** Those on `users` only where that table is ours. */
const MISSING_TRIGGERS: Statement = {
  name: '',
  text: `SELECT name FROM unnest($1::text[]) name WHERE NOT EXISTS (
      SELECT 1 FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
        WHERE t.tgname = name AND t.tgenabled IN ('O', 'A') AND pg_table_is_visible(c.oid))
    AND (name NOT LIKE '%users%' OR to_regproc('latchkey_end_access') IS NOT NULL)`,
};
const TRIGGERS = [
  ...['update', 'delete', 'truncate'].map((operation) => `latchkey_publish_sessions_${operation}`),
  ...['update', 'delete', 'truncate'].map((operation) => `latchkey_publish_users_${operation}`),
  ...['insert', 'update', 'truncate'].map((operation) => `latchkey_publish_revoked_tokens_${operation}`),
];

/**
 * LISTEN/NOTIFY on one connection of its own, beside the pool. Changes of the module's tables are published by
 * triggers, inside the transaction that makes them, whoever makes it: this module, another program on the same tables,
 * or an operator in psql. A pooler in transaction mode (PgBouncer) takes LISTEN and delivers nothing, which the ping
 * finds out, since it goes through the pool as the changes do: give it the database's own address by `cache.url`.
 */
@Injectable()
export class PostgresInvalidationChannel extends RemoteInvalidationChannel {
  constructor(
    private readonly statements: PreparedStatements,
    private readonly config: AuthConfig,
  ) {
    super(
      config.cache.maxStaleness,
      'Is the database running? Behind a pooler in transaction mode set cache.url to an address of the same database that ' +
        'bypasses it.',
    );
  }

  /** Fails the boot if the triggers are missing: the channel would seem current and hear nothing. */
  override async onModuleInit(): Promise<void> {
    const { rows } = await this.statements.run<{ name: string }>(MISSING_TRIGGERS, [TRIGGERS]);
    if (rows.length > 0) {
      const detail = `no trigger ${rows.map(({ name }) => name).join(', ')}`;
      throw new AuthError(
        'SCHEMA_MISSING',
        `The triggers that cache.enabled needs are missing (${detail}). Run authMigrations, or turn the cache off.`,
        { detail },
      );
    }
    await super.onModuleInit();
  }

  override async publish(invalidation: Invalidation): Promise<void> {
    const checked = checkedInvalidation(invalidation);
    if (checked === null) return;
    await this.statements.run(NOTIFY, [CHANNEL, formatInvalidation(checked)]);
    this.statements.afterwards(() => this.deliver(checked));
  }

  protected override async connect(
    { message, pong, lost }: SubscriptionEvents,
    signal: AbortSignal,
  ): Promise<Subscription> {
    const { client, socket } = this.statements.listener({
      address: this.config.cache.url,
      keepAlive: true,
      application_name: 'nestjs-latchkey listener',
    });
    const close = () => {
      client.end().catch(() => {});
      setTimeout(() => socket()?.destroy(), MAX_GOODBYE).unref();
    };
    const own = `${CHANNEL}_${randomUUID()}`;
    client.on('error', lost);
    client.on('end', () => lost(new Error('the connection has ended')));
    client.on('notification', ({ channel, payload = '' }) => {
      if (channel === own) pong(payload);
      else message(payload);
    });
    signal.addEventListener('abort', close);
    try {
      await client.connect();
      await client.query(`LISTEN ${CHANNEL}; LISTEN "${own}"`);
    } catch (error) {
      close();
      throw error;
    }
    return { ping: (nonce) => this.statements.runAlone(PING, [own, nonce]), close };
  }
}
