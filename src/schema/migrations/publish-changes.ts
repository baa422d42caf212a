import type { QueryRunner } from 'typeorm';
import { DIGEST_LENGTH } from '../../invalidation/invalidation-digest.js';
import { channelOf, INVALIDATION_KEY, type SchemaNames } from '../schema-names.js';
import { onOwnPath } from './auth-migration.js';

const MAX_LIST = 100;

/** What a table publishes, so that processes forget their copies. */
export interface PublishedTable {
  readonly table: string;
  /** The key of `Invalidation`. */
  readonly kind: 'sessions' | 'users' | 'tokens';
  /** Part of the names of the triggers and their functions, whatever the table's name. */
  readonly feature: string;
  /** By operation: its transition tables, and the ids in them (text) whose digests are published. */
  readonly changes: Readonly<Record<string, readonly [transition: string, selected: string]>>;
}

/**
 * Publishes every change of a row that a process may have in memory, in the transaction that makes it, whoever makes
 * it; `PostgresInvalidationChannel` listens. The triggers are per statement, so that a flood of changes is one message.
 *
 * They run as the owner of the tables, the only role that may read the key. No other role may use them on a table of
 * its own, where they would reveal the digest of any id.
 */
export async function publishChanges(
  queryRunner: QueryRunner,
  names: SchemaNames,
  { table, kind, feature, changes }: PublishedTable,
): Promise<void> {
  const add = async (operation: string, body: string, referencing = '') => {
    const name = triggerOf(feature, operation);
    const on = names.qualified(table);
    await queryRunner.query(
      `CREATE OR REPLACE FUNCTION ${names.qualified(name)}() RETURNS trigger SECURITY DEFINER ${onOwnPath(names)} AS $$${body} $$`,
    );
    await queryRunner.query(`REVOKE ALL ON FUNCTION ${names.qualified(name)}() FROM PUBLIC`);
    await queryRunner.query(`DROP TRIGGER IF EXISTS ${name} ON ${on}`);
    await queryRunner.query(
      `CREATE TRIGGER ${name} AFTER ${operation} ON ${on} ${referencing}
         FOR EACH STATEMENT EXECUTE FUNCTION ${names.qualified(name)}()`,
    );
  };
  for (const [operation, [transition, selected]] of Object.entries(changes)) {
    await add(operation, publish(kind, selected), `REFERENCING ${transition}`);
  }
  await add('TRUNCATE', publishAll(kind));
}

export async function stopPublishing(
  queryRunner: QueryRunner,
  names: SchemaNames,
  { table, feature, changes }: PublishedTable,
): Promise<void> {
  for (const operation of [...Object.keys(changes), 'TRUNCATE']) {
    const name = triggerOf(feature, operation);
    await queryRunner.query(`DROP TRIGGER ${name} ON ${names.qualified(table)}`);
    await queryRunner.query(`DROP FUNCTION ${names.qualified(name)}`);
  }
}

/**
 * NOTIFY refuses 8,000 bytes and more, and would roll the change back with it: a long list becomes "everything"
 * instead, and so does any other fault here. The digests are those of `InvalidationDigest`.
 */
const publish = (kind: string, selected: string) => `
  DECLARE
    secret ${INVALIDATION_KEY};
    entries jsonb;
    payload text := '{"${kind}": "*"}';
  BEGIN
    BEGIN
      SELECT * INTO STRICT secret FROM ${INVALIDATION_KEY};
      SELECT pg_catalog.jsonb_agg(pg_catalog.left(pg_catalog.encode(pg_catalog.sha256(secret.outer_key ||
          pg_catalog.sha256(secret.inner_key || pg_catalog.convert_to('${kind}:'::text || entry, 'UTF8'::name))),
          'hex'::text), ${DIGEST_LENGTH}))
        INTO entries FROM (${selected} LIMIT ${MAX_LIST + 1}) changed (entry);
      IF entries IS NULL THEN
        RETURN NULL;
      END IF;
      IF pg_catalog.jsonb_array_length(entries) <= ${MAX_LIST} THEN
        payload := pg_catalog.jsonb_build_object('${kind}'::text, entries)::text;
      END IF;
    EXCEPTION WHEN OTHERS THEN
      -- A row that jsonb cannot hold must not keep an account from being disabled.
      NULL;
    END;
    PERFORM pg_catalog.pg_notify(${channelOf('TG_TABLE_SCHEMA')}, payload);
    RETURN NULL;
  END`;

const publishAll = (kind: string) => `
  BEGIN
    PERFORM pg_catalog.pg_notify(${channelOf('TG_TABLE_SCHEMA')}, '{"${kind}": "*"}'::text);
    RETURN NULL;
  END`;

const triggerOf = (feature: string, operation: string): string =>
  `latchkey_publish_${feature}_${operation.toLowerCase()}`;
