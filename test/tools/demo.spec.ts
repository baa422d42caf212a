import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo } from 'node:net';
import { expect, it } from '@jest/globals';
import { createTestDatabase } from '../support/database.js';
import { until } from '../support/heard.js';

/** Whether something listens there. */
async function answers(port: number, host: string): Promise<boolean> {
  const socket = connect(port, host);
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
}

it('the demo prints its mail and keeps it at /demo/mail, and is reached from its own machine only', async () => {
  const db = await createTestDatabase();
  const port = await freePort();
  const demo = spawn('node', ['--import', './test/support/register.js', 'test/app/main.ts'], {
    env: { ...process.env, NODE_OPTIONS: '', DATABASE_URL: db.url, PORT: String(port), HOST: undefined },
  });
  const exited = once(demo, 'exit');
  try {
    let said = '';
    demo.stdout.on('data', (chunk) => (said += String(chunk)));
    await until(() => said.includes('Ctrl-C stops it.'), 50_000);
    expect(said).toContain(`/demo/mail`);
    expect(await answers(port, '127.0.0.1')).toBe(true);
    // Another address of this machine stands for those that others reach it by.
    expect(await answers(port, '127.0.0.2')).toBe(false);

    const at = `http://localhost:${port}`;
    const asked = await fetch(`${at}/auth/register`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ email: 'new@example.com' }),
    });
    expect(asked.status).toBe(202);
    const kept = async () => (await (await fetch(`${at}/demo/mail`)).json()) as { kind: string; link: string }[];
    await until(async () => (await kept()).length > 0);
    expect(await kept()).toEqual([
      expect.objectContaining({ kind: 'registration', to: { name: '', address: 'new@example.com' } }),
    ]);
    const [{ link } = { link: '' }] = await kept();
    await until(() => said.includes('--- mail to new@example.com') && said.includes(link));
  } finally {
    demo.kill();
    await exited;
    await db.drop();
  }
}, 60_000);
