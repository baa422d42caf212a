import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo } from 'node:net';
import { expect, it } from '@jest/globals';
import { createTestDatabase } from '../support/database.js';

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

it('the demo, whose mail anybody can read, is reached from its own machine only', async () => {
  const db = await createTestDatabase();
  const port = await freePort();
  const demo = spawn('node', ['--import', './test/support/register.js', 'test/app/main.ts'], {
    env: { ...process.env, NODE_OPTIONS: '', DATABASE_URL: db.url, PORT: String(port), HOST: undefined },
  });
  const exited = once(demo, 'exit');
  try {
    let said = '';
    for await (const chunk of demo.stdout) if ((said += String(chunk)).includes('Ctrl-C stops it.')) break;
    expect(said).toContain(`/demo/mail`);
    expect(await answers(port, '127.0.0.1')).toBe(true);
    // Another address of this machine stands for those that others reach it by.
    expect(await answers(port, '127.0.0.2')).toBe(false);
  } finally {
    demo.kill();
    await exited;
    await db.drop();
  }
}, 60_000);
