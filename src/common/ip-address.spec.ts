import { describe, expect, it } from '@jest/globals';
import {
  canonicalAddress,
  isWithin,
  parseNetwork,
  siteOfAddress,
  sourceOfAddress,
  subjectOfAddress,
  type Network,
} from './ip-address.js';

describe('canonicalAddress', () => {
  it.each([
    ['192.0.2.1', '192.0.2.1'],
    [' 192.0.2.1 ', '192.0.2.1'],
    ['192.0.2.1:443', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['::FFFF:c000:201', '192.0.2.1'],
    ['0:0:0:0:0:ffff:192.0.2.1', '192.0.2.1'],
    ['2001:DB8::0001', '2001:db8::1'],
    ['[2001:db8::1]:443', '2001:db8::1'],
    ['[2001:db8::1]', '2001:db8::1'],
    ['fe80::1%eth0', 'fe80::1'],
  ])('%s is %s', (text, address) => expect(canonicalAddress(text)).toBe(address));

  it.each([
    '',
    'unknown',
    '127.1',
    '0x7f.0.0.1',
    '0177.0.0.1',
    '2130706433',
    '192.0.2.256',
    '192.0.2.1/24',
    'a'.repeat(1e6),
  ])('%# is no address', (text) => expect(canonicalAddress(text)).toBeNull());
  it.each([null, undefined, 5, {}])('%s is no address', (value) =>
    expect(canonicalAddress(value as string | null)).toBeNull(),
  );
});

describe('subjectOfAddress', () => {
  it.each([
    ['192.0.2.1', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:db8::1', '2001:db8::/64'],
    ['::1', '::/64'],
  ])('%s is %s, and stays it', (text, subject) => {
    expect(subjectOfAddress(text)).toBe(subject);
    expect(subjectOfAddress(subject)).toBe(subject);
  });

  it('is null for anything else', () => {
    expect(subjectOfAddress('unknown')).toBeNull();
    expect(subjectOfAddress(null)).toBeNull();
  });
});

describe('parseNetwork', () => {
  it.each(['10.0.0.0/8', '10.0.0.1', ' 2001:db8::/32 ', '::1', '128.0.0.0/1'])('takes %s', (text) =>
    expect(parseNetwork(text)).toBeInstanceOf(Array),
  );

  it.each([
    ['R23: a v4-mapped network', '::ffff:10.0.0.0/8'],
    ['R23: a v4-mapped network of the right length', '::ffff:10.0.0.0/104'],
    ['R23: a v4-mapped address', '::ffff:10.0.0.1'],
    ['R23: in hexadecimal', '0:0:0:0:0:FFFF:0a00:1/8'],
    ['everybody', '0.0.0.0/0'],
    ['everybody in IPv6', '::/0'],
    ['a length that is too long', '10.0.0.0/33'],
    ['a length that is none', '10.0.0.0/eight'],
    ['an empty length', '10.0.0.0/'],
    ['two lengths', '10.0.0.0/8/8'],
    ['a mask', '10.0.0.0/255.0.0.0'],
    ['a name', 'loopback'],
    ['a zone', 'fe80::1%eth0'],
    ['octal', '010.0.0.0/8'],
    ['nothing', ''],
    ['a number', 10],
    ['true', true],
  ])('refuses %s', (_, text) => expect(typeof parseNetwork(text)).toBe('string'));
});

describe('isWithin', () => {
  const networks = ['10.0.0.0/8', '2001:db8::/32'].map((text) => parseNetwork(text) as Network);

  it.each([
    ['10.1.2.3', true],
    ['::ffff:10.1.2.3', true],
    ['11.0.0.1', false],
    ['2001:db8:ffff::1', true],
    ['2001:db9::1', false],
    ['nonsense', false],
  ])('%s: %s', (address, within) => expect(isWithin(address, networks)).toBe(within));
});

it('an address is in networks from wide to narrow', () => {
  expect(sourceOfAddress('2001:db8:1:2::3')).toEqual(['2001:db8::/32', '2001:db8:1::/48', '2001:db8:1:2::/64']);
  expect(sourceOfAddress('::ffff:192.0.2.7')).toEqual(['192.0.2.0', '192.0.2.7']);
  expect(sourceOfAddress(null)).toEqual(['unknown']);
  expect(['2001:db8:1:2::3', '192.0.2.7', 'x'].map(siteOfAddress)).toEqual(['2001:db8:1::/48', null, null]);
});
