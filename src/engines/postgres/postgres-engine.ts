import type { AuthEngine } from '../../auth.engine.js';
import { AuthConfig } from '../../config/auth-config.js';
import { PreparedStatements } from '../../postgres/prepared-statements.js';
import { SchemaNames } from '../../schema/schema-names.js';
import { PostgresEphemeralTokenStore } from './postgres-ephemeral-token.store.js';
import { PostgresInvalidationChannel } from './postgres-invalidation-channel.js';
import { PostgresRateLimitStore } from './postgres-rate-limit.store.js';
import { PostgresSessionStore } from './postgres-session.store.js';

/** The default engine: everything in the database of the DataSource. */
export const postgresEngine: AuthEngine = {
  sessions: PostgresSessionStore,
  tokens: PostgresEphemeralTokenStore,
  rateLimits: PostgresRateLimitStore,
  channel: {
    useFactory: (config: AuthConfig, statements: PreparedStatements, names: SchemaNames) =>
      new PostgresInvalidationChannel(statements, config, names),
    inject: [AuthConfig, PreparedStatements, SchemaNames],
  },
  providers: [],
};
