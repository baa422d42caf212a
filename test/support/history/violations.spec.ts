import { describe, expect, it } from '@jest/globals';
import type { Answer, Operation, OperationKind } from './operation.js';
import { violationsOf, type Promised } from './violations.js';

// Instants and lengths of these histories are written in milliseconds.
const answer = (session: string, facts: Partial<Answer> = {}): Answer => ({
  session,
  user: 'ada',
  expiresAt: 1_000_000,
  absoluteExpiresAt: 2_000_000,
  ...facts,
});

function operation(kind: OperationKind, [start, end]: [number, number], facts: Partial<Operation> = {}): Operation {
  const session = kind === 'create' || kind === 'revokeAll' || kind === 'disable' ? null : 's';
  return { process: 0, kind, user: 'ada', session, answer: null, ...facts, start: start * 1000, end: end * 1000 };
}

const created = operation('create', [0, 1], { answer: answer('s') });
const lookup = (at: [number, number], facts?: Partial<Operation>) => operation('lookup', at, facts);
const live = (at: [number, number], facts?: Partial<Operation>) => lookup(at, { answer: answer('s'), ...facts });
const rotated = (at: [number, number], to: string, facts?: Partial<Operation>) =>
  operation('rotate', at, { answer: answer(to), ...facts });

function rules(promised: Promised, ...history: Operation[]): string[] {
  return violationsOf([created, ...history], promised).map(({ rule }) => rule);
}
const strict: Promised = { bound: 0 };
const cached: Promised = { bound: 100 };
const graceful: Promised = { bound: 0, grace: 1000 };

