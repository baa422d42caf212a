import { once } from 'node:events';
import { connect } from 'node:net';
import { expect, it } from '@jest/globals';
import { startDemo } from '../support/demo.js';

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

it('the demo, whose mail anybody can read, is reached from its own machine only', async () => {
  const { port, printed, stop } = await startDemo();
  try {
    expect(printed).toContain(`/demo/mail`);
    expect(await answers(port, '127.0.0.1')).toBe(true);
    // Another address of this machine stands for those that others reach it by.
    expect(await answers(port, '127.0.0.2')).toBe(false);
  } finally {
    await stop();
  }
}, 60_000);
