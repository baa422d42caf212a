import { Injectable, type OnModuleInit } from '@nestjs/common';
import { Clock } from '../common/clock.js';
import { AuthConfig } from '../config/auth-config.js';
import { PreparedStatements } from '../postgres/prepared-statements.js';
import { InvalidationChannel } from '../invalidation/invalidation-channel.js';
import { UserCache } from '../user/user-cache.js';
import { UserDirectory } from '../user/user.directory.js';
import { RevocationList } from './revocation-list.js';
import { RevokedTokenStore, type TokenState } from './revoked-token.store.js';

/**
 * The state of a self-contained token: from memory while that may answer (a request then costs no query at all),
 * otherwise from the store in one round trip.
 */
@Injectable()
export class TokenStates implements OnModuleInit {
  private readonly memory: { readonly revoked: RevocationList; readonly users: UserCache } | null;

  constructor(
    private readonly store: RevokedTokenStore,
    private readonly statements: PreparedStatements,
    private readonly channel: InvalidationChannel,
    users: UserDirectory,
    clock: Clock,
    { cache }: AuthConfig,
  ) {
    this.memory = cache.enabled
      ? {
          revoked: new RevocationList(store, channel, clock, cache.maxRevokedTokens),
          users: new UserCache({ max: Math.max(1, cache.maxSessions), ttl: cache.ttl }, channel, users, clock),
        }
      : null;
  }

  async onModuleInit(): Promise<void> {
    await this.memory?.revoked.load();
  }

  async of(jti: string, userId: string): Promise<TokenState> {
    const revoked = this.isListed(jti);
    if (revoked === undefined) return this.store.stateOf(jti, userId);
    return { revoked, user: revoked ? null : await this.memory!.users.findById(userId) };
  }

  async isRevoked(jti: string): Promise<boolean> {
    return this.isListed(jti) ?? this.store.isRevoked(jti);
  }

  async revoke(jti: string, exp: number): Promise<boolean> {
    const isFirst = await this.store.revoke(jti, exp);
    this.statements.afterTransaction((outcome) => {
      if (outcome === 'committed') this.memory?.revoked.add([jti, exp]);
      if (outcome === 'committed') this.channel.deliver({ tokens: [jti] });
      // The list is read again: an unknown outcome must neither keep a token valid nor refuse it.
      if (outcome === 'unknown') this.channel.deliver({ tokens: '*' });
    });
    return isFirst;
  }

  /**
   * `undefined` means that the store must be asked. Always so inside a transaction, which may see its own uncommitted
   * changes.
   */
  private isListed(jti: string): boolean | undefined {
    return this.statements.inTransaction ? undefined : this.memory?.revoked.has(jti);
  }
}