describe('violationsOf', () => {
  it('lost: nothing that could have ended the session had begun', () => {
    expect(rules(strict, lookup([2, 3]))).toEqual(['lost']);
    expect(rules(strict, operation('rotate', [2, 3]))).toEqual(['lost']);
    expect(rules(strict, lookup([2, 3]), operation('revoke', [4, 5]))).toEqual(['lost']);
    expect(rules(strict, operation('revokeAll', [-2, -1]), lookup([2, 3]))).toEqual(['lost']);
    expect(rules(strict, lookup([2, 3]), operation('revokeAll', [4, 5], { user: 'bob' }))).toEqual(['lost']);
  });

  it('lost: not when something that could was under way', () => {
    for (const kind of ['revoke', 'revokeAll', 'disable'] as const) {
      expect(rules(strict, lookup([2, 4]), operation(kind, [3, 9]))).toEqual([]);
    }
    expect(rules(strict, lookup([2, 4]), rotated([3, 9], 's2'))).toEqual([]);
    expect(rules(strict, lookup([0.5, 3]))).toEqual([]);
    expect(rules(strict, operation('revokeAll', [-2, 0.5]), lookup([2, 3]))).toEqual([]);
    expect(rules(strict, operation('extend', [2, 3]))).toEqual([]);
  });

  it('stale: answered later than the bound after the end, whatever ended it', () => {
    for (const kind of ['revoke', 'revokeAll', 'disable'] as const) {
      const ended = operation(kind, [2, 3]);
      expect(rules(cached, ended, live([104, 105], { process: 1 }))).toEqual(['stale']);
      expect(rules(cached, ended, live([103, 105], { process: 1 }))).toEqual([]);
      expect(rules(strict, ended, live([2.5, 9], { process: 1 }))).toEqual([]);
    }
    expect(rules(cached, rotated([2, 3], 's2'), live([104, 105], { process: 1 }))).toEqual(['stale']);
    const another = operation('revokeAll', [2, 3], { user: 'bob' });
    expect(rules(cached, another, live([104, 105], { process: 1 }))).toEqual([]);
  });

  it('stale: revokeAll ends what descends from what was there, and nothing that came meanwhile', () => {
    const all = operation('revokeAll', [2, 9]);
    const heir = live([10, 11], { process: 1, session: 's2', answer: answer('s2') });
    expect(rules(strict, all, rotated([3, 4], 's2', { process: 2 }), heir)).toEqual(['stale']);
    const newcomer = operation('create', [3, 4], { process: 2, answer: answer('s2') });
    expect(rules(strict, all, newcomer, heir)).toEqual([]);
  });

  it('read your writes: no bound in the process that ended it', () => {
    expect(rules(cached, operation('revoke', [2, 3]), live([4, 5]))).toEqual(['read your writes']);
    expect(rules(cached, operation('revoke', [2, 3], { process: 1 }), live([4, 5]))).toEqual([]);
    expect(rules(cached, operation('revoke', [2, 5]), live([4, 6]))).toEqual([]);
  });

  it('resurrection: gone for one is gone for all', () => {
    const gone = lookup([2, 3]);
    const pending = operation('revoke', [1.5, 900]);
    expect(rules(cached, pending, gone, live([104, 105], { process: 1 }))).toEqual(['resurrection']);
    expect(rules(cached, pending, gone, live([103, 105], { process: 1 }))).toEqual([]);
    expect(rules(strict, pending, operation('rotate', [2, 3]), live([4, 5], { process: 1 }))).toEqual(['resurrection']);
    expect(rules(strict, pending, operation('extend', [2, 3]), live([4, 5], { process: 1 }))).toEqual([]);
  });

  it('expiry: never back, never past the absolute one', () => {
    const extended = operation('extend', [2, 3], { answer: answer('s', { expiresAt: 1_000_500 }) });
    expect(rules(cached, extended, live([104, 105]))).toEqual(['expiry']);
    expect(rules(cached, extended, live([103, 105]))).toEqual([]);
    expect(rules(strict, extended, live([4, 5], { answer: answer('s', { expiresAt: 1_000_500 }) }))).toEqual([]);
    const another = operation('extend', [2, 9], { answer: answer('s', { expiresAt: 1_000_900 }) });
    expect(rules(strict, extended, another, live([4, 5]))).toEqual(['expiry']);
    expect(rules(strict, live([4, 5], { answer: answer('s', { expiresAt: 2_000_001 }) }))).toEqual(['expiry']);
  });

  it('rotation: one successor', () => {
    expect(rules(strict, rotated([2, 5], 's2'), rotated([3, 4], 's3', { process: 1 }))).toEqual(['rotation']);
    expect(rules(strict, rotated([2, 5], 's2'), operation('rotate', [3, 4]))).toEqual([]);
    expect(rules(graceful, rotated([2, 5], 's2'), rotated([3, 4], 's2', { process: 1 }))).toEqual([]);
    expect(rules(graceful, rotated([2, 3], 's2'), operation('rotate', [4, 5]))).toEqual([]);
    expect(rules(graceful, rotated([2, 3], 's2'), rotated([4, 5], 's3', { process: 1 }))).toEqual(['rotation']);
    // The slow one of two is answered with what the successor of the fast one was rotated to.
    const slow = rotated([2, 9], 's3', { process: 1 });
    const next = rotated([5, 6], 's3', { session: 's2' });
    const heir = lookup([10, 11], { session: 's2', answer: answer('s3') });
    expect(rules(graceful, slow, rotated([3, 4], 's2'), next, heir)).toEqual([]);
  });

  it('rotation: within the grace the old token is answered by its successor', () => {
    const rotation = rotated([2, 3], 's2');
    const byHeir = (at: [number, number]) => lookup(at, { answer: answer('s2') });
    expect(rules(graceful, rotation, byHeir([4, 5]))).toEqual([]);
    expect(rules(graceful, rotation, live([4, 5]))).toEqual(['rotation']);
    expect(rules({ ...graceful, bound: 100 }, rotation, live([4, 5]))).toEqual([]);
    expect(rules(strict, rotation, byHeir([4, 5]))).toEqual(['rotation']);
    expect(rules({ bound: 0, grace: 0 }, rotation, byHeir([104, 105]))).toEqual(['rotation']);
    expect(rules(graceful, rotation, lookup([4, 5]))).toEqual(['lost']);
    expect(rules(graceful, rotation, operation('revoke', [3.5, 3.6], { session: 's2' }), lookup([4, 5]))).toEqual([]);
    const bob = operation('create', [2, 3], { user: 'bob', answer: answer('b', { user: 'bob' }) });
    expect(rules(graceful, bob, lookup([4, 5], { answer: answer('b') }))).toEqual(['rotation']);
  });

  it('stale: with a grace a family ends as a whole', () => {
    const heir = lookup([6, 7], { process: 1, session: 's2', answer: answer('s2') });
    expect(rules(graceful, rotated([2, 3], 's2'), operation('revoke', [4, 5]), heir)).toEqual(['stale']);
    expect(rules(strict, rotated([2, 3], 's2'), operation('revoke', [4, 5]), heir)).toEqual([]);
  });

  it('rotation: after the grace the old token ends the family', () => {
    const rotation = rotated([2, 3], 's2');
    const heir = (at: [number, number], facts?: Partial<Operation>) =>
      lookup(at, { process: 1, session: 's2', answer: answer('s2'), ...facts });
    expect(rules(graceful, rotation, lookup([1100, 1101]), heir([1102, 1103], { answer: null }))).toEqual([]);
    expect(rules(graceful, rotation, lookup([1100, 1101]), heir([1102, 1103]))).toEqual(['stale']);
    expect(rules(graceful, rotation, lookup([1100, 1101]), heir([1100, 1103]))).toEqual([]);
    expect(rules(graceful, rotation, lookup([1100, 1101], { answer: answer('s2') }))).toEqual(['rotation']);
    expect(rules(graceful, rotation, heir([1102, 1103], { answer: null }))).toEqual(['lost']);
  });

  it('written: what has been ended is neither extended nor rotated, cache or not', () => {
    const extended = operation('extend', [4, 5], { process: 1, answer: answer('s') });
    expect(rules(cached, operation('revoke', [2, 3]), extended)).toEqual(['written']);
    expect(rules(cached, operation('revokeAll', [2, 3]), rotated([4, 5], 's2'))).toEqual(['written']);
    expect(rules(cached, operation('revoke', [2, 4]), extended)).toEqual([]);
    expect(rules(cached, operation('disable', [2, 3]), extended)).toEqual([]);
  });

  it('wrong owner', () => {
    expect(rules(strict, live([2, 3], { answer: answer('s', { user: 'bob' }) }))).toEqual(['wrong owner']);
    expect(rules(strict, live([2, 3]))).toEqual([]);
  });

  it('threw: allowed while something is broken, and then it may have happened, now or later, or not', () => {
    const threw = operation('revoke', [2, 3], { threw: 'STORE_UNAVAILABLE' });
    expect(rules(strict, threw)).toEqual(['threw']);
    const broken = { bound: 0, faults: true };
    expect(rules(broken, threw, live([4, 5]), lookup([6, 7]))).toEqual([]);
    expect(rules(broken, operation('revoke', [2, 3], { threw: 'TypeError' }))).toEqual(['threw']);
    const all = operation('revokeAll', [-3, -2], { threw: 'STORE_UNAVAILABLE' });
    expect(rules(broken, all, lookup([6, 7]))).toEqual([]);
  });

  it('reads half a million operations in seconds', () => {
    const history: Operation[] = [];
    for (let i = 0; i < 500_000; i++) {
      const session = `s${i % 2000}`;
      const at: [number, number] = [i, i + 16];
      if (i < 2000) history.push(operation('create', at, { answer: answer(session) }));
      else history.push(lookup(at, { session, answer: answer(session) }));
    }
    expect(violationsOf(history, strict)).toEqual([]);
  }, 10_000);
});
