import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';

interface Locked {
  readonly dependencies?: Readonly<Record<string, string>>;
}

const lock = JSON.parse(readFileSync('package-lock.json', 'utf8')) as { packages: Record<string, Locked> };
const { dependencies } = JSON.parse(readFileSync('package.json', 'utf8')) as Required<Locked>;

/** Where `require` finds a package from the folder of another. */
function found(name: string, from: string): string | undefined {
  for (let folder = from; ; folder = folder.replace(/\/?node_modules\/(?:@[^/]+\/)?[^/]+$/, '')) {
    const path = `${folder}${folder && '/'}node_modules/${name}`;
    if (lock.packages[path]) return path;
    if (folder === '') return undefined;
  }
}

/** These packages and all that they need; what one needs on a single platform only is not counted. */
function installed(names: readonly string[], into = new Set<string>(), from = ''): Set<string> {
  for (const path of names.flatMap((name) => found(name, from) ?? [])) {
    if (into.has(path)) continue;
    into.add(path);
    installed(Object.keys(lock.packages[path]!.dependencies ?? {}), into, path);
  }
  return into;
}

const APPLICATION = ['@nestjs/common', '@nestjs/core', '@nestjs/platform-express', '@nestjs/typeorm', 'typeorm', 'pg'];

const there = installed(APPLICATION);

/** What an application that has Nest, TypeORM and `pg` gets besides by these. */
const added = (names: readonly string[]) => [...installed(names)].filter((path) => !there.has(path));

describe('npm install nestjs-latchkey', () => {
  it('adds at most 12 packages that Nest does not bring, beside jsonwebtoken and what that needs', () => {
    const own = added(Object.keys(dependencies).filter((name) => name !== 'jsonwebtoken'));
    expect(own.length).toBeGreaterThan(5);
    // The native part of @node-rs/argon2 for one platform is one more.
    expect(own.length + 1).toBeLessThanOrEqual(12);
    expect(added(Object.keys(dependencies)).length - own.length).toBeLessThanOrEqual(14);
  });

  it('what Nest needs is not added (negative control)', () => {
    expect(added(['tslib', 'path-to-regexp', 'pg']).length).toBe(0);
  });
});
