import type { MigrationInterface, QueryRunner } from 'typeorm';

const LONGEST_LIST = 100;
const LONGEST_PAYLOAD = 7_800;

/**
 * NOTIFY refuses 8,000 bytes and more, and would undo the change with it: a long list becomes "everything" instead, and
 * so does any other fault here. It calls no function of ours, since another program's search path need not lead to it.
 */
const publish = (kind: string, selected: string) => `
  DECLARE
    entries jsonb;
    payload text := '{"${kind}": "*"}';
  BEGIN
    BEGIN
      SELECT jsonb_agg(entry) INTO entries FROM (${selected} LIMIT ${LONGEST_LIST + 1}) changed (entry);
      IF entries IS NULL THEN
        RETURN NULL;
      END IF;
      IF jsonb_array_length(entries) <= ${LONGEST_LIST} AND octet_length(entries::text) < ${LONGEST_PAYLOAD} THEN
        payload := jsonb_build_object('${kind}', entries)::text;
      END IF;
    EXCEPTION WHEN OTHERS THEN
      -- A row that jsonb cannot hold must not keep an account from being disabled.
      NULL;
    END;
    PERFORM pg_notify('nestjs_latchkey', payload);
    RETURN NULL;
  END`;

const publishAll = (kind: string) => `
  BEGIN
    PERFORM pg_notify('nestjs_latchkey', '{"${kind}": "*"}');
    RETURN NULL;
  END`;

/** What changes with every login is nothing that a cache holds; a host's own columns are. */
const UNCACHED = "'{last_login_at,updated_at,password_hash}'::text[]";

interface Published {
  readonly kind: string;
  /** By operation: which transition tables it has, and what of them is published. */
  readonly changes: Readonly<Record<string, readonly [transition: string, selected: string]>>;
}

/** What each statement has changed, at its commit. One that changed no row publishes nothing. */
const TABLES = {
  // Deleting expired rows needs no publication: the cleanup sets latchkey.purging.
  sessions: {
    kind: 'sessions',
    changes: {
      UPDATE: ['OLD TABLE AS before', 'SELECT id FROM before'],
      DELETE: [
        'OLD TABLE AS before',
        "SELECT id FROM before WHERE current_setting('latchkey.purging', true) IS DISTINCT FROM 'on'",
      ],
    },
  },
  users: {
    kind: 'users',
    changes: {
      UPDATE: [
        'OLD TABLE AS before NEW TABLE AS after',
        // By hashing, whatever was planned for the first statement of this connection: a join would be of every row with
        // every other.
        `SELECT id FROM (SELECT id, to_jsonb(b) - ${UNCACHED} FROM before b
           EXCEPT SELECT id, to_jsonb(a) - ${UNCACHED} FROM after a) changed_rows`,
      ],
      DELETE: ['OLD TABLE AS before', 'SELECT id FROM before'],
    },
  },
  // Rows are only deleted once they have expired, which need not be published.
  revoked_tokens: {
    kind: 'tokens',
    changes: {
      INSERT: ['NEW TABLE AS after', 'SELECT jsonb_build_array(jti, extract(epoch FROM exp) * 1000) FROM after'],
      UPDATE: ['NEW TABLE AS after', 'SELECT jsonb_build_array(jti, extract(epoch FROM exp) * 1000) FROM after'],
    },
  },
} as const satisfies Record<string, Published>;

/**
 * Publishes every change of a row that a process may have in memory, in the transaction that makes it, whoever makes
 * it; `PostgresInvalidationChannel` listens. The triggers are per statement, so that a flood of changes is one message.
 */
export function publishChangesFor({ referencesUsers }: { referencesUsers: boolean }): new () => MigrationInterface {
  const tables = Object.entries<Published>(TABLES).filter(([table]) => referencesUsers || table !== 'users');

  class PublishChanges1763683200006 implements MigrationInterface {
    name = 'PublishChanges1763683200006';

    async up(queryRunner: QueryRunner): Promise<void> {
      for (const [table, { kind, changes }] of tables) {
        for (const [operation, [transition, selected]] of Object.entries(changes)) {
          await addTrigger(queryRunner, table, operation, publish(kind, selected), `REFERENCING ${transition}`);
        }
        await addTrigger(queryRunner, table, 'TRUNCATE', publishAll(kind));
      }
    }

    async down(queryRunner: QueryRunner): Promise<void> {
      for (const [table, { changes }] of tables) {
        for (const operation of [...Object.keys(changes), 'TRUNCATE']) {
          const name = nameOf(table, operation);
          await queryRunner.query(`DROP TRIGGER ${name} ON ${table}`);
          await queryRunner.query(`DROP FUNCTION ${name}`);
        }
      }
    }
  }
  return PublishChanges1763683200006;
}

async function addTrigger(
  queryRunner: QueryRunner,
  table: string,
  operation: string,
  body: string,
  referencing = '',
): Promise<void> {
  const name = nameOf(table, operation);
  await queryRunner.query(`CREATE FUNCTION ${name}() RETURNS trigger LANGUAGE plpgsql AS $$${body} $$`);
  await queryRunner.query(
    `CREATE TRIGGER ${name} AFTER ${operation} ON ${table} ${referencing}
       FOR EACH STATEMENT EXECUTE FUNCTION ${name}()`,
  );
}

const nameOf = (table: string, operation: string): string => `latchkey_publish_${table}_${operation.toLowerCase()}`;
