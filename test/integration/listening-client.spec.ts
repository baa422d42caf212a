import { once } from 'node:events';
import { Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Pool } from 'pg';
import { listeningClient, type ClientPool, type ListeningClient } from '../../src/postgres/listening-client.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

describe('listeningClient', () => {
  let db: TestDatabase;
  let pool: Pool;
  let passwords: number;
  let sockets: Socket[];
  let listening: ListeningClient | undefined;
  beforeAll(async () => {
    db = await createTestDatabase({ migrated: false });
  });
  afterAll(() => db?.drop());
  beforeEach(() => {
    passwords = 0;
    sockets = [];
    const { hostname, port, username, password, pathname } = new URL(db.url);
    pool = new Pool({
      host: hostname,
      port: Number(port),
      user: decodeURIComponent(username),
      database: pathname.slice(1),
      // As a cloud's: valid for minutes, and asked for anew by each connection.
      password: () => {
        passwords++;
        return decodeURIComponent(password);
      },
      // As a tunnel's.
      stream: () => {
        sockets.push(new Socket());
        return sockets.at(-1)!;
      },
    });
  });
  afterEach(async () => {
    await listening?.client.end();
    await pool.end();
  });

  const listen = async (address: string | null) => {
    const options = { address, application_name: 'listening', keepAlive: true };
    listening = listeningClient(pool as unknown as ClientPool, options);
    await listening.client.connect();
    return listening;
  };
  const elsewhere = (parts: Partial<URL>) => {
    const { hostname, port } = new URL(db.url);
    return Object.assign(new URL(`postgres://${hostname}:${port}`), parts).href;
  };

  it.each([
    ['none', () => null],
    ['one of a host and a port', () => elsewhere({})],
    ['one of a database too', () => elsewhere({ pathname: new URL(db.url).pathname })],
  ])("connects through the pool's stream and asks its password function, with the address %s", async (_, address) => {
    await pool.query('SELECT 1');
    const ofThePool = passwords;
    const { client, socket } = await listen(address());
    expect(passwords).toBe(2 * ofThePool);
    expect(sockets).toHaveLength(2);
    expect(socket()).toBe(sockets[1]);
    const heard = once(client as unknown as NodeJS.EventEmitter, 'notification');
    await client.query('LISTEN news');
    await pool.query("NOTIFY news, 'hello'");
    expect(await heard).toMatchObject([{ channel: 'news', payload: 'hello' }]);
  });

  it('an address with a password asks no function (negative control)', async () => {
    const { password } = new URL(db.url);
    await listen(elsewhere({ username: new URL(db.url).username, password }));
    expect(passwords).toBe(password ? 0 : 1);
  });
});
