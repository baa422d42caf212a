import { createHmac } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { InvalidationDigest } from './invalidation-digest.js';
import { formatHint, hintOf, MAX_LIST_LENGTH, parseHint, type InvalidationHint } from './invalidation.js';

describe('Invalidation', () => {
  const digests = new InvalidationDigest(Buffer.alloc(32, 7));
  const digest = fc.string().map((id) => digests.of('sessions', id));
  const hints: fc.Arbitrary<InvalidationHint> = fc.oneof(
    fc.record({ sessions: fc.array(digest, { maxLength: 5 }) }),
    fc.record({ users: fc.constant('*' as const), tokens: fc.array(digest, { maxLength: 5 }) }),
  );

  it('is read as it was written', () => {
    fc.assert(fc.property(hints, (hint) => expect(parseHint(formatHint(hint))).toEqual(hint)));
  });

  it('what is too long for a notification is "everything of that kind"', () => {
    const many = Array.from({ length: MAX_LIST_LENGTH + 1 }, (_, n) => digests.of('users', String(n)));
    const [one] = many;
    expect(parseHint(formatHint({ sessions: many, users: [one!] }))).toEqual({ sessions: '*', users: [one] });
    const most = many.slice(1);
    expect(formatHint({ sessions: most }).length).toBeLessThan(8_000);
    expect(parseHint(formatHint({ sessions: most, users: most, tokens: most }))).toEqual({
      sessions: '*',
      users: '*',
      tokens: '*',
    });
  });

  it('H10: a digest names no id, but by the key: HMAC-SHA256, one for all spellings of a uuid', () => {
    const uuid = '0b0e7b1e-94d7-4f6a-8c3e-2f1d5a6b7c8d';
    const known = createHmac('sha256', Buffer.alloc(32, 7))
      .update(`users:${uuid.replaceAll('-', '')}`)
      .digest('hex');
    expect(digests.of('users', uuid)).toBe(known.slice(0, 32));
    expect(digests.of('users', `{${uuid.toUpperCase()}}`)).toBe(digests.of('users', uuid));
    expect(digests.of('sessions', uuid)).not.toBe(digests.of('users', uuid));
    expect(new InvalidationDigest().of('users', uuid)).not.toBe(digests.of('users', uuid));
    expect(hintOf({ users: [uuid], tokens: '*' }, (kind, id) => digests.of(kind, id))).toEqual({
      users: [known.slice(0, 32)],
      tokens: '*',
    });
  });

  it.each([
    ['nothing', ''],
    ['no JSON', 'revoke ada'],
    ['no object', '[]'],
    ['null', 'null'],
    ['an empty object', '{}'],
    ['another kind', '{"cookies":"*"}'],
    ['one kind that is known and one that is not', '{"users":"*","x":"*"}'],
    ['no list', '{"users":"ada"}'],
    ['a list of numbers', '{"sessions":[1]}'],
    ['an id where a digest belongs', '{"users":["ada"]}'],
    ['a longer list than is ever sent', JSON.stringify({ users: Array(101).fill('0'.repeat(32)) })],
    ['an inherited name', '{"constructor":"*"}'],
    ['a prototype', '{"__proto__":"*"}'],
    ['deep nesting', '['.repeat(100_000)],
  ])('is not %s', (_, payload) => {
    expect(parseHint(payload)).toBeNull();
  });

  it('never throws, whatever comes', () => {
    fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), (payload) => void parseHint(payload)));
  });
});
