import { describe, expect, it } from '@jest/globals';
import { BatchSize } from './batch-size.js';

describe('BatchSize', () => {
  it('grows to the most that is allowed while batches are quick', () => {
    const size = new BatchSize(5_000, 50);
    const sizes = Array.from({ length: 6 }, () => {
      const { next } = size;
      size.took(1);
      return next;
    });
    expect(sizes).toEqual([500, 1_000, 2_000, 4_000, 5_000, 5_000]);
  });

  it('shrinks at once to what takes half of maxLockTime', () => {
    const size = new BatchSize(5_000, 50);
    size.took(250);
    expect(size.next).toBe(50);
    size.took(12.5);
    expect(size.next).toBe(100);
    size.took(25);
    expect(size.next).toBe(100);
  });

  it('never asks for nothing, nor for more than was configured', () => {
    const size = new BatchSize(1, 50);
    size.took(1e9);
    expect(size.next).toBe(1);
    size.took(0);
    expect(size.next).toBe(1);
  });
});
