import { Logger } from '@nestjs/common';
import { afterEach, expect, it, jest } from '@jest/globals';
import { SampledLogger } from './sampled-logger.js';

afterEach(() => void jest.restoreAllMocks());

it('H36: logs each message at most once a minute, then with the number left out', () => {
  const warn = jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
  let now = 0;
  const logger = new SampledLogger(() => now);
  for (let i = 0; i < 200; i++) logger.warn('junk');
  logger.warn('other');
  now = 59_999;
  logger.warn('junk');
  now = 60_000;
  logger.warn('junk');
  now = 120_000;
  logger.warn('junk');
  expect(warn.mock.calls.map(([message]) => message as string)).toEqual([
    'junk',
    'other',
    'junk (and 200 times more since it was last logged)',
    'junk',
  ]);
});

it('H36: holds a bounded number of messages', () => {
  const error = jest.spyOn(Logger.prototype, 'error').mockImplementation(() => undefined);
  const logger = new SampledLogger(() => 0);
  for (let i = 0; i < 1_000; i++) logger.error(`fault ${i}`);
  logger.error('fault 0');
  expect(error).toHaveBeenCalledTimes(1_001);
});
