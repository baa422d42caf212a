import { Logger } from '@nestjs/common';
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import type { AuthEvent } from './auth-event.js';
import { AuthEvents } from './auth-events.js';

const EVENT: AuthEvent = { type: 'session.reuse_detected', at: 1, userId: '1', handle: 'h' };

describe('AuthEvents', () => {
  afterEach(() => void jest.restoreAllMocks());

  it('tells every listener, in their order, until it is turned off', () => {
    const events = new AuthEvents();
    const heard: string[] = [];
    const off = events.on(({ type }) => void heard.push(`a ${type}`));
    events.on(({ type }) => void heard.push(`b ${type}`));
    events.emit(EVENT);
    off();
    off();
    events.emit(EVENT);
    expect(heard).toEqual(['a', 'b', 'b'].map((name) => `${name} session.reuse_detected`));
  });

  it('the same listener twice is two listeners, turned off one by one', () => {
    const events = new AuthEvents();
    let heard = 0;
    const listener = () => void heard++;
    const off = events.on(listener);
    events.on(listener);
    events.emit(EVENT);
    off();
    events.emit(EVENT);
    expect(heard).toBe(3);
  });

  it('a listener that adds a listener with every event does not hear of this one twice', () => {
    const events = new AuthEvents();
    let heard = 0;
    const adding = () => {
      heard++;
      events.on(adding);
    };
    events.on(adding);
    events.emit(EVENT);
    expect(heard).toBe(1);
  });

  it('a listener that throws, rejects or changes the event harms nobody, and what it says is not logged', async () => {
    const log = jest.spyOn(Logger.prototype, 'error').mockImplementation(() => {});
    const events = new AuthEvents();
    const heard: AuthEvent[] = [];
    events.on(() => {
      throw new TypeError('hunter2');
    });
    events.on(() => Promise.reject(new RangeError('hunter2')));
    events.on((event) => void ((event as { userId: string }).userId = 'changed'));
    events.on(() => {
      // oxlint-disable-next-line no-throw-literal, only-throw-error -- a host may
      throw 'hunter2';
    });
    events.on((event) => void heard.push(event));
    expect(() => events.emit({ ...EVENT })).not.toThrow();
    await Promise.resolve();
    await Promise.resolve();
    expect(heard).toEqual([EVENT]);
    expect(log).toHaveBeenCalledTimes(4);
    expect(log.mock.calls[0]![0]).toBe('A listener of session.reuse_detected failed: TypeError');
    expect(JSON.stringify(log.mock.calls)).not.toContain('hunter2');
  });
});
