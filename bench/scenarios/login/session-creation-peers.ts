import { randomBytes } from 'node:crypto';
import { betterAuth } from 'better-auth';
import { getMigrations } from 'better-auth/db/migration';
import connectPgSimple from 'connect-pg-simple';
import expressSession from 'express-session';
import pg from 'pg';
import { check, creating, one, POOL_SIZE, TTL_MS, type Creation } from './creation.js';

export const connectPg: Creation = async ({ url, users }) => {
  const pool = new pg.Pool({ connectionString: url, max: POOL_SIZE });
  const Store = connectPgSimple(expressSession);
  const store = new Store({ pool, createTableIfMissing: true, pruneSessionInterval: false });
  const set = async () => {
    const sid = randomBytes(24).toString('base64url');
    const cookie = { originalMaxAge: TTL_MS, expires: new Date(Date.now() + TTL_MS), httpOnly: true, path: '/' };
    const data = { cookie, userId: one(users), ip: '203.0.113.7', userAgent: 'bench' };
    await new Promise<void>((resolve, reject) =>
      store.set(sid, data, (error?: unknown) => (error ? reject(error) : resolve())),
    );
    return sid;
  };
  const sid = await set();
  check(
    await new Promise((resolve, reject) =>
      store.get(sid, (error: unknown, found) => (error ? reject(error) : resolve(found))),
    ),
  );
  return creating(set, async () => {
    store.close();
    await pool.end();
  });
};

/** `users` are those of `url`; Better Auth keeps its own beside them, in a database of its own. */
export const better: Creation = async ({ url, users }) => {
  const pool = new pg.Pool({ connectionString: url, max: POOL_SIZE });
  const options = {
    database: pool,
    secret: 'the benchmark protects nothing: 0123456789',
    baseURL: 'http://127.0.0.1',
    telemetry: { enabled: false },
  };
  await (await getMigrations(options)).runMigrations();
  await pool.query(
    `INSERT INTO "user" (id, name, email, "emailVerified", "createdAt", "updatedAt")
     SELECT id, id, id || '@example.com', true, now(), now() FROM unnest($1::text[]) id ON CONFLICT DO NOTHING`,
    [users],
  );
  const { internalAdapter } = await betterAuth(options).$context;
  const create = () => internalAdapter.createSession(one(users));
  check(await internalAdapter.findSession((await create()).token));
  return creating(create, () => pool.end());
};
