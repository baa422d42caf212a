import { randomUUID } from 'node:crypto';
import { Injectable, Logger } from '@nestjs/common';
import { PreparedStatements } from '../../postgres/prepared-statements.js';
import { EphemeralTokenStore, type EphemeralTokenKey } from '../../ephemeral-token/ephemeral-token.store.js';
import type { EphemeralTokenRow } from '../../ephemeral-token/ephemeral-token.types.js';
import { RedisConnection } from './redis-connection.js';
import { word } from './redis-session.row.js';
import { formatToken, isUsable, parseToken } from './redis-ephemeral-token.row.js';
import { CLEAR, CLEAR_TYPE, INSERT, REMOVE, SETTLE, TAKE } from './token-scripts.js';

/** How much longer expired entries are kept, in milliseconds, for processes whose clock is slow. */
const KEPT_AFTER_END = 60_000;

/**
 * Single-use tokens in Redis. `lk:a:{account}` is the hash of all tokens of one account, `lk:a:{hash}` that of a token
 * without an account, and `lk:t:{hash}` names the hash that a token is in: written first, and only a hint. Every
 * decision about an account's tokens (the only one of a type, the one that is taken) is one script on its hash, on a
 * cluster too. A hash expires a minute after the last token in it.
 *
 * Redis takes no part in an `AuthTransaction`. A token taken or voided in one is **held**: nobody gets it, and it is
 * deleted when the transaction commits, and usable again after a rollback. Whatever ends an account's tokens outside of
 * the transaction meanwhile ends it too. If the outcome of the transaction is unknown, or the process ends before it, the
 * token is spent. A token inserted in a transaction that is rolled back is deleted. A caller that asks for a held token
 * does not wait: it gets none.
 */
@Injectable()
export class RedisEphemeralTokenStore extends EphemeralTokenStore {
  override readonly expiresByItself = true;

  private readonly logger = new Logger('Auth');

  constructor(
    private readonly redis: RedisConnection,
    private readonly statements: PreparedStatements,
  ) {
    super();
  }

  override async insert(row: EphemeralTokenRow, { voidsEarlier }: { voidsEarlier: boolean }): Promise<void> {
    const home = row.username === null ? `hash:${row.hash}` : `user:${row.username}`;
    const lifetime = Math.ceil(Math.max(0, row.expiresAt - row.createdAt) + KEPT_AFTER_END);
    await this.redis.run('token', (redis) => redis.set(this.pointerTo(row.hash), home, { PX: lifetime }));
    this.statements.afterTransaction(async (outcome) => {
      if (outcome === 'undone') await this.script(REMOVE, home, [row.hash]).catch(() => {});
    });
    const values = [
      row.hash,
      formatToken(row),
      String(lifetime),
      flag(voidsEarlier),
      String(row.createdAt - KEPT_AFTER_END),
      this.holderIn(home),
    ];
    this.forget(await this.script(INSERT, home, values));
  }

  override async find(key: EphemeralTokenKey): Promise<EphemeralTokenRow | null> {
    const home = await this.homeOf(key.hash);
    if (home === null) return null;
    const text = await this.redis.run('token', (redis) => redis.hGet(this.keyOf(home), key.hash));
    if (text === null) return null;
    const { held, ...row } = parseToken(text);
    return !held && isUsable(row, key) ? row : null;
  }

  override async take(
    key: EphemeralTokenKey,
    { voidsRest }: { voidsRest: boolean },
  ): Promise<EphemeralTokenRow | null> {
    const { hash, type, now, binding } = key;
    const home = await this.homeOf(hash);
    if (home === null) return null;
    const holder = this.holderIn(home);
    const bound = [binding.column, word(binding.value), flag(binding.optional)];
    const rest = flag(voidsRest && home.startsWith('user:'));
    const taken = await this.script(TAKE, home, [hash, word(type), String(now), ...bound, rest, holder]);
    const [text, ...gone] = taken;
    if (text === undefined) return null;
    this.forget(gone);
    const { held: _held, ...row } = parseToken(text);
    return row;
  }

  override async deleteByLogin(username: string, since?: number): Promise<number> {
    return this.clear(CLEAR, username, String(since ?? ''));
  }

  override async deleteOfType(username: string, type: string): Promise<number> {
    return this.clear(CLEAR_TYPE, username, word(type));
  }

  override async countOfType(username: string, type: string, now: number, cutoff: number | null): Promise<number> {
    const rows = await this.redis.run('token', (redis) => redis.hGetAll(this.keyOf(`user:${username}`)));
    return Object.values(rows).filter((text) => {
      const row = parseToken(text);
      const isLive = row.type === type && !row.held && row.expiresAt > now;
      return isLive && row.createdAt > (cutoff ?? Number.NEGATIVE_INFINITY);
    }).length;
  }

  /** Reads every token. Not needed in operation, since Redis deletes expired ones by itself. */
  override async deleteExpired(now: number, limit: number): Promise<number> {
    const over: { key: string; hash: string; expiresAt: number }[] = [];
    for await (const key of this.redis.keys(this.keyOf(''))) {
      const rows = await this.redis.run('token', (redis) => redis.hGetAll(key));
      for (const [hash, text] of Object.entries(rows)) {
        const { expiresAt } = parseToken(text);
        if (expiresAt <= now) over.push({ key, hash, expiresAt });
      }
    }
    const oldest = over.toSorted((a, b) => a.expiresAt - b.expiresAt).slice(0, limit);
    const deleted = await Promise.all(
      oldest.map(({ key, hash }) => this.redis.script('token', REMOVE, [key], [hash]).then(Number)),
    );
    this.forget(oldest.map(({ hash }) => hash));
    return deleted.reduce((total, one) => total + one, 0);
  }

  private async clear(script: typeof CLEAR, username: string, which: string): Promise<number> {
    const home = `user:${username}`;
    const [count, ...gone] = await this.script(script, home, [which, this.holderIn(home)]);
    this.forget(gone);
    return Number(count);
  }

  /** Who holds the tokens of this call: `~` for nobody, outside of a transaction. */
  private holderIn(home: string): string {
    const { transactionId } = this.statements;
    if (transactionId === null) return '~';
    const holder = `${transactionId}/${randomUUID()}`;
    this.settleAfterwards(home, holder);
    return holder;
  }

  private settleAfterwards(home: string, holder: string): void {
    this.statements.afterTransaction(async (outcome) => {
      if (outcome === 'unknown') return;
      try {
        this.forget(await this.script(SETTLE, home, [holder, flag(outcome === 'undone')]));
      } catch (error) {
        // A token held for ever is spent: nobody gets it twice.
        this.logger.warn(`A token of a transaction that was ${outcome} stays spent (${(error as Error).message}).`);
      }
    });
  }

  private homeOf(hash: string): Promise<string | null> {
    return this.redis.run('token', (redis) => redis.get(this.pointerTo(hash)));
  }

  private async script(script: typeof TAKE, home: string, values: string[]): Promise<string[]> {
    const answer = await this.redis.script('token', script, [this.keyOf(home)], values);
    return Array.isArray(answer) ? (answer as string[]) : [];
  }

  private forget(hashes: readonly string[]): void {
    this.redis.discard(hashes.map((hash) => this.pointerTo(hash)));
  }

  private keyOf(home: string): string {
    return `${this.redis.prefix}a:${home}`;
  }

  private pointerTo(hash: string): string {
    return `${this.redis.prefix}t:${hash}`;
  }
}

const flag = (value: boolean): string => (value ? '1' : '0');
