import { cpus, totalmem } from 'node:os';
import { createRequire } from 'node:module';
import { isPinned } from './bench-process.js';

const require = createRequire(import.meta.url);
const { dependencies } = require('../package.json') as { dependencies: Record<string, string> };
/** Ours that peers run on as well. */
const SHARED = [
  '@nestjs/core',
  '@nestjs/platform-express',
  '@nestjs/platform-fastify',
  'typeorm',
  'pg',
  'jsonwebtoken',
];

export interface Machine {
  readonly processor: string;
  readonly cores: number;
  readonly memoryGiB: number;
  /** Contenders on one core, load generator and database on the other. */
  readonly pinned: boolean;
  readonly node: string;
  readonly postgres: string;
  readonly redis: string | null;
  readonly packages: Readonly<Record<string, string>>;
}

export function machine(servers: Pick<Machine, 'postgres' | 'redis'>): Machine {
  return {
    processor: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    pinned: isPinned,
    node: process.version,
    ...servers,
    packages: Object.fromEntries(
      [...SHARED, ...Object.keys(dependencies)].toSorted().map((name) => [name, versionOf(name)]),
    ),
  };
}

/** Not every package lets its package.json be required: it is looked for where the package's modules are. */
function versionOf(name: string): string {
  for (const folder of require.resolve.paths(name) ?? []) {
    try {
      return (require(`${folder}/${name}/package.json`) as { version: string }).version;
    } catch {
      continue;
    }
  }
  return 'unknown';
}
