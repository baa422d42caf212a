import type { MigrationInterface, QueryRunner } from 'typeorm';

const LONGEST_LIST = 100;
const LONGEST_PAYLOAD = 7_900;

/** NOTIFY refuses 8,000 bytes and more, and would undo the change with it; a long list says "everything" instead. */
const PUBLISH = `
  CREATE FUNCTION latchkey_publish(kind text, entries jsonb) RETURNS void LANGUAGE plpgsql AS $$
  DECLARE
    payload text := jsonb_build_object(kind, entries)::text;
  BEGIN
    IF jsonb_array_length(entries) > ${LONGEST_LIST} OR octet_length(payload) > ${LONGEST_PAYLOAD} THEN
      payload := jsonb_build_object(kind, '*')::text;
    END IF;
    PERFORM pg_notify('nestjs_latchkey', payload);
  END $$`;

/** Each publishes what its statement has changed, at commit. A statement that changed no row publishes nothing. */
const TRIGGERS = {
  // The cleanup of what has expired by itself is nobody's news: it sets latchkey.purging.
  sessions: `
    DECLARE
      ids jsonb;
    BEGIN
      IF current_setting('latchkey.purging', true) = 'on' THEN
        RETURN NULL;
      END IF;
      SELECT jsonb_agg(id) INTO ids FROM (SELECT id FROM before LIMIT ${LONGEST_LIST + 1}) changed;
      IF ids IS NOT NULL THEN
        PERFORM latchkey_publish('sessions', ids);
      END IF;
      RETURN NULL;
    END`,
  // A host's own columns count too. What changes with every login is nothing that a cache holds.
  users: `
    DECLARE
      ids jsonb;
    BEGIN
      IF TG_OP = 'DELETE' THEN
        SELECT jsonb_agg(id) INTO ids FROM (SELECT id FROM before LIMIT ${LONGEST_LIST + 1}) changed;
      ELSE
        SELECT jsonb_agg(id) INTO ids FROM (
          SELECT b.id FROM before b LEFT JOIN after a ON a.id = b.id
            WHERE a.id IS NULL OR to_jsonb(a) - '{last_login_at,updated_at,password_hash}'::text[]
              <> to_jsonb(b) - '{last_login_at,updated_at,password_hash}'::text[]
            LIMIT ${LONGEST_LIST + 1}) changed;
      END IF;
      IF ids IS NOT NULL THEN
        PERFORM latchkey_publish('users', ids);
      END IF;
      RETURN NULL;
    END`,
  // Rows are only ever deleted once they have expired, so nobody has to hear of that.
  revoked_tokens: `
    DECLARE
      tokens jsonb;
    BEGIN
      SELECT jsonb_agg(jsonb_build_array(jti, extract(epoch FROM exp) * 1000)) INTO tokens
        FROM (SELECT jti, exp FROM after LIMIT ${LONGEST_LIST + 1}) changed;
      IF tokens IS NOT NULL THEN
        PERFORM latchkey_publish('tokens', tokens);
      END IF;
      RETURN NULL;
    END`,
} as const;

type Table = keyof typeof TRIGGERS;

const EVENTS: Record<Table, readonly string[]> = {
  sessions: ['UPDATE|OLD TABLE AS before', 'DELETE|OLD TABLE AS before'],
  users: ['UPDATE|OLD TABLE AS before NEW TABLE AS after', 'DELETE|OLD TABLE AS before'],
  revoked_tokens: ['INSERT|NEW TABLE AS after', 'UPDATE|NEW TABLE AS after'],
};

/**
 * Publishes every change of a row that some process may have in memory, in the transaction that makes it, whoever makes
 * it: `PostgresInvalidationChannel` listens. Triggers of whole statements, so that a flood is one message.
 */
export function publishChangesFor({ referencesUsers }: { referencesUsers: boolean }): new () => MigrationInterface {
  const tables: Table[] = referencesUsers ? ['sessions', 'users', 'revoked_tokens'] : ['sessions', 'revoked_tokens'];

  class PublishChanges1763683200006 implements MigrationInterface {
    name = 'PublishChanges1763683200006';

    async up(queryRunner: QueryRunner): Promise<void> {
      await queryRunner.query(PUBLISH);
      await queryRunner.query(`
        CREATE FUNCTION latchkey_publish_truncation() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
          PERFORM pg_notify('nestjs_latchkey', jsonb_build_object(TG_ARGV[0], '*')::text);
          RETURN NULL;
        END $$`);
      for (const table of tables) {
        await queryRunner.query(
          `CREATE FUNCTION latchkey_publish_${table}() RETURNS trigger LANGUAGE plpgsql AS $$${TRIGGERS[table]} $$`,
        );
        for (const event of EVENTS[table]) {
          const [operation, transition] = event.split('|') as [string, string];
          await queryRunner.query(`
            CREATE TRIGGER latchkey_publish_${operation.toLowerCase()} AFTER ${operation} ON ${table}
              REFERENCING ${transition} FOR EACH STATEMENT EXECUTE FUNCTION latchkey_publish_${table}()`);
        }
        await queryRunner.query(`
          CREATE TRIGGER latchkey_publish_truncate AFTER TRUNCATE ON ${table}
            FOR EACH STATEMENT EXECUTE FUNCTION latchkey_publish_truncation('${table === 'revoked_tokens' ? 'tokens' : table}')`);
      }
    }

    async down(queryRunner: QueryRunner): Promise<void> {
      for (const table of tables) {
        for (const event of [...EVENTS[table], 'TRUNCATE']) {
          const name = `latchkey_publish_${event.split('|')[0]!.toLowerCase()}`;
          await queryRunner.query(`DROP TRIGGER ${name} ON ${table}`);
        }
        await queryRunner.query(`DROP FUNCTION latchkey_publish_${table}`);
      }
      await queryRunner.query('DROP FUNCTION latchkey_publish_truncation');
      await queryRunner.query('DROP FUNCTION latchkey_publish');
    }
  }
  return PublishChanges1763683200006;
}
