import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { AuthError } from '../../auth.errors.js';
import { AuthConfig } from '../../config/auth-config.js';
import { PreparedStatements } from '../../postgres/prepared-statements.js';
import type { Statement } from '../../postgres/statement.js';
import { channelOf, quoted, SchemaNames } from '../../schema/schema-names.js';
import {
  RemoteInvalidationChannel,
  type Subscription,
  type SubscriptionEvents,
} from '../../invalidation/remote-invalidation-channel.js';
import { readInvalidationDigest } from './invalidation-key.js';

/** Each subscription receives its own pings; short enough for the 63 bytes of a channel's name. */
const PING_CHANNEL = 'nestjs_latchkey_ping_';
/** Milliseconds that a connection has to close gracefully; the other side may be gone. */
const MAX_GOODBYE = 500;

/** The connection may be idle for hours, which must not end it. PostgreSQL has the setting since version 14. */
const NEVER_IDLE =
  "SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings WHERE name = 'idle_session_timeout'";
const NOTIFY: Statement = { name: 'latchkey_notify', text: 'SELECT pg_catalog.pg_notify($1::text, $2::text)' };
/**
 * Does not wait for the disk: a ping may be lost. For this transaction only, since a pooler may share the connection.
 */
const PING: Statement = {
  name: 'latchkey_ping',
  text:
    "SELECT pg_catalog.set_config('synchronous_commit'::text, 'off'::text, true), " +
    'pg_catalog.pg_notify($1::text, $2::text)',
};
/**
 * The channel that this schema's triggers publish on, and which of the triggers are missing or off. Those of the user
 * table count only if that table is ours, which its function shows.
 */
const CHECK: Statement = {
  name: '',
  text: `SELECT ${channelOf('place.schema')} AS channel, ARRAY(
      SELECT expected.trigger FROM ROWS FROM (pg_catalog.unnest($2::text[]), pg_catalog.unnest($3::text[]))
          AS expected (relation, trigger)
        WHERE NOT EXISTS (
            SELECT FROM pg_catalog.pg_trigger t WHERE t.tgname = expected.trigger
              AND t.tgrelid = pg_catalog.to_regclass(expected.relation) AND t.tgenabled IN ('O', 'A'))
          AND (expected.trigger !~ '_users_' OR pg_catalog.to_regprocedure($4::text) IS NOT NULL)) AS missing
    FROM (SELECT coalesce($1::text, pg_catalog.current_schema()::text) AS schema) place`,
};

/**
 * LISTEN/NOTIFY on one connection of its own, beside the pool. Changes of the module's tables are published by
 * triggers, inside the transaction that makes them, whoever makes it: this module, another program on the same tables,
 * or an operator in psql. A pooler in transaction mode (PgBouncer) accepts LISTEN and delivers nothing; the ping
 * detects that, since it goes through the pool as changes do. Then set `cache.url` to the database's own address.
 */
@Injectable()
export class PostgresInvalidationChannel extends RemoteInvalidationChannel {
  /** Set before it connects. */
  private channel = '';

  constructor(
    private readonly statements: PreparedStatements,
    private readonly config: AuthConfig,
    private readonly names: SchemaNames,
  ) {
    super(
      config.cache.maxStaleness,
      'Is the database running? Behind a pooler in transaction mode set cache.url to an address of the same database that ' +
        'bypasses it.',
    );
  }

  /** Fails the boot if the triggers are missing: the channel would seem current and receive nothing. */
  override async onModuleInit(): Promise<void> {
    const triggers = expectedTriggers(this.names);
    const { rows } = await this.statements.run<{ channel: string; missing: string[] }>(CHECK, [
      this.names.schema ?? null,
      triggers.map(({ relation }) => relation),
      triggers.map(({ trigger }) => trigger),
      this.names.signature('latchkey_end_access', 'uuid', 'timestamptz', 'text', 'boolean'),
    ]);
    const { channel, missing } = rows[0]!;
    if (missing.length > 0) {
      const detail = `no trigger ${missing.join(', ')}`;
      throw new AuthError(
        'SCHEMA_MISSING',
        `The triggers that cache.enabled needs are missing (${detail}). Run \`npx nestjs-latchkey migrate\`, or run authMigrations yourself, or turn the cache off.`,
        { detail },
      );
    }
    this.channel = channel;
    this.digests = await readInvalidationDigest(this.statements, this.names);
    await super.onModuleInit();
  }

  protected override async send(message: string, sent: () => void): Promise<void> {
    await this.statements.run(NOTIFY, [this.channel, message]);
    this.statements.afterTransaction(sent);
  }

  protected override async connect(
    { message, pong, lost }: SubscriptionEvents,
    signal: AbortSignal,
  ): Promise<Subscription> {
    const { client, socket } = this.statements.listener({
      address: this.config.listenerUrl.reveal(),
      keepAlive: true,
      application_name: 'nestjs-latchkey listener',
    });
    const close = () => {
      client.end().catch(() => {});
      setTimeout(() => socket()?.destroy(), MAX_GOODBYE).unref();
    };
    const own = `${PING_CHANNEL}${randomUUID()}`;
    client.on('error', lost);
    client.on('end', () => lost(new Error('the connection has ended')));
    client.on('notification', ({ channel, payload = '' }) => {
      if (channel === own) pong(payload);
      else message(payload);
    });
    signal.addEventListener('abort', close);
    try {
      await client.connect();
      await client.query(NEVER_IDLE);
      await client.query(`LISTEN ${quoted(this.channel)}; LISTEN ${quoted(own)}`);
    } catch (error) {
      close();
      throw error;
    }
    return { ping: (nonce) => this.statements.runAlone(PING, [own, nonce]), close };
  }
}

function expectedTriggers({ sessions, users, revokedTokens }: SchemaNames): { relation: string; trigger: string }[] {
  const of = (relation: string, feature: string, operations: readonly string[]) =>
    operations.map((operation) => ({ relation, trigger: `latchkey_publish_${feature}_${operation}` }));
  return [
    ...of(sessions, 'sessions', ['update', 'delete', 'truncate']),
    ...of(users, 'users', ['update', 'delete', 'truncate']),
    ...of(revokedTokens, 'revoked_tokens', ['insert', 'update', 'truncate']),
  ];
}
