import type { EmbeddedPostgres } from 'nestjs-latchkey/testing';
import type { BenchProcess, Cores } from './bench-process.js';
import type { Sample } from './contender.js';
import type { Spread } from './samples.js';

/** One file below `scenarios/`, and what `npm run bench -- <name>` runs. */
export interface Scenario {
  readonly name: string;
  run(bench: Bench): Promise<Result>;
}

/** What a scenario is given. */
export interface Bench {
  /** Everything once and small: only that it works is looked at. */
  readonly smoke: boolean;
  readonly rounds: number;
  readonly warmUpMs: number;
  readonly roundMs: number;
  readonly postgres: EmbeddedPostgres;
  /** `null` where there is no `redis-server`. */
  readonly redisUrl: string | null;
  /** The address of a new database. */
  database(name: string): Promise<string>;
  /** `use` with a fresh process, which ends afterwards; with --smoke with one that has been used before. */
  withProcess<T>(use: (process: BenchProcess) => Promise<T>, flags?: readonly string[], cores?: Cores): Promise<T>;
  /** One repetition of a contender that is measured inside of its process. */
  repeat(module: URL, name: string, args?: unknown): Promise<Sample>;
  log(line: string): void;
}

export interface Result {
  readonly title: string;
  /** What was done, a paragraph each. */
  readonly about: readonly string[];
  readonly tables: readonly Table[];
  readonly goals: readonly Goal[];
}

export interface Table {
  readonly title: string;
  readonly columns: readonly string[];
  readonly rows: readonly Row[];
  /** The column that the chart shows; without it the table has none. */
  readonly chart?: string;
}

export interface Row {
  readonly name: string;
  /** `limit`: written by hand for this figure, not for use. */
  readonly kind: 'ours' | 'peer' | 'limit';
  readonly cells: Readonly<Record<string, Cell>>;
}

export type Cell = string | number | Spread | null;

/** What the project has promised itself of this scenario. */
export interface Goal {
  readonly claim: string;
  readonly value: number;
  readonly least?: number;
  readonly most?: number;
  /** Beside the verdict: the same by another measure, or by how much the rounds differ. */
  readonly remark?: string;
}

export function isMet({ value, least = -Infinity, most = Infinity }: Goal): boolean {
  return value >= least && value <= most;
}
