import { randomBytes } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { configFile, latchkey, latchkeyProcess } from '../support/command.js';
import { createTestDatabase } from '../support/database.js';

describe('latchkey, as a process', () => {
  it('prints and exits as it does here: done, failed, called wrongly', async () => {
    const url = 'postgres://ada:hunter2@127.0.0.1:1/notes';
    const calls = [
      ['--help'],
      ['secret', '--json'],
      ['migrate', '--frobnicate'],
      ['sessions', 'list', '--user', 'ada'],
    ];
    const ran = await Promise.all(calls.map((args) => latchkeyProcess(args, { DATABASE_URL: url })));
    expect(ran.map(({ status }) => status)).toEqual([0, 0, 2, 1]);
    const [help, , wrong, away] = await Promise.all(calls.map((args) => latchkey(args, { DATABASE_URL: url })));
    expect(ran[0]).toEqual(help);
    expect(JSON.parse(ran[1]!.out)).toMatchObject({ secret: expect.stringMatching(/^[\w-]{64}$/) });
    expect(ran[2]).toEqual(wrong);
    expect(ran[3]).toEqual(away);
  }, 60_000);

  it('a migrated database: doctor and sessions end by themselves', async () => {
    const db = await createTestDatabase();
    const secret = randomBytes(48).toString('base64url');
    const config = configFile(`{ secrets: ['${secret}'], routes: { path: 'auth' }, cache: { enabled: true } }`);
    const env = { DATABASE_URL: db.url, LATCHKEY_CONFIG: config.path };
    const ran = await Promise.all([
      latchkeyProcess(['doctor'], env),
      latchkeyProcess(['sessions', 'list', '--user', 'ada@example.com'], env),
    ]);
    expect(ran.map(({ status, err }) => ({ status, err }))).toEqual([
      { status: 0, err: '' },
      { status: 1, err: 'There is no account with this id or email.\n' },
    ]);
    config.remove();
    await db.drop();
  }, 60_000);
});
