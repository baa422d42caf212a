import { once } from 'node:events';
import { connect } from 'node:net';
import { expect, it } from '@jest/globals';
import { startDemo } from '../support/demo.js';
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

it('the demo prints its mail and keeps it at /demo/mail, and is reached from its own machine only', async () => {
  const demo = await startDemo();
  try {
    const { port } = demo;
    expect(demo.printed).toContain(`/demo/mail`);
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
    const kept = async () => {
      const mails = (await (await fetch(`${at}/demo/mail`)).json()) as {
        kind: string;
        link: string;
        to: { address: string };
      }[];
      return mails.filter(({ to }) => to.address === 'new@example.com');
    };
    await until(async () => (await kept()).length > 0);
    expect(await kept()).toEqual([
      expect.objectContaining({ kind: 'registration', to: { name: '', address: 'new@example.com' } }),
    ]);
    const [{ link } = { link: '' }] = await kept();
    await until(() => demo.printed.includes('--- mail to new@example.com') && demo.printed.includes(link));
  } finally {
    await demo.stop();
  }
}, 60_000);
