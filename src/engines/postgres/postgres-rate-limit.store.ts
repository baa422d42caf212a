import { Injectable, type OnModuleInit } from '@nestjs/common';
import { Clock } from '../../common/clock.js';
import { AuthConfig } from '../../config/auth-config.js';
import { epochSeconds, fromEpochSeconds, instant, interval, toEpochSeconds } from '../../postgres/epoch-seconds.js';
import { PreparedStatements } from '../../postgres/prepared-statements.js';
import type { Statement } from '../../postgres/statement.js';
import { literal, SchemaNames } from '../../schema/schema-names.js';
import type { Bucket, BucketUsage } from '../../rate-limit/rate-limit.policy.js';
import {
  MOST_LOOKED_AT,
  RateLimitStore,
  type ConsumeResult,
  type FullBuckets,
} from '../../rate-limit/rate-limit.store.js';

/**
 * The database's clock, if no instant is given: an exception to "SQL takes `now` as a parameter" (docs/architecture.md,
 * rule 1), since one clock decides for all processes.
 */
const STATEMENT_BEGAN = 'pg_catalog.statement_timestamp()';
const instantOrNow = (parameter: string): string => `coalesce(${instant(parameter)}, ${STATEMENT_BEGAN})`;
const AT = `${epochSeconds(STATEMENT_BEGAN)} AS at`;

/** For the transaction around it, which is that of the statement: a store's writes run alone. */
const UNWAITED = "pg_catalog.set_config('synchronous_commit'::text, 'off'::text, true)";

function rateLimitStatements(names: SchemaNames, durable: boolean) {
  const { rateLimitEvents } = names;
  const alsoUnwaited = durable ? '' : `, ${UNWAITED}`;
  const ours = (name: string) => names.qualified(`latchkey_${name}`);
  return {
    /** The functions take the buckets' advisory locks before they count: see the migration. */
    consume: {
      name: 'latchkey_rate_consume',
      text: `SELECT recorded, used, oldest, ${AT}${alsoUnwaited} FROM ${ours('consume_rate')}($1::text, $2::text, $3::integer, $4::double precision, ${instantOrNow('$5')})`,
    },
    consumeSeveral: {
      name: 'latchkey_rate_consume_several',
      text: `SELECT recorded, used, oldest, ${AT}${alsoUnwaited} FROM ${ours('consume_rates')}($1::text[], $2::text[], $3::integer[], $4::double precision[], ${instantOrNow('$5')})`,
    },
    read: {
      name: 'latchkey_rate_read',
      text: `SELECT pg_catalog.count(*)::integer AS used, ${epochSeconds('pg_catalog.min(occurred_at)')} AS oldest,
      ${epochSeconds('pg_catalog.max(occurred_at)')} AS newest, ${AT}
    FROM (SELECT occurred_at FROM ${rateLimitEvents} WHERE username = $2 AND event_type = $1
      AND occurred_at > ${instantOrNow('$5')} - ${interval('$4')} ORDER BY occurred_at DESC LIMIT $3) counted`,
    },
    /**
     * From bucket to bucket by the index, and in each to the event that is the oldest of those that count: there is one
     * if the bucket is full. A row without a subject says only how many have been looked at.
     */
    full: {
      name: 'latchkey_rate_full',
      text: `WITH RECURSIVE bucket (username, event_type, place) AS (
      (SELECT username, event_type, 1 FROM ${rateLimitEvents} ORDER BY username, event_type LIMIT 1)
      UNION ALL
      SELECT e.username, e.event_type, b.place + 1 FROM bucket b CROSS JOIN LATERAL (
        SELECT username, event_type FROM ${rateLimitEvents}
          WHERE (username, event_type) > (b.username, b.event_type) ORDER BY username, event_type LIMIT 1) e
        WHERE b.place < $6::integer),
      found AS (SELECT p.at AS policy, b.username AS subject, e.occurred_at
        FROM ROWS FROM (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::integer[]), pg_catalog.unnest($3::double precision[]))
          WITH ORDINALITY AS p (event, most, age, at)
        JOIN bucket b ON b.event_type = p.event
        CROSS JOIN LATERAL (SELECT occurred_at FROM ${rateLimitEvents}
          WHERE username = b.username AND event_type = b.event_type AND occurred_at > ${instantOrNow('$4')} - ${interval('p.age')}
          ORDER BY occurred_at DESC OFFSET p.most - 1 LIMIT 1) e
        ORDER BY e.occurred_at DESC LIMIT $5)
    SELECT looked.at_buckets AS looked, f.policy, f.subject, ${epochSeconds('f.occurred_at')} AS oldest, ${AT}
    FROM (SELECT pg_catalog.count(*)::integer AS at_buckets FROM bucket) looked LEFT JOIN found f ON true`,
    },
    record: {
      name: 'latchkey_rate_record',
      text: `INSERT INTO ${rateLimitEvents} (event_type, username, occurred_at) VALUES ($1, $2, ${instantOrNow('$3')})${durable ? '' : ` RETURNING ${UNWAITED}`}`,
    },
    refund: {
      name: 'latchkey_rate_take_back',
      text: `DELETE FROM ${rateLimitEvents} WHERE ctid = (
    SELECT ctid FROM ${rateLimitEvents} WHERE username = $2 AND event_type = $1 AND occurred_at = ${instant('$3')}
      LIMIT 1 FOR UPDATE SKIP LOCKED)`,
    },
    clear: {
      name: 'latchkey_rate_clear',
      text: `DELETE FROM ${rateLimitEvents} WHERE username = $2 AND event_type = $1`,
    },
    /**
     * In physical order, where the oldest rows come first: no insert pays for an index that only this would use. Each
     * batch continues where the last one ended, since deleted rows would otherwise be scanned again and again.
     */
    deleteOlderThan: {
      name: 'latchkey_rate_delete_up_to',
      text: `WITH due AS MATERIALIZED (
      SELECT ctid AS place FROM ${rateLimitEvents} WHERE occurred_at <= ${instant('$1')} AND ctid > $3::tid
        LIMIT $2 FOR UPDATE SKIP LOCKED),
      gone AS (DELETE FROM ${rateLimitEvents} WHERE ctid = ANY (ARRAY(SELECT place FROM due)))
    SELECT pg_catalog.count(*)::integer AS deleted, pg_catalog.max(place)::text AS last FROM due`,
    },
    checkSchema: {
      name: '',
      text: `SELECT ${literal(names.signature('latchkey_consume_rate', 'text', 'text', 'integer', 'float8', 'timestamptz'))}::regprocedure,
    ${literal(names.signature('latchkey_consume_rates', 'text[]', 'text[]', 'integer[]', 'float8[]', 'timestamptz'))}::regprocedure
    FROM (SELECT id, username, event_type, occurred_at FROM ${rateLimitEvents} LIMIT 0) t`,
    },
  } satisfies Record<string, Statement>;
}

