import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { page, snippets } from '../support/docs.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

const FOLDER = resolve('test/doc-example');

describe('the testing page', () => {
  const before = { ...process.env };
  let developers: TestDatabase;
  beforeAll(async () => {
    developers = await createTestDatabase();
    await developers.query(`INSERT INTO users (email, password_hash) VALUES ('me@example.com', 'x')`);
  });
  afterAll(async () => {
    process.env = before;
    rmSync(FOLDER, { recursive: true, force: true });
    await developers?.drop();
  });

  /** Everything that a login or a migration would have changed. */
  const contents = () =>
    developers.query(`SELECT
      (SELECT json_agg(u) FROM users u) AS users,
      (SELECT json_agg(s) FROM sessions s) AS sessions,
      (SELECT json_agg(relname ORDER BY relname) FROM pg_class WHERE relnamespace = 'public'::regnamespace) AS relations`);

  it('H46: the example of the testing page, as written, leaves the database of DATABASE_URL alone', async () => {
    const { code } = snippets(page('docs/testing.md'))[0]!;
    mkdirSync(FOLDER, { recursive: true });
    writeFileSync(`${FOLDER}/app.module.ts`, readFileSync('test/app/app.module.ts'));
    writeFileSync(`${FOLDER}/example.ts`, code);
    const untouched = await contents();
    process.env['DATABASE_URL'] = developers.url;
    process.env['AUTH_SECRET'] = 'a secret of the developer that is long enough';

    const { example } = (await import(`${FOLDER}/example.ts`)) as { example: () => Promise<void> };
    await example();

    expect(await contents()).toEqual(untouched);
    expect(code).not.toContain('process.env');
  }, 120_000);
});
