import type { Running, Start } from '../../harness/contender.js';

export interface CreationArgs {
  readonly url: string;
  readonly users: readonly string[];
}

/** Opens sessions of `users`, after one that it has read back. */
export type Creation = Start<CreationArgs>;

const CONCURRENCY = 16;
export const POOL_SIZE = 16;
export const TTL_MS = 30 * 86_400_000;

export function creating(work: () => Promise<unknown>, close: () => Promise<unknown>): Running {
  return { work, concurrency: CONCURRENCY, close };
}

export function one(users: readonly string[]): string {
  return users[Math.floor(Math.random() * users.length)]!;
}

export function check(readBack: unknown): void {
  if (!readBack) throw new Error('The session that was created cannot be read back.');
}