/** Before the first row of the table. */
const START = '(0,0)';

/** With the instant on the database's clock. */
interface Told {
  at: number;
}

interface ConsumedRow extends Told {
  recorded: boolean;
  used: number;
  oldest: number | null;
}

interface ConsumedSeveralRow extends Told {
  recorded: boolean;
  used: number[];
  oldest: (number | null)[];
}

interface UsageRow extends Told {
  used: number;
  oldest: number | null;
  newest: number | null;
}

interface FullRow extends Told {
  looked: number;
  /** Which of them, from 1. */
  policy: string;
  subject: string | null;
  oldest: number;
}

/** Rate-limit events in the table `auth_rate_limit_events`, every method one named prepared statement. */
@Injectable()
export class PostgresRateLimitStore extends RateLimitStore implements OnModuleInit {
  /** How far into the table everything up to this instant has been deleted. */
  private swept = { instant: Number.NaN, last: START };

  private readonly sql;

  constructor(
    private readonly statements: PreparedStatements,
    names: SchemaNames,
    private readonly clock: Clock,
    config: AuthConfig,
  ) {
    super();
    this.sql = rateLimitStatements(names, config.rateLimits.durable);
  }

  /** Fails the boot if the schema is missing, instead of failing every request after it. */
  async onModuleInit(): Promise<void> {
    await this.statements.runAlone(this.sql.checkSchema, []);
  }

  override async consume(buckets: readonly Bucket[], now: number): Promise<ConsumeResult> {
    const [first, ...others] = buckets;
    return first && others.length === 0 ? this.consumeOne(first, now) : this.consumeSeveral(buckets, now);
  }

