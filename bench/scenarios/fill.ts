import { createHash } from 'node:crypto';
import type { Client } from 'pg';

/** Accounts without a password: the ids of as many as were asked for. */
export async function fillUsers(client: Client, count: number, name = 'user'): Promise<string[]> {
  const { rows } = await client.query<{ id: string }>(
    `INSERT INTO users (email, password_hash)
     SELECT $2 || n || '@example.com', 'x' FROM generate_series(1, $1::int) n RETURNING id`,
    [count, name],
  );
  return rows.map(({ id }) => id);
}

/** Sessions of all users by turns, each with the token `tokenOf(name, 1 … count)`; `expiresAt` is SQL. */
export async function fillSessions(client: Client, count: number, name: string, expiresAt: string): Promise<void> {
  const { rows } = await client.query<{ users: number }>('SELECT count(*)::int AS users FROM users');
  await client.query(
    `WITH numbered AS (SELECT id, row_number() OVER () AS number FROM users)
     INSERT INTO sessions (id, user_id, created_at, expires_at, authenticated_at, last_seen_at, absolute_expires_at)
     SELECT encode(sha256(sha256(($3 || i)::bytea)), 'hex'), u.id, now() - interval '40 days', ${expiresAt},
       now() - interval '40 days', now() - interval '40 days', now() + interval '50 days'
     FROM generate_series(1, $1::int) i JOIN numbered u ON u.number = 1 + i % $2::int`,
    [count, rows[0]!.users, name],
  );
}

/** The token of one of the sessions above. */
export function tokenOf(name: string, number: number): string {
  return createHash('sha256').update(`${name}${number}`).digest('base64url');
}
