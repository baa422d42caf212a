import { describe, expect, it } from '@jest/globals';
import { Semaphore } from './semaphore.js';

describe('Semaphore', () => {
  it('lets so many through at once, and the others in the order in which they came', async () => {
    const semaphore = new Semaphore(() => 2);
    const entered: number[] = [];
    const callers = [0, 1, 2, 3].map((caller) => semaphore.acquire().then(() => entered.push(caller)));
    await Promise.all(callers.slice(0, 2));
    expect(entered).toEqual([0, 1]);
    expect([semaphore.isFull, semaphore.queued, semaphore.isIdle]).toEqual([true, 2, false]);

    semaphore.release();
    await callers[2];
    expect(entered).toEqual([0, 1, 2]);
    semaphore.release();
    await callers[3];
    semaphore.release();
    semaphore.release();
    expect([semaphore.isFull, semaphore.queued, semaphore.isIdle]).toEqual([false, 0, true]);
  });

  it('a turn that is handed on is nobody else’s: who comes at that moment waits', async () => {
    const semaphore = new Semaphore(() => 1);
    await semaphore.acquire();
    const second = semaphore.acquire();
    semaphore.release();
    expect(semaphore.isFull).toBe(true);
    await second;
    expect(semaphore.queued).toBe(0);
  });
});
