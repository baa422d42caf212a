import { describe, expect, it } from '@jest/globals';
import { checkedChange, copyOfData, MAX_SESSION_DATA, type SessionDataPatch } from './session-data.js';

const check = (patch: unknown) => checkedChange(patch as SessionDataPatch);
const cycle: unknown[] = [];
cycle.push(cycle);
const nested = (depth: number): unknown => (depth === 0 ? 1 : [nested(depth - 1)]);

describe('checkedChange', () => {
  it('sets what has a value and deletes what is null or undefined', () => {
    const { set, deleted } = check({ a: [1, { b: null }], c: null, d: undefined, e: false, f: '' });
    expect([...set]).toEqual([
      ['a', '[1,{"b":null}]'],
      ['e', 'false'],
      ['f', '""'],
    ]);
    expect(deleted).toEqual(['c', 'd']);
  });

  it.each<[string, unknown]>([
    ['no object', 'tenant'],
    ['an array', []],
    ['null', null],
    ['a class instance', { a: new Map() }],
    ['a Date', { a: new Date(0) }],
    ['NaN', { a: NaN }],
    ['Infinity', { a: [Infinity] }],
    ['a bigint', { a: 1n }],
    ['a function', { a: () => 1 }],
    ['a symbol', { a: Symbol('x') }],
    ['a hole in an array', { a: Array(2) }],
    ['undefined in an array', { a: [undefined] }],
    ['U+0000 in a text', { a: 'x\0' }],
    ['half a surrogate pair', { a: '\ud800' }],
    ['U+0000 in a key', { a: { 'x\0': 1 } }],
    ['a key __proto__', JSON.parse('{"a":{"__proto__":1}}')],
    ['a field __proto__', JSON.parse('{"__proto__":1}')],
    ['a cycle', { a: cycle }],
    ['what is nested too deep', { a: nested(33) }],
  ])('refuses %s, with a remedy', (_, patch) => {
    expect(() => check(patch)).toThrow(expect.objectContaining({ code: 'INVALID_INPUT' }));
  });

  it('takes what is nested 32 deep (negative control)', () => {
    expect(check({ a: nested(32) }).set.size).toBe(1);
  });

  it('refuses a value that is within itself many times, without walking every way through it', () => {
    const knot: unknown[] = [];
    knot.push(knot, knot, knot);
    let shared: unknown = 1;
    for (let i = 0; i < 30; i++) shared = [shared, shared];
    expect(() => check({ a: knot })).toThrow(expect.objectContaining({ code: 'INVALID_INPUT' }));
    expect(() => check({ a: shared })).toThrow(expect.objectContaining({ code: 'SESSION_DATA_TOO_LARGE' }));
  });

  it('refuses what could not be stored even alone', () => {
    expect(() => check({ a: 'x'.repeat(MAX_SESSION_DATA) })).toThrow(
      expect.objectContaining({ code: 'SESSION_DATA_TOO_LARGE', facts: { limit: 4096 } }),
    );
  });
});

it('a copy of the data may be written to', () => {
  const data = { list: [1] };
  const copy = copyOfData(data as object) as typeof data;
  copy.list.push(2);
  expect(data).toEqual({ list: [1] });
});
