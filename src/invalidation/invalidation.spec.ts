import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { formatInvalidation, MAX_LIST_LENGTH, parseInvalidation, type Invalidation } from './invalidation.js';

describe('Invalidation', () => {
  const invalidations: fc.Arbitrary<Invalidation> = fc.oneof(
    fc.record({ sessions: fc.array(fc.string(), { maxLength: 5 }) }),
    fc.record({ users: fc.constant('*' as const), sessions: fc.array(fc.uuid(), { maxLength: 5 }) }),
    fc.record({ tokens: fc.array(fc.tuple(fc.string({ maxLength: 64 }), fc.integer()), { maxLength: 5 }) }),
  );

  it('is read as it was written', () => {
    fc.assert(
      fc.property(invalidations, (invalidation) => {
        expect(parseInvalidation(formatInvalidation(invalidation))).toEqual(invalidation);
      }),
    );
  });

  it('what is too long for a notification is "everything of that kind"', () => {
    const many = Array.from({ length: MAX_LIST_LENGTH + 1 }, String);
    expect(parseInvalidation(formatInvalidation({ sessions: many, users: ['ada'] }))).toEqual({
      sessions: '*',
      users: ['ada'],
    });
    expect(parseInvalidation(formatInvalidation({ users: ['x'.repeat(9_000)] }))).toEqual({ users: '*' });
    expect(formatInvalidation({ sessions: many.slice(1).map((id) => id.padStart(64, '0')) }).length).toBeLessThan(
      8_000,
    );
  });

  it.each([
    ['nothing', ''],
    ['no JSON', 'revoke ada'],
    ['no object', '[]'],
    ['null', 'null'],
    ['an empty object', '{}'],
    ['another kind', '{"cookies":["a"]}'],
    ['one kind that is known and one that is not', '{"users":["a"],"x":"*"}'],
    ['no list', '{"users":"ada"}'],
    ['a list of numbers', '{"sessions":[1]}'],
    ['a token without an expiry', '{"tokens":[["jti"]]}'],
    ['a token that ends at no instant', '{"tokens":[["jti","Infinity"]]}'],
    ['an inherited name', '{"constructor":["a"]}'],
    ['a prototype', '{"__proto__":["a"]}'],
    ['deep nesting', '['.repeat(100_000)],
  ])('is not %s', (_, payload) => {
    expect(parseInvalidation(payload)).toBeNull();
  });

  it('never throws, whatever comes', () => {
    fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), (payload) => void parseInvalidation(payload)));
  });
});