  override async read({ event, subject, limit, window }: Bucket, now: number): Promise<BucketUsage> {
    const values = [event, subject, limit, window / 1000, this.instant(now)];
    const row = (await this.statements.runAlone<UsageRow>(this.sql.read, values)).rows[0]!;
    const { used, oldest, newest } = row;
    const onOwnClock = this.fromDatabase(row);
    return { used, oldest: onOwnClock(oldest), newest: onOwnClock(newest) };
  }

  override async record({ event, subject }: Bucket, now: number): Promise<void> {
    await this.statements.runAlone(this.sql.record, [event, subject, this.instant(now)]);
  }

  override async full(policies: readonly Omit<Bucket, 'subject'>[], now: number, limit: number): Promise<FullBuckets> {
    const { rows } = await this.statements.runAlone<FullRow>(this.sql.full, [
      policies.map(({ event }) => event),
      policies.map((policy) => policy.limit),
      policies.map(({ window }) => window / 1000),
      this.instant(now),
      limit,
      MOST_LOOKED_AT,
    ]);
    const buckets = rows.flatMap((row) => {
      const { subject, oldest, policy } = row;
      if (subject === null) return [];
      return [{ ...policies[Number(policy) - 1]!, subject, oldest: this.fromDatabase(row)(oldest)! }];
    });
    return { buckets, isComplete: rows[0]!.looked < MOST_LOOKED_AT && buckets.length < limit };
  }

  override async refund({ event, subject }: Bucket, at: number): Promise<boolean> {
    return (await this.statements.runAlone(this.sql.refund, [event, subject, toEpochSeconds(at)])).rowCount > 0;
  }

  override async clear({ event, subject }: Pick<Bucket, 'event' | 'subject'>): Promise<number> {
    return (await this.statements.runAlone(this.sql.clear, [event, subject])).rowCount;
  }

  override async deleteOlderThan(instant: number, limit: number): Promise<number> {
    const from = this.swept.instant === instant ? this.swept.last : START;
    const values = [toEpochSeconds(instant), limit, from];
    const { rows } = await this.statements.run<{ deleted: number; last: string | null }>(
      this.sql.deleteOlderThan,
      values,
    );
    const { deleted, last } = rows[0]!;
    // Rows inserted at an earlier place meanwhile are new, so nothing is missed; after the end it starts again.
    this.swept = { instant, last: deleted < limit ? START : (last ?? START) };
    return deleted;
  }

  private async consumeOne({ event, subject, limit, window }: Bucket, now: number): Promise<ConsumeResult> {
    const values = [event, subject, limit, window / 1000, this.instant(now)];
    const row = (await this.statements.runAlone<ConsumedRow>(this.sql.consume, values)).rows[0]!;
    const { recorded, used, oldest } = row;
    return { recorded, ...this.recordedAt(row, 1), usage: [{ used, oldest: this.fromDatabase(row)(oldest) }] };
  }

  private async consumeSeveral(buckets: readonly Bucket[], now: number): Promise<ConsumeResult> {
    const { rows } = await this.statements.runAlone<ConsumedSeveralRow>(this.sql.consumeSeveral, [
      buckets.map(({ event }) => event),
      buckets.map(({ subject }) => subject),
      buckets.map(({ limit }) => limit),
      buckets.map(({ window }) => window / 1000),
      this.instant(now),
    ]);
    const row = rows[0]!;
    const onOwnClock = this.fromDatabase(row);
    return {
      recorded: row.recorded,
      ...this.recordedAt(row, buckets.length),
      usage: buckets.map((_, i) => ({ used: row.used[i]!, oldest: onOwnClock(row.oldest[i]!) })),
    };
  }

  /** Null where the database's clock decides, since several processes record and count. */
  private instant(now: number): number | null {
    return this.clock.isWallClock ? null : toEpochSeconds(now);
  }

  private recordedAt({ at }: Told, buckets: number): Pick<ConsumeResult, 'recordedAt'> {
    return this.clock.isWallClock ? { recordedAt: Array<number>(buckets).fill(fromEpochSeconds(at)) } : {};
  }

  /** An instant of the database, as our clock would have shown it. */
  private fromDatabase({ at }: Told): (seconds: number | null) => number | null {
    const ahead = this.clock.isWallClock ? this.clock.now() - fromEpochSeconds(at) : 0;
    return (seconds) => (seconds === null ? null : fromEpochSeconds(seconds) + ahead);
  }
}
