import { beforeEach, describe, expect, it } from '@jest/globals';
import { AuditStore } from '../../src/audit/audit.store.js';
import { sharedTestApp } from '../support/shared-app.js';
import { withClient } from '../support/test-server.js';

describe('AuditStore.list', () => {
  const t = sharedTestApp({ auth: { audit: { enabled: true } } });
  const store = () => t.app.get(AuditStore);
  beforeEach(() => t.db.query('DELETE FROM auth_audit_events'));

  const insert = (count: number, userId: string) =>
    store().insert(
      Array.from({ length: count }, (_, i) => ({
        type: 'admin.acted' as const,
        at: t.clock.now() + Math.floor(i / 3),
        userId,
        adminId: 'ada',
        action: 'disable' as const,
        ip: '192.0.2.7',
      })),
    );

  it('has each event once, the newest first, of all and of one, in parts of any size', async () => {
    await insert(10, 'bob');
    await insert(10, 'eve');
    for (const userId of [undefined, 'bob', 'nobody']) {
      const all = await store().list({ userId, limit: 100 });
      expect(all).toHaveLength({ bob: 10, nobody: 0 }[userId ?? ''] ?? 20);
      expect(all).toEqual(all.toSorted((a, b) => b.at - a.at || Number(b.id) - Number(a.id)));
      for (const limit of [1, 3, 7]) {
        const parts = [];
        for (let before: string | undefined; ;) {
          const part = await store().list({ userId, before, limit });
          parts.push(...part);
          if (part.length === 0) break;
          before = part.at(-1)!.id;
        }
        expect(parts).toEqual(all);
      }
    }
    expect((await store().list({ limit: 1 }))[0]).toMatchObject({ userId: 'eve', facts: { adminId: 'ada' } });
  });

  it('nothing comes before an event that is not there', async () => {
    await insert(3, 'bob');
    for (const before of ['x', '-1', '0', '999999999999999999', '9'.repeat(30)]) {
      expect(await store().list({ before, limit: 10 })).toEqual([]);
    }
  });

  it('a part is read by an index, among 20,000 events', async () => {
    await t.db.query(
      `INSERT INTO auth_audit_events (type, at, user_id, facts)
       SELECT 'admin.acted', to_timestamp(i), 'user-' || i % 100, '{}' FROM generate_series(1, 20000) i`,
    );
    await t.db.query('ANALYZE auth_audit_events');
    const [row] = await t.db.query<{ id: string }>('SELECT max(id) - 9999 AS id FROM auth_audit_events');
    for (const [userId, index] of [
      [undefined, 'auth_audit_events_at_idx'],
      ['user-1', 'auth_audit_events_user_id_idx'],
    ] as const) {
      const plan = await planOf(userId, row!.id);
      expect(plan).toContain(`using ${index}`);
      expect(plan).not.toContain('Seq Scan');
    }
  });

  const planOf = (userId: string | undefined, before: string) =>
    withClient(t.db.url, async (client) => {
      const { list, listOf } = (store() as unknown as { sql: Record<string, { text: string }> }).sql;
      await client.query('SET plan_cache_mode = force_generic_plan');
      await client.query(`PREPARE part AS ${(userId === undefined ? list : listOf)!.text}`);
      const values = [`'${before}'`, '26', ...(userId === undefined ? [] : [`'${userId}'`])];
      const { rows } = await client.query<{ 'QUERY PLAN': string }>(`EXPLAIN EXECUTE part(${values.join(', ')})`);
      return rows.map((found) => found['QUERY PLAN']).join('\n');
    });
});
