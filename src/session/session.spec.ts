import { describe, expect, it } from '@jest/globals';
import { days, minutes, seconds } from '../common/duration.js';
import { SessionSettings } from '../config/session-settings.js';
import { extendedExpiry, isInGrace, isJustExtended, isLive, type Session } from './session.js';

const NOW = Date.UTC(2025, 0, 1);
const user = { id: '1', email: 'ada@example.com' };
const session: Session = {
  id: 'a'.repeat(64),
  handle: 'h',
  userId: '1',
  createdAt: NOW,
  expiresAt: NOW + days(30),
  absoluteExpiresAt: NOW + days(90),
  authenticatedAt: NOW,
  aal: 1,
  amr: [],
  lastSeenAt: NOW,
  ip: null,
  userAgent: null,
  data: {},
};

describe('isLive', () => {
  it.each<[string, Partial<Session>, object, boolean]>([
    ['a fresh session', {}, {}, true],
    ['one microsecond before expiry', { expiresAt: NOW + 0.001 }, {}, true],
    ['expired at the exact instant', { expiresAt: NOW }, {}, false],
    ['past its absolute lifetime, at the exact instant', { absoluteExpiresAt: NOW }, {}, false],
    ['of a disabled user', {}, { disabledAt: NOW - days(1) }, false],
    ['of a user disabled at the epoch', {}, { disabledAt: 0 }, false],
    ['authenticated at the cutoff', {}, { tokensInvalidatedAfter: NOW }, false],
    [
      'authenticated a microsecond after the cutoff',
      { authenticatedAt: NOW + 0.001 },
      { tokensInvalidatedAfter: NOW },
      true,
    ],
    ['with null cutoff and disabling', {}, { tokensInvalidatedAfter: null, disabledAt: null }, true],
  ])('%s', (_, overrides, state, live) => {
    expect(isLive({ session: { ...session, ...overrides }, user: { ...user, ...state } }, NOW)).toBe(live);
  });
});

describe('rotated', () => {
  it.each([NOW - days(1), NOW, NOW + days(1)])('at %d by whatever clock: not live', (at) => {
    expect(isLive({ session, user, rotated: null }, NOW)).toBe(true);
    expect(isLive({ session, user, rotated: { at, successor: 'sealed' } }, NOW)).toBe(false);
  });

  it('the grace is over at the exact instant, and 0 is none', () => {
    const settings = Object.assign(new SessionSettings(), { rotationGrace: seconds(30) });
    const inGrace = (now: number) => isInGrace({ at: NOW, successor: null }, now, settings);
    expect([NOW, NOW + seconds(30) - 0.001, NOW + seconds(30)].map(inGrace)).toEqual([true, true, false]);
    settings.rotationGrace = 0;
    expect(inGrace(NOW)).toBe(false);
  });
});

describe('extendedExpiry', () => {
  const settings = new SessionSettings();
  const withRemaining = (remaining: number, absolute = days(90)) =>
    extendedExpiry({ ...session, expiresAt: NOW + remaining, absoluteExpiresAt: NOW + absolute }, NOW, settings);

  it.each([
    ['29 days left', days(29), null],
    ['exactly 7 days left', days(7), null],
    ['6 d 23 h 59 m 59 s left', days(7) - seconds(1), NOW + days(30)],
    ['over at this instant', 0, null],
    ['over for a day', -days(1), null],
  ])('%s', (_, remaining, expected) => {
    expect(withRemaining(remaining)).toBe(expected);
  });

  it('is capped by the absolute lifetime', () => {
    expect(withRemaining(days(1), days(20))).toBe(NOW + days(20));
  });

  it('writes nothing when the cap is reached already', () => {
    expect(withRemaining(days(1), days(1))).toBeNull();
  });

  it('writes nothing when extension is turned off', () => {
    const off = Object.assign(new SessionSettings(), { extendBelow: 0 });
    expect(extendedExpiry({ ...session, expiresAt: NOW + 1 }, NOW, off)).toBeNull();
  });
});

describe('isJustExtended', () => {
  const at = (ago: number, ttl: number, extendBelow: number) => {
    const lifetimes = Object.assign(new SessionSettings(), { ttl, extendBelow });
    return isJustExtended({ ...session, createdAt: NOW - days(1), lastSeenAt: NOW - ago }, NOW, lifetimes);
  };

  it('H26: for five minutes, and a twentieth of the time between two extensions at most', () => {
    expect([at(minutes(5) - 1, days(30), days(7)), at(minutes(5), days(30), days(7))]).toEqual([true, false]);
    // So that a short session is answered from memory most of the time.
    const short = [minutes(15), minutes(5)] as const;
    expect([at(seconds(30) - 1, ...short), at(seconds(30), ...short)]).toEqual([true, false]);
  });

  it('H26: a session that was never extended is not', () => {
    expect(isJustExtended({ ...session, lastSeenAt: session.createdAt }, NOW, new SessionSettings())).toBe(false);
  });
});
