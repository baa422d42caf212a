import { Injectable, type OnModuleInit } from '@nestjs/common';
import {
  PasswordAttemptStore,
  type AttemptPlace,
  type CountedAttempt,
  type PasswordAttemptLimits,
} from '../../login/password-attempt.store.js';
import { PreparedStatements } from '../../postgres/prepared-statements.js';
import type { Statement } from '../../postgres/statement.js';
import { SchemaNames } from '../../schema/schema-names.js';

const MAX_PLACES = 10;

/** What this place may use: all, if it is known or none is known yet. */
const LIMIT = `CASE WHEN $3::boolean OR a.known_places IS NULL OR a.known_places OPERATOR(pg_catalog.&&) $2::text[] THEN $4::integer
    ELSE $4::integer - $5::integer END`;

const attemptStatements = ({ passwordAttempts }: SchemaNames) =>
  ({
    /** Decides by the row as it is once its lock is held, and writes it in either case, so that both take as long. */
    count: {
      name: 'latchkey_password_attempt_count',
      text: `INSERT INTO ${passwordAttempts} AS a (user_id, failures) VALUES ($1, 1)
    ON CONFLICT (user_id) DO UPDATE SET is_judged = a.failures < ${LIMIT},
      failures = a.failures + CASE WHEN a.failures < ${LIMIT} THEN 1 ELSE 0 END
    RETURNING is_judged, failures, ${LIMIT} AS max_failures`,
    },
    refund: {
      name: 'latchkey_password_attempt_refund',
      text: `UPDATE ${passwordAttempts} SET failures = greatest(failures - 1, 0) WHERE user_id = $1`,
    },
    reset: {
      name: 'latchkey_password_attempt_reset',
      text: `INSERT INTO ${passwordAttempts} AS a (user_id, known_places) VALUES ($1, $2::text[])
    ON CONFLICT (user_id) DO UPDATE SET failures = 0, known_places = (excluded.known_places OPERATOR(pg_catalog.||) ARRAY(
      SELECT p.place FROM pg_catalog.unnest(a.known_places) WITH ORDINALITY p (place, n)
        WHERE p.place <> ALL ($3::text[]) ORDER BY p.n))[1:${MAX_PLACES}]`,
    },
    forget: {
      name: 'latchkey_password_attempt_forget',
      text: `DELETE FROM ${passwordAttempts} WHERE user_id = $1`,
    },
    checkSchema: {
      name: '',
      text: `SELECT user_id, failures, is_judged, known_places FROM ${passwordAttempts} LIMIT 0`,
    },
  }) satisfies Record<string, Statement>;

interface CountedRow {
  is_judged: boolean;
  failures: number;
  max_failures: number;
}

/** The table `auth_password_attempts`; each method is one statement, independent of any transaction around it. */
@Injectable()
export class PostgresPasswordAttemptStore extends PasswordAttemptStore implements OnModuleInit {
  private readonly sql;

  constructor(
    private readonly statements: PreparedStatements,
    names: SchemaNames,
  ) {
    super();
    this.sql = attemptStatements(names);
  }

  /** Fails the boot if the table is missing, instead of failing every login after it. */
  async onModuleInit(): Promise<void> {
    await this.statements.runAlone(this.sql.checkSchema, []);
  }

  override async count(
    subject: string,
    { digests, isKnownDevice }: AttemptPlace,
    { limit, reserved }: PasswordAttemptLimits,
  ): Promise<CountedAttempt> {
    const values = [subject, digests, isKnownDevice, limit, reserved];
    const { is_judged, failures, max_failures } = (await this.statements.runAlone<CountedRow>(this.sql.count, values))
      .rows[0]!;
    return { isJudged: is_judged, failures, limit: max_failures };
  }

  override async refund(subject: string): Promise<void> {
    await this.statements.runAlone(this.sql.refund, [subject]);
  }

  override async reset(subject: string, { digests }: AttemptPlace): Promise<void> {
    await this.statements.runAlone(this.sql.reset, [subject, digests.slice(0, 1), digests]);
  }

  override async forget(subject: string): Promise<boolean> {
    return (await this.statements.runAlone(this.sql.forget, [subject])).rowCount > 0;
  }
}
