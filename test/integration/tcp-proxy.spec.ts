import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Client } from 'pg';
import { BackendMessages } from '../support/backend-messages.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.js';

describe('a proxy in front of PostgreSQL', () => {
  let db: TestDatabase;
  let proxy: TcpProxy;
  let clients: Client[];
  beforeAll(async () => {
    db = await createTestDatabase({ migrated: false });
  });
  afterAll(() => db?.drop());
  beforeEach(async () => {
    proxy = await startTcpProxy(Number(new URL(db.url).port));
    clients = [];
  });
  afterEach(async () => {
    await proxy.close();
    await Promise.all(clients.map((client) => client.end().catch(() => undefined)));
  });

  async function connected(options = {}): Promise<Client> {
    const client = new Client({ connectionString: proxy.url(db.url), ...options });
    client.on('error', () => undefined);
    clients.push(client);
    await client.connect();
    return client;
  }
  const one = async (client: Client) => (await client.query<{ one: number }>('SELECT 1 AS one')).rows[0]!.one;

  it('is not noticed while nothing is broken', async () => {
    const client = await connected();
    expect(await one(client)).toBe(1);
    const { rows } = await client.query<{ text: string }>("SELECT repeat('x', 5000000) AS text");
    expect(rows[0]!.text).toHaveLength(5_000_000);
  });

  it('cut: nothing comes through and nothing is closed; healed: what was cut is closed, what is new works', async () => {
    const client = await connected();
    proxy.cut();
    let settled = false;
    const asked = one(client).finally(() => (settled = true));
    asked.catch(() => undefined);
    await expect(connected({ connectionTimeoutMillis: 200 })).rejects.toThrow('timeout');
    expect(settled).toBe(false);
    expect(await one(await direct())).toBe(1);
    proxy.heal();
    await expect(asked).rejects.toThrow();
    expect(await one(await connected())).toBe(1);
  });

  it('reset: every connection ends at once, new ones work', async () => {
    const client = await connected();
    const asked = client.query('SELECT pg_sleep(60)');
    const end = new Promise<void>((resolve) => client.once('end', resolve));
    proxy.reset();
    await expect(asked).rejects.toThrow();
    await end;
    expect(await one(await connected())).toBe(1);
  });

  it('the end of one side is the end of the other', async () => {
    const watcher = await direct();
    const client = await connected({ application_name: 'leaving' });
    await client.end();
    const left = 'SELECT 1 FROM pg_stat_activity WHERE application_name = $1';
    while ((await watcher.query(left, ['leaving'])).rowCount) await one(watcher);
  });

  it('swallows notifications and nothing else', async () => {
    const listener = await connected();
    const heard: (string | undefined)[] = [];
    listener.on('notification', ({ payload }) => heard.push(payload));
    await listener.query('LISTEN news');
    const sender = await direct();
    const tell = async (text: string) => {
      await sender.query("SELECT pg_notify('news', $1)", [text]);
      // An answer to a later statement comes after the notification.
      expect(await one(listener)).toBe(1);
    };
    await tell('first');
    proxy.swallowNotifications(true);
    await tell('second');
    await tell('x'.repeat(7000));
    proxy.swallowNotifications(false);
    await tell('third');
    expect(heard).toEqual(['first', 'third']);
  });

  async function direct(): Promise<Client> {
    const client = new Client({ connectionString: db.url });
    clients.push(client);
    await client.connect();
    return client;
  }
});

describe('BackendMessages', () => {
  const message = (type: string, body: string) => {
    const length = Buffer.alloc(4);
    length.writeInt32BE(4 + body.length);
    return Buffer.concat([Buffer.from(type), length, Buffer.from(body)]);
  };
  const request = (code: number) => {
    const bytes = Buffer.alloc(8);
    bytes.writeInt32BE(8);
    bytes.writeInt32BE(code, 4);
    return bytes;
  };
  const startup = Buffer.concat([request(196_608), Buffer.from('user')]);
  const inChunks = (bytes: Buffer, size: number) =>
    Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) => bytes.subarray(i * size, (i + 1) * size));

  it.each([1, 2, 3, 5, 7, 1000])('finds the messages in chunks of %i bytes', (size) => {
    const messages = new BackendMessages(() => true);
    for (const chunk of inChunks(Buffer.concat([request(80_877_104), request(80_877_103), startup]), size)) {
      messages.sent(chunk);
    }
    const before = [Buffer.from('NN'), message('R', 'AAAA'), message('Z', '')];
    const after = [message('D', 'A row'), message('C', 'SELECT 1')];
    const all = Buffer.concat([...before, message('A', 'news'), message('A', ''), ...after]);
    const passed = Buffer.concat(inChunks(all, size).map((chunk) => messages.received(chunk)));
    expect(passed).toEqual(Buffer.concat([...before, ...after]));
  });

  it('lets an encrypted connection alone', () => {
    const messages = new BackendMessages(() => true);
    messages.sent(request(80_877_103));
    expect(messages.received(Buffer.from('SA'))).toEqual(Buffer.from('SA'));
  });
});
