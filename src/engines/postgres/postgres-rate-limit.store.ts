import { Injectable, type OnModuleInit } from '@nestjs/common';
import { fromEpochSeconds, toEpochSeconds } from '../../postgres/epoch-seconds.js';
import { PreparedStatements } from '../../postgres/prepared-statements.js';
import type { Statement } from '../../postgres/statement.js';
import type { Bucket, Usage } from '../../rate-limit/rate-limit.policy.js';
import { RateLimitStore, type Consumption } from '../../rate-limit/rate-limit.store.js';

/**
 * The functions take the buckets' advisory locks before they count: see the migration. The one of a single bucket is
 * selected, not selected from, which is cheaper; OFFSET keeps it from being called once for each column.
 */
const CONSUME: Statement = {
  name: 'latchkey_rate_consume',
  text: `SELECT (decided).recorded, (decided).used, (decided).oldest
    FROM (SELECT latchkey_consume_rate($1, $2, $3, $4, to_timestamp($5)) AS decided OFFSET 0) once`,
};
const CONSUME_SEVERAL: Statement = {
  name: 'latchkey_rate_consume_several',
  text: 'SELECT recorded, used, oldest FROM latchkey_consume_rates($1, $2, $3, $4, to_timestamp($5))',
};
const READ: Statement = {
  name: 'latchkey_rate_read',
  text: `SELECT count(*)::integer AS used, date_part('epoch', min(occurred_at)) AS oldest,
      date_part('epoch', max(occurred_at)) AS newest
    FROM (SELECT occurred_at FROM auth_rate_limit_events WHERE username = $2 AND event_type = $1
      AND occurred_at > to_timestamp($5) - make_interval(secs => $4) ORDER BY occurred_at DESC LIMIT $3) counted`,
};
const RECORD: Statement = {
  name: 'latchkey_rate_record',
  text: 'INSERT INTO auth_rate_limit_events (event_type, username, occurred_at) VALUES ($1, $2, to_timestamp($3))',
};
const TAKE_BACK: Statement = {
  name: 'latchkey_rate_take_back',
  text: `DELETE FROM auth_rate_limit_events WHERE ctid = (
    SELECT ctid FROM auth_rate_limit_events WHERE username = $2 AND event_type = $1 AND occurred_at = to_timestamp($3)
      LIMIT 1 FOR UPDATE SKIP LOCKED)`,
};
const CLEAR: Statement = {
  name: 'latchkey_rate_clear',
  text: 'DELETE FROM auth_rate_limit_events WHERE username = $2 AND event_type = $1',
};
/**
 * In the order of the table, where the oldest rows come first: no insert pays for an index that only this would use.
 * Each batch continues where the last one ended, since otherwise deleted rows would be scanned again and again.
 */
const DELETE_UP_TO: Statement = {
  name: 'latchkey_rate_delete_up_to',
  text: `WITH due AS MATERIALIZED (
      SELECT ctid AS place FROM auth_rate_limit_events WHERE occurred_at <= to_timestamp($1) AND ctid > $3::tid
        LIMIT $2 FOR UPDATE SKIP LOCKED),
      gone AS (DELETE FROM auth_rate_limit_events WHERE ctid = ANY (ARRAY(SELECT place FROM due)))
    SELECT count(*)::integer AS deleted, max(place)::text AS last FROM due`,
};
/** Before the first row of the table. */
const START = '(0,0)';

const CHECK_SCHEMA: Statement = {
  name: '',
  text: `SELECT 'latchkey_consume_rate'::regproc, 'latchkey_consume_rates'::regproc
    FROM (SELECT id, username, event_type, occurred_at FROM auth_rate_limit_events LIMIT 0) t`,
};

interface ConsumedRow {
  recorded: boolean;
  used: number;
  oldest: number | null;
}

interface ConsumedSeveralRow {
  recorded: boolean;
  used: number[];
  oldest: (number | null)[];
}

interface UsageRow {
  used: number;
  oldest: number | null;
  newest: number | null;
}

/** Rate-limit events in the table `auth_rate_limit_events`, every method one named prepared statement. */
@Injectable()
export class PostgresRateLimitStore extends RateLimitStore implements OnModuleInit {
  /** How far into the table everything up to this instant is deleted. */
  private swept = { instant: Number.NaN, last: START };

  constructor(private readonly statements: PreparedStatements) {
    super();
  }

  /** Fails the boot if the schema is missing, instead of failing every request after it. */
  async onModuleInit(): Promise<void> {
    await this.statements.runAlone(CHECK_SCHEMA, []);
  }

  override async consume(buckets: readonly Bucket[], now: number): Promise<Consumption> {
    const [first, ...others] = buckets;
    return first && others.length === 0 ? this.consumeOne(first, now) : this.consumeSeveral(buckets, now);
  }

  override async read({ event, subject, limit, window }: Bucket, now: number): Promise<Usage> {
    const values = [event, subject, limit, window / 1000, toEpochSeconds(now)];
    return toUsage((await this.statements.runAlone<UsageRow>(READ, values)).rows[0]!);
  }

  override async record({ event, subject }: Bucket, now: number): Promise<void> {
    await this.statements.runAlone(RECORD, [event, subject, toEpochSeconds(now)]);
  }

  override async takeBack({ event, subject }: Bucket, at: number): Promise<boolean> {
    return (await this.statements.runAlone(TAKE_BACK, [event, subject, toEpochSeconds(at)])).rowCount > 0;
  }

  override async clear({ event, subject }: Pick<Bucket, 'event' | 'subject'>): Promise<number> {
    return (await this.statements.runAlone(CLEAR, [event, subject])).rowCount;
  }

  override async deleteUpTo(instant: number, limit: number): Promise<number> {
    const from = this.swept.instant === instant ? this.swept.last : START;
    const values = [toEpochSeconds(instant), limit, from];
    const { rows } = await this.statements.run<{ deleted: number; last: string | null }>(DELETE_UP_TO, values);
    const { deleted, last } = rows[0]!;
    // Rows that were put in an earlier place meanwhile are new, so nothing is missed; after the end it starts again.
    this.swept = { instant, last: deleted < limit ? START : (last ?? START) };
    return deleted;
  }

  private async consumeOne({ event, subject, limit, window }: Bucket, now: number): Promise<Consumption> {
    const values = [event, subject, limit, window / 1000, toEpochSeconds(now)];
    const { recorded, used, oldest } = (await this.statements.runAlone<ConsumedRow>(CONSUME, values)).rows[0]!;
    return { recorded, usage: [{ used, oldest: toInstant(oldest) }] };
  }

  private async consumeSeveral(buckets: readonly Bucket[], now: number): Promise<Consumption> {
    const { rows } = await this.statements.runAlone<ConsumedSeveralRow>(CONSUME_SEVERAL, [
      buckets.map(({ event }) => event),
      buckets.map(({ subject }) => subject),
      buckets.map(({ limit }) => limit),
      buckets.map(({ window }) => window / 1000),
      toEpochSeconds(now),
    ]);
    const { recorded, used, oldest } = rows[0]!;
    return { recorded, usage: buckets.map((_, i) => ({ used: used[i]!, oldest: toInstant(oldest[i]!) })) };
  }
}

function toUsage({ used, oldest, newest }: UsageRow): Usage {
  return { used, oldest: toInstant(oldest), newest: toInstant(newest) };
}

function toInstant(epochSeconds: number | null): number | null {
  return epochSeconds === null ? null : fromEpochSeconds(epochSeconds);
}
