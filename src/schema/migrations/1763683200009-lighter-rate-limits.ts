import type { MigrationInterface, QueryRunner } from 'typeorm';
import { CONSUME_RATE, lockOf, REFUSE_OTHER_ISOLATION } from './1763683200004-create-rate-limits.js';

/**
 * The same decision about one bucket as before, under the same lock: but the events are fetched, and counted without
 * an aggregate, which is a little less work for the server. Each look is still a statement of its own, with a snapshot
 * that is younger than the lock.
 */
export class LighterRateLimits1763683200009 implements MigrationInterface {
  name = 'LighterRateLimits1763683200009';

  async up(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(`
      CREATE OR REPLACE FUNCTION latchkey_consume_rate(
        of_event text, of_subject text, max_events integer, of_window double precision, instant timestamptz,
        OUT recorded boolean, OUT used integer, OUT oldest double precision
      ) LANGUAGE plpgsql AS $$
      DECLARE
        key bigint := ${lockOf('of_event', 'of_subject')};
        locked boolean := pg_try_advisory_xact_lock(key);
        counted timestamptz[];
      BEGIN
        ${REFUSE_OTHER_ISOLATION};
        LOOP
          counted := ARRAY(
            SELECT occurred_at FROM auth_rate_limit_events
              WHERE username = of_subject AND event_type = of_event
                AND occurred_at > instant - make_interval(secs => of_window)
              ORDER BY occurred_at DESC LIMIT max_events);
          used := cardinality(counted);
          recorded := used < max_events;
          EXIT WHEN locked OR NOT recorded;
          PERFORM pg_advisory_xact_lock(key);
          locked := true;
        END LOOP;
        IF used > 0 THEN
          oldest := date_part('epoch', counted[used]);
        END IF;
        IF recorded THEN
          INSERT INTO auth_rate_limit_events (username, event_type, occurred_at) VALUES (of_subject, of_event, instant);
        END IF;
      END $$`);
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(CONSUME_RATE);
  }
}
