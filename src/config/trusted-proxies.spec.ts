import { expect, it } from '@jest/globals';
import { mistakesOf, withSecrets } from '../../test/support/config-mistakes.js';

it('trustedProxies name every mistake, each with its remedy', () => {
  const trustedProxies = ['::ffff:10.0.0.0/8', '0.0.0.0/0', 'loopback', '10.0.0.0/8'];
  expect(mistakesOf(withSecrets({ trustedProxies }))).toEqual([
    expect.stringMatching(/^trustedProxies\[0\] must be written as IPv4/),
    expect.stringMatching(/^trustedProxies\[1\] trusts the whole internet/),
    expect.stringMatching(/^trustedProxies\[2\] must be an address or a network/),
  ]);
});

it.each([true, '10.0.0.0/8'])('trustedProxies: %j is a mistake, not a crash', (trustedProxies) => {
  expect(mistakesOf(withSecrets({ trustedProxies }))).toEqual([
    expect.stringMatching(/^trustedProxies must be a list/),
  ]);
});
