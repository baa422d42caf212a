import { describe, expect, it } from '@jest/globals';
import { FairSemaphore } from './fair-semaphore.js';

/** Callers of these sources, while one that was there before has the only turn. */
async function waiting(places: number, sources: readonly string[]) {
  const semaphore = new FairSemaphore(1, places);
  await semaphore.acquire(['first']);
  const order: string[] = [];
  const answers = sources.map((source) =>
    semaphore.acquire(source.split(' ')).then((has) => {
      if (has) order.push(source);
      return has;
    }),
  );
  /** Lets everybody have their turn, one after the other. */
  const served = async () => {
    while (semaphore.queued > 0) {
      semaphore.release();
      await Promise.resolve().then(() => undefined);
    }
    await Promise.all(answers);
    return order;
  };
  return { semaphore, answers, served };
}

describe('FairSemaphore', () => {
  it('the turns go round the sources, in each in the order in which they came', async () => {
    const { served } = await waiting(10, ['a', 'a', 'a', 'b', 'b', 'c']);
    expect(await served()).toEqual(['a', 'b', 'c', 'a', 'b', 'a']);
  });

  it('a network with many addresses is one source', async () => {
    const { served } = await waiting(10, ['n 1', 'n 2', 'n 3', 'n 4', 'm 1', 'm 1']);
    expect(await served()).toEqual(['n 1', 'm 1', 'n 2', 'm 1', 'n 3', 'n 4']);
  });

  it('alone it may have every place; who comes then takes one from whoever has most', async () => {
    const { answers, served } = await waiting(4, ['a', 'a', 'a', 'a', 'b', 'c']);
    const order = await served();
    expect(order).toEqual(['a', 'b', 'c', 'a']);
    expect(await Promise.all(answers)).toEqual([true, true, false, false, true, true]);
  });

  it('of a network its widest address gives way, and of equals the newcomer', async () => {
    const { answers, served } = await waiting(4, ['n 1', 'n 1', 'n 2', 'm 1', 'm 2', 'n 3', 'x', 'y']);
    await served();
    // m takes the second of n 1, then n has 2 and m 2: n 3 is refused, x takes one, and all are equal for y.
    const has = await Promise.all(answers);
    expect(has.filter(Boolean)).toHaveLength(4);
    expect([has[1], has[5]]).toEqual([false, false]);
    expect(has[6]).toBe(true);
  });

  it('no source keeps anything when nobody waits: the next one has its turn at once', async () => {
    const { semaphore, served } = await waiting(2, ['a', 'b']);
    await served();
    semaphore.release();
    expect(await semaphore.acquire(['a'])).toBe(true);
    expect(semaphore.queued).toBe(0);
  });

  it('without places nobody waits', async () => {
    const { answers } = await waiting(0, ['a', 'b']);
    expect(await Promise.all(answers)).toEqual([false, false]);
  });
});
