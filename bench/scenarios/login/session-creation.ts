import { randomBytes } from 'node:crypto';
import { SessionService } from 'nestjs-latchkey';
import pg from 'pg';
import { DataSource, EntitySchema } from 'typeorm';
import { sha256Hex } from '../../../src/crypto/hash.js';
import { startContext } from '../our-app.js';
import { check, creating, one, POOL_SIZE, TTL_MS, type Creation } from './creation.js';

export const ours: Creation = async ({ url, users }) => {
  const app = await startContext({ url });
  const sessions = app.get(SessionService);
  const { token } = await sessions.create(one(users));
  check(await sessions.lookup(token));
  return creating(
    () => sessions.create(one(users), { ip: '203.0.113.7', userAgent: 'bench' }),
    () => app.close(),
  );
};

/** Columns, primary key and indexes of ours; what a session costs at least when it is to be durable. */
export const bareInsert: Creation = async ({ url, users }) => {
  const pool = new pg.Pool({ connectionString: url, max: POOL_SIZE });
  await pool.query('CREATE TABLE IF NOT EXISTS bare_sessions (LIKE sessions INCLUDING DEFAULTS INCLUDING INDEXES)');
  const text = `INSERT INTO bare_sessions (id, user_id, created_at, expires_at, last_seen_at, authenticated_at,
      absolute_expires_at, ip, user_agent)
    VALUES ($1, $2, $3, $4, $3, $3, $5, $6, $7) RETURNING id, handle, created_at, expires_at`;
  const insert = async () => {
    const now = Date.now();
    const [created, expires, ends] = [new Date(now), new Date(now + TTL_MS), new Date(now + 3 * TTL_MS)];
    const id = sha256Hex(randomBytes(32));
    await pool.query({
      name: 'insert',
      text,
      values: [id, one(users), created, expires, ends, '203.0.113.7', 'bench'],
    });
    return id;
  };
  const { rows } = await pool.query('SELECT 1 FROM bare_sessions WHERE id = $1', [await insert()]);
  check(rows[0]);
  return creating(insert, () => pool.end());
};

/** The same columns and indexes through `repository.insert`, as an application would write it first. */
export const repositoryInsert: Creation = async ({ url, users }) => {
  const db = await new DataSource({
    type: 'postgres',
    url,
    poolSize: POOL_SIZE,
    entities: [RepositorySession],
  }).initialize();
  await db.query('CREATE TABLE IF NOT EXISTS repository_sessions (LIKE sessions INCLUDING DEFAULTS INCLUDING INDEXES)');
  const repository = db.getRepository(RepositorySession);
  const insert = async () => {
    const createdAt = new Date();
    const id = sha256Hex(randomBytes(32));
    await repository.insert({
      id,
      userId: one(users),
      createdAt,
      expiresAt: new Date(createdAt.getTime() + TTL_MS),
      lastSeenAt: createdAt,
      authenticatedAt: createdAt,
      absoluteExpiresAt: new Date(createdAt.getTime() + 3 * TTL_MS),
      ip: '203.0.113.7',
      userAgent: 'bench',
    });
    return id;
  };
  check(await repository.findOneBy({ id: await insert() }));
  return creating(insert, () => db.destroy());
};

const RepositorySession = new EntitySchema({
  name: 'RepositorySession',
  tableName: 'repository_sessions',
  columns: {
    id: { type: 'text', primary: true },
    userId: { name: 'user_id', type: 'uuid' },
    createdAt: { name: 'created_at', type: 'timestamptz' },
    expiresAt: { name: 'expires_at', type: 'timestamptz' },
    handle: { type: 'uuid', generated: 'uuid' },
    lastSeenAt: { name: 'last_seen_at', type: 'timestamptz', nullable: true },
    authenticatedAt: { name: 'authenticated_at', type: 'timestamptz', nullable: true },
    absoluteExpiresAt: { name: 'absolute_expires_at', type: 'timestamptz', nullable: true },
    ip: { type: 'text', nullable: true },
    userAgent: { name: 'user_agent', type: 'text', nullable: true },
  },
});
